"""Instructions of one 256x256 px tile on an emulated Cortex-A76 and Cortex-A72, by the engine's own functions.

    tests/aarch64/run-all.sh            # builds the program for aarch64
    python3 benches/aarch64/instructions.py BUNDLE [BUNDLE ...]

Counts with a plugin of qemu-aarch64 what `blemish inspect` runs on two pictures and on one; the difference is
one tile. Left out is what is not the engine, such as reading the picture: in that build the dependencies are
not optimized. Instructions are no time, but on one core they are what the kernels can do about it.
"""

import collections
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = ROOT / "target/aarch64"
PROGRAM = BUILT / "build/aarch64-unknown-linux-gnu/release/blemish"
GLIBC = BUILT / "toolchain/glibc/usr/aarch64-linux-gnu"
# What of the engine runs once for each tile.
PARTS = ("kernels", "byte_ops", "transform3ops", "program", "team", "tract14TractInspector")


def picture(side):
    lines = b"".join(b"\0" + bytes((7 * x + 5 * y) % 251 for x in range(side)) for y in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def counts(plugin, cpu, bundle, folder):
    """Instructions of each function of the engine."""
    command = ["qemu-aarch64", "-cpu", cpu, "-L", GLIBC, "-plugin", plugin, PROGRAM]
    command += ["inspect", folder, "--model", bundle, "--threads", "1"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[-2000:])
    found = collections.Counter()
    for line in done.stderr.splitlines():
        count, _, name = line.strip().partition(" ")
        if count.isdigit() and "7blemish6engine" in name and any(part in name for part in PARTS):
            found[name] += int(count)
    return found


def main():
    if not PROGRAM.exists():
        sys.exit("build first: tests/aarch64/run-all.sh")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        plugin = folder / "instructions.so"
        source = pathlib.Path(__file__).with_name("instructions.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", plugin, source], check=True)
        for pictures in (1, 2):
            (folder / str(pictures)).mkdir()
            for number in range(pictures):
                (folder / f"{pictures}/{number}.png").write_bytes(picture(256))
        for bundle in sys.argv[1:]:
            for cpu in ("cortex-a76", "cortex-a72"):
                one, two = (counts(plugin, cpu, bundle, folder / str(n)) for n in (1, 2))
                tile = two - one
                print(f"{bundle}, {cpu}: {sum(tile.values()) / 1e6:.1f} million instructions a tile")
                for name, count in tile.most_common(6):
                    print(f"  {count / 1e6:8.1f}  {name}")


main()
