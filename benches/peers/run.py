"""The same graph and the same tile in blemish and in other engines, turn by turn.

    python3 benches/peers/run.py [--rounds 15] [--tiles 10] [--threads 1] [--cpus 1] [BUNDLE ...]

Installs ONNX Runtime, OpenVINO, LiteRT and ncnn by pip into target/peers-venv the first time. Without a
BUNDLE it takes models/default.onnx. Every engine is a process of its own that computes `--tiles` tiles in
each round while the others wait; what cannot be installed or cannot run the graph says why and is left out.
Prints medians and least times, by the wall's clock and of the processor, the ratios of both to blemish, and
how far each map is from blemish's. `--bundles` first makes untrained bundles of 16/8, 16/16 and 32/16, int8
and f32, in target/peers-bundles (minutes), and takes those. `--avx2` holds blemish and OpenVINO to AVX2 and
leaves out the others, which have no switch for it and look at the processor themselves.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "target/peers-venv"
BUNDLES = ROOT / "target/peers-bundles"
PROGRAM = ROOT / "target/release/blemish"
TRAINER = ROOT / "target/release/blemish-train"
PACKAGES = {
    "ONNX Runtime": ["onnxruntime", "numpy", "onnx"],
    "OpenVINO": ["openvino", "numpy"],
    "LiteRT": ["ai-edge-litert", "numpy", "onnx", "flatbuffers"],
    "ncnn": ["ncnn", "pnnx", "numpy", "onnx"],
}
WIDTHS = [(16, 8), (16, 16), (32, 16)]
# What oneDNN, and with it OpenVINO, reads before it looks at the processor.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"}


class Peer:
    """One engine's process: a line in for every round, a line of JSON out."""

    def __init__(self, name, command, more_environment):
        self.name = name
        self.samples = []
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **more_environment},
        )

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            said = [text for text in self.errors.read().splitlines() if text.strip()]
            raise RuntimeError(said[-1] if said else "ended without a word")
        return json.loads(line)

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.samples.append(self.read())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Blemish:
    """blemish is started for every round: its own command measures."""

    def __init__(self, program, bundle, folder, tiles, threads, avx2):
        self.name = "blemish"
        self.samples = []
        self.command = [program, "bench", "--json", "--model", bundle, "--tiles", str(tiles)]
        self.command += ["--threads", str(threads), "--save", folder]
        self.threads = threads
        self.command += ["--kernels", "avx2"] if avx2 else []

    def round(self):
        said = subprocess.run(self.command, stdout=subprocess.PIPE, check=True).stdout
        self.said = json.loads(said)
        tile = self.said["tile"]
        sample = {
            "wall": [tile["median_ms"], tile["min_ms"]],
            "cpu": [tile["cpu_median_ms"], tile["cpu_min_ms"]],
        }
        if self.threads > 1:
            (tile,) = (row for row in self.said["one_tile"] if row["threads"] == self.threads)
            # The processor's time of all threads is not measured there.
            sample = {"wall": [tile["median_ms"], tile["min_ms"]], "cpu": [math.nan, math.nan]}
        self.samples.append(sample)

    def close(self):
        pass


def install(name):
    """Why the packages are not there, or None."""
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(command + PACKAGES[name], capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1]


def make_bundles():
    BUNDLES.mkdir(parents=True, exist_ok=True)
    web = BUNDLES / "web"
    if not web.exists():
        size = ["--good", "12", "--test-good", "1", "--defect", "0", "--width", "256", "--lines", "256"]
        subprocess.run([PROGRAM, "synth", "--out", web, *size], check=True)
    bundles = []
    for rec, seg in WIDTHS:
        run = BUNDLES / f"run-{rec}-{seg}"
        exact = BUNDLES / f"{rec}-{seg}.f32.onnx"
        quantized = BUNDLES / f"{rec}-{seg}.int8.onnx"
        if not quantized.exists():
            widths = ["--reconstructive-width", str(rec), "--discriminative-width", str(seg)]
            steps = ["--tile", "256x256", "--steps", "2", "--batch", "1", "--hold-out", "0.2"]
            subprocess.run([TRAINER, "fit", web, *widths, *steps, "--out", run], check=True)
            exact.write_bytes((run / "model.onnx").read_bytes())
            subprocess.run([TRAINER, "quantize", "--steps=0", run, "--out", quantized], check=True)
        bundles += [quantized, exact]
    return bundles


