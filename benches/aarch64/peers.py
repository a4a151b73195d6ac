"""Instructions of one 256x256 px tile in ONNX Runtime's and ncnn's arm64 builds, on an emulated Cortex-A76 and A72.

    python3 benches/aarch64/peers.py INT8_BUNDLE FLOAT_BUNDLE

Puts Debian's arm64 python3.11 and the two wheels into target/aarch64/peers the first time, and counts all of
the program's instructions with the plugin of `instructions.py`, three tiles less one. ONNX Runtime gets the int8
bundle. ncnn gets the float one with its own settings (half precision where the processor computes in it): its
package has no tool that makes an int8 model of such a graph. `pnnx` for it is taken from target/peers-venv,
which `benches/peers/run.py` makes.
"""

import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = ROOT / "target/aarch64/peers"
SYSTEM, WHEELS = PLACE / "system", PLACE / "wheels"
PNNX = ROOT / "target/peers-venv/bin/pnnx"
PACKAGES = """libc6 libgcc-s1 libstdc++6 libgomp1 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0 liblzma5 libuuid1
    python3.11-minimal libpython3.11-minimal libpython3.11-stdlib""".split()
# What /proc/cpuinfo says of each: qemu shows programs the host's, from which ONNX Runtime crashes.
PROCESSORS = {
    "cortex-a76": ("0xd0b", "fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"),
    "cortex-a72": ("0xd08", "fp asimd aes pmull sha1 sha2 crc32"),
}

TILE = """
import sys
import numpy
tiles = int(sys.argv[2])
lines, columns = numpy.mgrid[0:256, 0:256]
tile = numpy.repeat(((7 * columns + 5 * lines) % 251 / 255)[None, None], 3, 1).astype("f4")
"""
ONNX_RUNTIME = TILE + """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
for _ in range(tiles):
    result = session.run(None, {session.get_inputs()[0].name: tile})[0]
print(onnxruntime.__version__, float(result.max()))
"""
NCNN = TILE + """
import ncnn
net = ncnn.Net()
net.opt.num_threads = 1
net.load_param(sys.argv[1] + ".param")
net.load_model(sys.argv[1] + ".bin")
for _ in range(tiles):
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(tile[0]).clone())
    result = numpy.array(extractor.extract("out0")[1])
print(ncnn.__version__, float(result.max()))
"""


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}")
    return done


def install():
    if (PLACE / "ready").exists():
        return
    lists, debs = PLACE / "lists", PLACE / "debs"
    for folder in (lists / "partial", debs, SYSTEM, WHEELS):
        folder.mkdir(parents=True, exist_ok=True)
    apt = ["apt-get", "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", f"-oDir::State::Lists={lists}"]
    run(*apt, "update")
    run(*apt, "download", *PACKAGES, cwd=debs)
    for deb in debs.glob("*.deb"):
        run("dpkg", "-x", deb, SYSTEM)
    wheels = ["--platform=manylinux_2_28_aarch64", "--platform=manylinux_2_27_aarch64"]
    wheels += ["--platform=manylinux_2_17_aarch64", "--platform=manylinux2014_aarch64"]
    wheels += ["--python-version=3.11", "--only-binary=:all:", "--no-deps", f"--target={WHEELS}"]
    run(sys.executable, "-m", "pip", "install", *wheels, "onnxruntime", "ncnn", "numpy")
    (PLACE / "ready").touch()


def pretend(processor):
    """One such processor in the files that programs look at: qemu prefers what lies in SYSTEM."""
    part, features = PROCESSORS[processor]
    cpus = SYSTEM / "sys/devices/system/cpu"
    cpus.mkdir(parents=True, exist_ok=True)
    for name in ("possible", "present", "online", "kernel_max"):
        (cpus / name).write_text("0\n")
    (SYSTEM / "proc").mkdir(exist_ok=True)
    (SYSTEM / "proc/cpuinfo").write_text(
        f"processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n"
    )


def counted(plugin, processor, program, model, tiles):
    """The program's output, and its instructions."""
    pretend(processor)
    command = ["qemu-aarch64", "-cpu", processor, "-L", SYSTEM, "-E", f"PYTHONPATH={WHEELS}"]
    # One thread of BLAS, and the same dictionaries in every run.
    command += ["-E", "OPENBLAS_NUM_THREADS=1", "-E", "PYTHONHASHSEED=0", "-plugin", plugin]
    done = run(*command, SYSTEM / "usr/bin/python3.11", "-c", program, model, tiles)
    count = [line.split()[0] for line in done.stderr.splitlines() if line.endswith(" instructions")]
    return done.stdout.strip(), int(count[-1])


def main():
    int8, float_bundle = map(pathlib.Path, sys.argv[1:])
    install()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        plugin = folder / "instructions.so"
        source = pathlib.Path(__file__).with_name("instructions.c")
        run("cc", "-shared", "-fPIC", "-O2", "-o", plugin, source)
        (folder / "model.onnx").write_bytes(float_bundle.read_bytes())
        run(PNNX, "model.onnx", "inputshape=[1,3,256,256]", cwd=folder)
        for name, program, model in (
            ("ONNX Runtime int8", ONNX_RUNTIME, int8),
            ("ncnn", NCNN, folder / "model.ncnn"),
        ):
            for processor in PROCESSORS:
                (said, one), (_, three) = (counted(plugin, processor, program, model, n) for n in (1, 3))
                print(f"{name} {said}, {processor}: {(three - one) / 2e6:.1f} million instructions a tile", flush=True)


main()
