"""The same training in PyTorch: the batches of a run of ours, its widths, steps and learning rates.

    python3 -m venv v && v/bin/pip install torch numpy
    cargo build --release --workspace --examples
    blemish-train fit CLASS --out runs/ours --steps 3000 --device cpu
    v/bin/python benches/peers/draem_torch.py runs/ours runs/torch [--seed 1] [--threads 1] [--device cuda]
    blemish-train export runs/torch && blemish-train eval runs/torch CLASS

Pictures, tiles and simulated defects come from `target/release/examples/batches`, so that only networks,
losses, optimiser and first weights differ. What is trained is written as a checkpoint of ours: `export` and
`eval` then treat both alike.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import time
import tomllib

import numpy as np
import torch

from draem import Draem, first_weights, half_pixel, losses, rare_defects

EXAMPLES = pathlib.Path(__file__).parents[2] / "target/release/examples"


def batches(run, steps):
    """Clean and seen pictures and masks of every step."""
    program = subprocess.Popen([EXAMPLES / "batches", run, str(steps)], stdout=subprocess.PIPE)
    pictures, height, width = struct.unpack("<3I", program.stdout.read(12))
    area = height * width
    for _ in range(steps):
        parts = []
        for channels in (3, 3, 1):
            data = program.stdout.read(4 * pictures * channels * area)
            values = np.frombuffer(data, "<f4").reshape(pictures, channels, height, width)
            parts.append(torch.from_numpy(values.copy()))
        yield parts
    if program.wait():
        raise SystemExit("the batches ended early")


def newest(run):
    return max(pathlib.Path(run).glob("checkpoint-*.safetensors"))


def metadata_of(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        return json.loads(file.read(length))["__metadata__"]


def write_checkpoint(path, model, adam, metadata):
    """As `train/src/checkpoint.rs` reads it."""
    arrays = {}
    for name, value in model.state_dict().items():
        if "num_batches" not in name:
            arrays["weights/" + name] = value
    for name, parameter in model.named_parameters():
        state = adam.state[parameter]
        arrays["adam.first/" + name] = state["exp_avg"]
        arrays["adam.second/" + name] = state["exp_avg_sq"]
    arrays = {key: arrays[key].detach().cpu().contiguous().numpy().astype("<f4") for key in sorted(arrays)}
    digest = hashlib.sha256()
    sized = lambda text: digest.update(struct.pack("<Q", len(text)) + text)
    for key in sorted(metadata):
        sized(key.encode())
        sized(metadata[key].encode())
    entries, offset = {}, 0
    for name, values in arrays.items():
        sized(name.encode())
        digest.update(struct.pack(f"<{1 + values.ndim}Q", values.ndim, *values.shape))
        digest.update(values.tobytes())
        end = offset + values.nbytes
        entries[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [offset, end]}
        offset = end
    header = json.dumps({"__metadata__": {**metadata, "sha256": digest.hexdigest()}, **entries})
    header = header.encode() + b" " * (-len(header.encode()) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for values in arrays.values():
            file.write(values.tobytes())


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("ours", help="folder of a run of ours, which may be a stopped one")
    arguments.add_argument("out", help="folder of the run to write")
    arguments.add_argument("--seed", type=int, help="of the first weights; the run's own if left out")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--device", default="cpu", help="cpu or cuda; no TF32 on either")
    arguments = arguments.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = tomllib.load(open(arguments.ours + "/config.toml", "rb"))["recipe"]
    seed = recipe["seed"] if arguments.seed is None else arguments.seed
    torch.manual_seed(seed)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    network, steps = recipe["network"], recipe["steps"]
    widths = network["reconstructive_width"], network["discriminative_width"]
    model = Draem(*widths, network.get("reconstructive_poolings", 4))
    first_weights(model)
    rare_defects(model)
    if network["upsampling"] == "half_pixel":
        half_pixel(model)
    model = model.train().to(arguments.device, memory_format=torch.channels_last)
    adam = torch.optim.Adam(model.parameters(), lr=recipe["learning_rate"])
    os.makedirs(arguments.out)
    shutil.copy(arguments.ours + "/config.toml", arguments.out)
    log = open(arguments.out + "/metrics.jsonl", "w")
    seconds = 0.0
    for done, (clean, seen, mask) in enumerate(batches(arguments.ours, steps)):
        started = time.perf_counter()
        rate = recipe["learning_rate"]
        rate *= 0.04 if 10 * done >= 9 * steps else 0.2 if 10 * done >= 8 * steps else 1
        adam.param_groups[0]["lr"] = rate
        clean, seen, mask = (part.to(arguments.device) for part in (clean, seen, mask))
        seen = seen.contiguous(memory_format=torch.channels_last)
        terms = losses(model, clean, seen, mask)
        adam.zero_grad()
        sum(terms).backward()
        adam.step()
        l2, ssim, focal = (term.item() for term in terms)
        seconds += time.perf_counter() - started
        record = {"kind": "step", "step": done + 1, "l2": l2, "ssim": ssim, "focal": focal}
        print(json.dumps(record | {"learning_rate": rate, "seconds": seconds}), file=log)
        if (done + 1) % 100 == 0:
            print(f"step {done + 1}/{steps}: {seconds / (done + 1):.3f} s a step", flush=True)
    log.close()
    metadata = metadata_of(newest(arguments.ours))
    metadata.pop("sha256")
    metadata |= {"step": str(steps), "adam_steps": str(steps)}
    path = f"{arguments.out}/checkpoint-{steps:08}.safetensors"
    write_checkpoint(path, model, adam, metadata)
    print(f"{path}: {seconds / steps:.3f} s a step, {arguments.device}, {arguments.threads} threads")


if __name__ == "__main__":
    main()
