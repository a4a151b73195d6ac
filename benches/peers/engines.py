"""One engine in a process of its own: loads a bundle, says how far its map is from blemish's, then computes
tiles whenever a line comes in. Started by run.py with NAME BUNDLE FOLDER TILES THREADS."""

import json
import pathlib
import sys
import time

import numpy


def onnx_runtime(bundle, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(bundle, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return onnxruntime.__version__, lambda tile: session.run(None, {name: tile})[0]


def openvino(bundle, threads):
    import openvino as ov

    core = ov.Core()
    # Without the hint it would round f32 to bf16 on processors that have it.
    hints = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(bundle), "CPU", hints)
    request = compiled.create_infer_request()

    def run(tile):
        request.infer([tile], share_inputs=True)
        return request.get_output_tensor(0).data

    return ov.__version__.split("-")[0], run


def ncnn(bundle, threads):
    import subprocess
    import tempfile

    import ncnn as engine
    import onnx

    model = onnx.load(bundle)
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise RuntimeError("its pip package has no tool that makes an int8 model of this graph")
    folder = tempfile.mkdtemp()
    shape = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    source = f"{folder}/model.onnx"
    onnx.save(model, source)
    tool = pathlib.Path(sys.executable).with_name("pnnx")
    sides = ",".join(map(str, shape))
    done = subprocess.run(
        [tool, source, f"inputshape=[{sides}]", "fp16=0"], capture_output=True, text=True, cwd=folder
    )
    if not pathlib.Path(f"{folder}/model.ncnn.param").exists():
        raise RuntimeError("pnnx: " + (done.stderr.strip().splitlines() or ["no model came out"])[-1])
    net = engine.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param(f"{folder}/model.ncnn.param")
    net.load_model(f"{folder}/model.ncnn.bin")

    def run(tile):
        extractor = net.create_extractor()
        extractor.input("in0", engine.Mat(tile[0]).clone())
        return numpy.array(extractor.extract("out0")[1])

    return engine.__version__, run


def litert(bundle, threads):
    import importlib.metadata

    from ai_edge_litert.interpreter import Interpreter

    import litert_model

    interpreter = Interpreter(model_content=litert_model.convert(bundle), num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    map_at = interpreter.get_output_details()[0]["index"]

    def run(tile):
        interpreter.set_tensor(source, numpy.ascontiguousarray(tile.transpose(0, 2, 3, 1)))
        interpreter.invoke()
        return interpreter.get_tensor(map_at)

    return importlib.metadata.version("ai-edge-litert"), run


ENGINES = {"ONNX Runtime": onnx_runtime, "OpenVINO": openvino, "LiteRT": litert, "ncnn": ncnn}


def say(**fields):
    print(json.dumps(fields), flush=True)


def main(name, bundle, folder, tiles, threads):
    values = numpy.fromfile(f"{folder}/tile.f32", "<f4")
    expected = numpy.fromfile(f"{folder}/map.f32", "<f4")
    import onnx

    sides = onnx.load(bundle).graph.input[0].type.tensor_type.shape.dim
    tile = values.reshape([side.dim_value for side in sides])
    version, run = ENGINES[name](bundle, int(threads))
    difference = float(numpy.abs(numpy.asarray(run(tile)).ravel() - expected).max())
    say(version=version, difference=difference)
    for _ in sys.stdin:
        wall, cpu = [], []
        run(tile)
        for _ in range(int(tiles)):
            starts = time.perf_counter(), time.process_time()
            run(tile)
            wall.append(1e3 * (time.perf_counter() - starts[0]))
            cpu.append(1e3 * (time.process_time() - starts[1]))
        middle = lambda samples: sorted(samples)[len(samples) // 2]
        say(wall=[middle(wall), min(wall)], cpu=[middle(cpu), min(cpu)])


main(*sys.argv[1:])
