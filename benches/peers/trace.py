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

from draem import Draem, losses

FOLDER = sys.argv[1]
TRACE = np.load(FOLDER + "/train_trace_4_4_64.npz")
EXPECTED = json.load(open(FOLDER + "/scalars.json"))["train_trace_l2_ssim_focal_total"]


def networks(dtype):
    model = Draem(4, 4)
    start = {key[5:]: torch.tensor(TRACE[key]) for key in TRACE.files if key.startswith("init/")}
    model.load_state_dict(start)
    return model.to(dtype).train()


def follow(name, threads=1, dtype=torch.float32, onednn=True):
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = onednn
    model = networks(dtype)
    clean, seen, mask = (torch.tensor(TRACE[key]).to(dtype) for key in "IXM")
    adam = torch.optim.Adam(model.parameters(), lr=1e-4)
    print(name)
    for step, expected in enumerate(EXPECTED):
        terms = losses(model, clean, seen, mask)
        loss = sum(terms)
        adam.zero_grad()
        loss.backward()
        adam.step()
        off = [abs(got.item() - want) / want for got, want in zip([*terms, loss], expected)]
        print(f"  step {step}:", "  ".join(f"{value:.1e}" for value in off))
    off = [
        np.abs(value.detach().numpy() - TRACE["final/" + key]).ravel()
        for key, value in model.state_dict().items()
        if "running" in key
    ]
    off = np.concatenate(off)
    print(f"  buffers: mean {off.mean():.1e}, greatest {off.max():.1e}")


follow("float, one thread, oneDNN")
follow("float, two threads, oneDNN", threads=2)
follow("float, one thread, without oneDNN", onednn=False)
follow("double", dtype=torch.float64)