def compare(bundle, options):
    """Rounds of all engines on one bundle; prints a table."""
    with tempfile.TemporaryDirectory() as folder:
        ours = Blemish(options.program, bundle, folder, options.tiles, options.threads, options.avx2)
        ours.round()  # writes the tile that the others read
        ours.samples.clear()
        engines = [ours]
        model = ours.said["model"]
        kind = "int8" if model["quantized"] else "f32"
        widths = "/".join(map(str, model["widths"]))
        size = model["tile"]
        print(
            f"\n{bundle}: DRAEM {widths}, {kind}, {size['width_px']}x{size['height_px']} px, "
            f"{options.threads} threads, {options.rounds} rounds of {options.tiles} tiles"
            + (", AVX2" if options.avx2 else "")
        )
        script = pathlib.Path(__file__).with_name("engines.py")
        for name in PACKAGES:
            if reason := options.missing.get(name):
                print(f"  {name}: left out: {reason}")
                continue
            python = [VENV / "bin/python", script, name, bundle, folder]
            peer = Peer(
                name,
                [*map(str, python), str(options.tiles), str(options.threads)],
                AVX2 if options.avx2 else {},
            )
            try:
                ready = peer.read()
                peer.name = f"{name} {ready['version']}"
                peer.difference = ready["difference"]
                engines.append(peer)
            except (RuntimeError, json.JSONDecodeError) as error:
                print(f"  {name}: left out: {error}")
        for _ in range(options.rounds):
            for engine in list(engines):
                try:
                    engine.round()
                except RuntimeError as error:
                    print(f"  {engine.name}: left out: {error}")
                    engines.remove(engine)
        rows = [(engine, *figures(engine.samples)) for engine in engines]
        for engine in engines:
            engine.close()
    print(
        f"  {'':<24} {'wall ms: median, least':>24} {'CPU ms: median, least':>24} "
        f"{'to blemish: wall':>18} {'CPU':>12}  greatest difference"
    )
    base = rows[0]
    for engine, wall, cpu in rows:
        ratio = lambda mine, its: f"{its[0] / mine[0]:.2f} {its[1] / mine[1]:.2f}"
        differs = getattr(engine, "difference", None)
        print(
            f"  {engine.name:<24} {wall[0]:>15.2f} {wall[1]:>8.2f} {cpu[0]:>15.2f} {cpu[1]:>8.2f} "
            f"{ratio(base[1], wall):>18} {ratio(base[2], cpu):>12}  "
            + ("" if differs is None else f"{differs:.1e}")
        )
    print(f"  blemish: {100 * ours.said['tile']['share_of_peak']:.1f} % of this core's {kind} peak")


def figures(samples):
    """Median over rounds of the medians, least of the least; by the wall and of the processor."""
    clocks = []
    for clock in ("wall", "cpu"):
        medians = statistics.median(sample[clock][0] for sample in samples)
        clocks.append((medians, min(sample[clock][1] for sample in samples)))
    return clocks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiles", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpus", help="processors for all engines, such as 1 or 0,1")
    parser.add_argument("--bundles", action="store_true", help="make and take untrained bundles")
    parser.add_argument("--avx2", action="store_true", help="hold all to AVX2 that can be held to it")
    parser.add_argument("--program", default=PROGRAM, help="another blemish than target/release's")
    options = parser.parse_args()
    if not pathlib.Path(options.program).exists():
        sys.exit("build first: cargo build --release --workspace")
    if options.cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in options.cpus.split(",")})
    options.missing = {name: install(name) for name in PACKAGES}
    if options.avx2:
        free = {name: "cannot be held to AVX2" for name in PACKAGES if name != "OpenVINO"}
        options.missing.update(free)
    bundles = make_bundles() if options.bundles else options.bundle or [ROOT / "models/default.onnx"]
    for bundle in bundles:
        compare(str(bundle), options)


main()
