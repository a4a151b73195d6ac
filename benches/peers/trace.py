"""How far PyTorch itself strays from the golden six-step trace when it rounds otherwise.

    python3 -m venv v && v/bin/pip install torch numpy
    v/bin/python benches/peers/trace.py GOLDEN_FOLDER

DRAEM 4/4 on 64x64 from the trace's initial weights, once per way of rounding: relative difference of
the losses l2, ssim, focal and their sum by step, and absolute difference of the batch norm buffers
after six steps. The first way is the nearest to how the trace was made.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = sys.argv[1]
TRACE = np.load(FOLDER + "/train_trace_4_4_64.npz")
EXPECTED = json.load(open(FOLDER + "/scalars.json"))["train_trace_l2_ssim_focal_total"]


class Networks:
    def __init__(self, dtype):
        self.values = {}
        for key in TRACE.files:
            if key.startswith("init/") and "num_batches" not in key:
                value = torch.tensor(TRACE[key]).to(dtype)
                self.values[key[5:]] = value.requires_grad_("running" not in key)

    def conv(self, x, name):
        return F.conv2d(x, self.values[name + ".weight"], self.values[name + ".bias"], padding=1)

    def layer(self, x, name, index):
        norm = f"{name}.{index + 1}"
        of = lambda key: self.values[f"{norm}.{key}"]
        x = self.conv(x, f"{name}.{index}")
        statistics = of("running_mean"), of("running_var")
        return F.relu(F.batch_norm(x, *statistics, of("weight"), of("bias"), True, 0.1, 1e-5))

    def block(self, x, name):
        return self.layer(self.layer(x, name, 0), name, 3)

    def up(self, x, name):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.layer(x, name, 1)

    def reconstruct(self, x):
        for depth in range(1, 6):
            x = self.block(x if depth == 1 else F.max_pool2d(x, 2), f"rec.encoder.block{depth}")
        for depth in range(1, 5):
            x = self.block(self.up(x, f"rec.decoder.up{depth}"), f"rec.decoder.db{depth}")
        return self.conv(x, "rec.decoder.fin_out.0")

    def judge(self, x):
        skips = []
        for depth in range(1, 7):
            name = f"seg.encoder_segment.block{depth}"
            x = self.block(x if depth == 1 else F.max_pool2d(x, 2), name)
            skips.append(x)
        for end, skip in zip(["_b", "1", "2", "3", "4"], skips[4::-1]):
            x = self.up(x, f"seg.decoder_segment.up{end}")
            x = self.block(torch.cat([x, skip], 1), f"seg.decoder_segment.db{end}")
        return self.conv(x, "seg.decoder_segment.fin_out.0")


def ssim_loss(a, b):
    taps = torch.tensor([np.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)], dtype=a.dtype)
    taps = taps / taps.sum()
    window = (taps[:, None] * taps[None]).expand(3, 1, 11, 11)
    mean = lambda x: F.conv2d(x, window, padding=5, groups=3)
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


def follow(name, threads=1, dtype=torch.float32, onednn=True):
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = onednn
    networks = Networks(dtype)
    clean, seen, mask = (torch.tensor(TRACE[key]).to(dtype) for key in "IXM")
    learnable = [value for value in networks.values.values() if value.requires_grad]
    adam = torch.optim.Adam(learnable, lr=1e-4)
    print(name)
    for step, expected in enumerate(EXPECTED):
        repainted = networks.reconstruct(seen)
        logits = networks.judge(torch.cat([repainted, seen], 1))
        terms = [
            F.mse_loss(repainted, clean),
            ssim_loss(repainted, clean),
            focal_loss(logits, mask),
        ]
        loss = sum(terms)
        adam.zero_grad()
        loss.backward()
        adam.step()
        off = [abs(got.item() - want) / want for got, want in zip(terms + [loss], expected)]
        print(f"  step {step}:", "  ".join(f"{value:.1e}" for value in off))
    off = [
        np.abs(value.detach().numpy() - TRACE["final/" + key]).ravel()
        for key, value in networks.values.items()
        if "running" in key
    ]
    off = np.concatenate(off)
    print(f"  buffers: mean {off.mean():.1e}, greatest {off.max():.1e}")


follow("float, one thread, oneDNN")
follow("float, two threads, oneDNN", threads=2)
follow("float, one thread, without oneDNN", onednn=False)
follow("double", dtype=torch.float64)
