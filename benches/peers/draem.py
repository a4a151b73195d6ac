"""DRAEM in PyTorch, for every script here: both networks under the module names of the authors' checkpoints,
their three losses, and their first weights."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def layer(i, o):
    return [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU()]


def block(i, m, o):
    return nn.Sequential(*layer(i, m), *layer(m, o))


class Upsample(nn.Upsample):
    """With aligned corners as the authors', until `half_pixel` says otherwise."""

    def __init__(self):
        super().__init__(scale_factor=2, mode="bilinear", align_corners=True)


def up(i, o):
    return nn.Sequential(Upsample(), *layer(i, o))


def half_pixel(networks):
    for module in networks.modules():
        if isinstance(module, Upsample):
            module.align_corners = False


def encode(encoder, x, blocks):
    outputs = []
    for depth in range(1, blocks + 1):
        x = getattr(encoder, f"block{depth}")(x if depth == 1 else F.max_pool2d(x, 2))
        outputs.append(x)
    return outputs


class Encoder(nn.Module):
    """Blocks of growing width; the last ones have eight times the first one's."""

    def __init__(self, inputs, w, blocks):
        super().__init__()
        widths = [w, 2 * w, 4 * w, 8 * w, 8 * w, 8 * w][:blocks]
        for depth, (i, o) in enumerate(zip([inputs, *widths], widths), 1):
            setattr(self, f"block{depth}", block(i, o, o))


class ReconstructiveDecoder(nn.Module):
    """With fewer than four poolings the innermost blocks are left out; the others keep their names."""

    def __init__(self, w, poolings):
        super().__init__()
        i = [2 * w, 4 * w, 8 * w, 8 * w][poolings - 1]
        for depth in range(5 - poolings, 5):
            m, o = [(8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w), (w, w)][depth - 1]
            setattr(self, f"up{depth}", up(i, m))
            setattr(self, f"db{depth}", block(m, m, o))
            i = o
        self.fin_out = nn.Sequential(nn.Conv2d(w, 3, 3, padding=1))


class Reconstructive(nn.Module):
    def __init__(self, w, poolings):
        super().__init__()
        self.poolings = poolings
        self.encoder = Encoder(3, w, poolings + 1)
        self.decoder = ReconstructiveDecoder(w, poolings)

    def forward(self, x):
        x = encode(self.encoder, x, self.poolings + 1)[-1]
        for depth in range(5 - self.poolings, 5):
            x = getattr(self.decoder, f"up{depth}")(x)
            x = getattr(self.decoder, f"db{depth}")(x)
        return self.decoder.fin_out(x)


class DiscriminativeDecoder(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.up_b = up(8 * w, 8 * w)
        self.db_b = block(16 * w, 8 * w, 8 * w)
        widths = [(8 * w, 4 * w, 12 * w), (4 * w, 2 * w, 6 * w), (2 * w, w, 3 * w), (w, w, 2 * w)]
        for depth, (i, o, joined) in enumerate(widths, 1):
            setattr(self, f"up{depth}", up(i, o))
            setattr(self, f"db{depth}", block(joined, o, o))
        self.fin_out = nn.Sequential(nn.Conv2d(w, 2, 3, padding=1))


class Discriminative(nn.Module):
    """Reads the reconstruction and the picture, six channels; gives logits of good and anomalous."""

    def __init__(self, w):
        super().__init__()
        self.encoder_segment = Encoder(6, w, 6)
        self.decoder_segment = DiscriminativeDecoder(w)

    def forward(self, x):
        *skips, x = encode(self.encoder_segment, x, 6)
        decoder = self.decoder_segment
        for end, skip in zip(["_b", "1", "2", "3", "4"], skips[::-1]):
            x = getattr(decoder, f"up{end}")(x)
            x = getattr(decoder, f"db{end}")(torch.cat([x, skip], 1))
        return decoder.fin_out(x)


class Draem(nn.Module):
    def __init__(self, reconstructive_width, discriminative_width, reconstructive_poolings=4):
        super().__init__()
        self.rec = Reconstructive(reconstructive_width, reconstructive_poolings)
        self.seg = Discriminative(discriminative_width)

    def forward(self, x):
        repainted = self.rec(x)
        return repainted, self.seg(torch.cat([repainted, x], 1))


def first_weights(networks):
    """As the authors start: weights of convolutions around 0, of norms around 1, deviation 0.02."""
    for module in networks.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


def rare_defects(networks, prior=0.02):
    """As ours start besides: every pixel's probability of a defect is `prior`."""
    half = math.log((1 - prior) / prior) / 2
    with torch.no_grad():
        networks.seg.decoder_segment.fin_out[0].bias.copy_(torch.tensor([half, -half]))


def taps_like(x):
    taps = [np.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    taps = torch.tensor(taps, dtype=x.dtype, device=x.device)
    return taps / taps.sum()


def blur(x):
    """As the authors write it: one window of 11x11 taps."""
    taps = taps_like(x)
    return F.conv2d(x, (taps[:, None] * taps[None]).expand(3, 1, 11, 11), padding=5, groups=3)


def separable_blur(x):
    """The same window in two passes of 11 taps."""
    taps = taps_like(x)
    lines = F.conv2d(x, taps.view(1, 1, 11, 1).expand(3, 1, 11, 1), padding=(5, 0), groups=3)
    return F.conv2d(lines, taps.view(1, 1, 1, 11).expand(3, 1, 1, 11), padding=(0, 5), groups=3)


def ssim_loss(a, b, mean=blur):
    span = (255 if a.max() > 128 else 1) - (-1 if a.min() < -0.5 else 0)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    ma, mb = mean(a), mean(b)
    va, vb, covariance = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    top = (2 * ma * mb + c1) * (2 * covariance + c2)
    return 1 - (top / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean()


def focal_loss(logits, mask):
    wanted = torch.cat([1 - mask, mask], 1).clamp(1e-5, 1 - 1e-5)
    p = (wanted * torch.softmax(logits, 1)).sum(1) + 1e-5
    return (-((1 - p) ** 2) * p.log()).mean()


def losses(networks, clean, seen, mask, blur=blur):
    """L2, SSIM and focal loss of one batch; their sum is what is minimised."""
    repainted, logits = networks(seen)
    return F.mse_loss(repainted, clean), ssim_loss(repainted, clean, blur), focal_loss(logits, mask)
