"""Checks a bundle with onnx.checker and compares ONNX Runtime with the trainer's reference forward.

usage: onnx_runtime_parity.py BUNDLE TILE MAP RECONSTRUCTION

TILE, MAP and RECONSTRUCTION are raw f32 files in the layout of the bundle's input and outputs.
Prints one JSON object with the greatest differences.
"""

import json
import sys

import numpy
import onnx
import onnxruntime


def main(bundle, tile, *expected):
    model = onnx.load(bundle)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(bundle, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    image = numpy.fromfile(tile, "<f4").reshape(shape)
    outputs = session.run(None, {session.get_inputs()[0].name: image})
    report = {
        "opset": model.opset_import[0].version,
        "inputs": [value.name for value in session.get_inputs()],
        "outputs": [value.name for value in session.get_outputs()],
        "metadata": sorted(session.get_modelmeta().custom_metadata_map),
        "differences": [
            float(numpy.abs(output.ravel() - numpy.fromfile(path, "<f4")).max())
            for output, path in zip(outputs, expected, strict=True)
        ],
        "versions": [onnx.__version__, onnxruntime.__version__],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
