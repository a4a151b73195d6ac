"""One training step of ours against PyTorch's, turn by turn, on the same number of threads.

    python3 -m venv v && v/bin/pip install torch numpy
    cargo build --release --workspace --examples
    v/bin/python benches/peers/step.py 16 8 128 8 1     # widths, tile side, pictures, threads; then rounds, if not 5

PyTorch runs as users write it, with channels last, and with channels last and SSIM's window, which DRAEM's authors
apply as 11x11 taps, in two passes of 11 as ours is. Wall seconds and seconds of processor time a step: on a
machine that does other work, trust the processor's. Ratios above 1 mean that ours is faster.
"""

import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

import torch

from draem import Draem, first_weights, losses, separable_blur

WIDTHS, (SIDE, PICTURES, THREADS) = sys.argv[1:3], map(int, sys.argv[3:6])
ROUNDS = int(sys.argv[6]) if len(sys.argv) > 6 else 5
STEPS = 5
OURS = pathlib.Path(__file__).parents[2] / "target/release/examples/step_time"


def ours():
    text = subprocess.run([OURS, *sys.argv[1:6]], capture_output=True, text=True, check=True).stdout
    wall, processor = re.search(r"median (\S+) s.*processor (\S+) s", text).groups()
    return float(wall), float(processor)


class Torch:
    def __init__(self, layout, **blur):
        self.blur = blur
        torch.manual_seed(0)
        self.model = Draem(*map(int, WIDTHS))
        first_weights(self.model)
        self.model = self.model.train().to(memory_format=layout)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self.clean = torch.rand(PICTURES, 3, SIDE, SIDE)
        self.seen = self.clean.contiguous(memory_format=layout)
        self.mask = torch.zeros(PICTURES, 1, SIDE, SIDE)
        self.step()

    def step(self):
        self.adam.zero_grad()
        sum(losses(self.model, self.clean, self.seen, self.mask, **self.blur)).backward()
        self.adam.step()

    def __call__(self):
        used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        walls, before = [], used()
        for _ in range(STEPS):
            started = time.perf_counter()
            self.step()
            walls.append(time.perf_counter() - started)
        return statistics.median(walls), (used() - before) / STEPS


torch.set_num_threads(THREADS)
rivals = {
    "ours": ours,
    "PyTorch": Torch(torch.contiguous_format),
    "PyTorch, channels last": Torch(torch.channels_last),
    "the same, two-pass SSIM": Torch(torch.channels_last, blur=separable_blur),
}
figures = {name: [] for name in rivals}
for _ in range(ROUNDS):
    for name, measure in rivals.items():
        figures[name].append(measure())
print(f"DRAEM {'/'.join(WIDTHS)}, {SIDE}x{SIDE}, batch {PICTURES}, {THREADS} threads, torch {torch.__version__}")
best = {}
for name, rounds in figures.items():
    walls, processors = zip(*rounds)
    best[name] = [statistics.median(walls), min(walls), statistics.median(processors), min(processors)]
    ratios = [value / own for value, own in zip(best[name], best["ours"])]
    print(
        f"{name:24} wall median {best[name][0]:.3f} s, least {best[name][1]:.3f}; processor median "
        f"{best[name][2]:.3f} s, least {best[name][3]:.3f}; times ours: "
        + ", ".join(f"{ratio:.2f}" for ratio in ratios)
    )
