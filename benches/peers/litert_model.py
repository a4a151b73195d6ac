"""A bundle's ONNX graph as a LiteRT flatbuffer: the same integers in int8 (u8 less 128), NHWC.

The last convolution has no quantized output in ONNX; LiteRT has no such kernel, so here its logits are
rounded to a fixed grid of 1/8 first.
"""

import flatbuffers
import numpy
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

OPERATORS = schema.BuiltinOperator
LOGIT_SCALE = 0.125


class Converter:
    def __init__(self, path):
        self.graph = onnx.load(path).graph
        self.constants = {a.name: numpy_helper.to_array(a) for a in self.graph.initializer}
        self.by_input = {}
        for node in self.graph.node:
            for name in node.input:
                self.by_input.setdefault(name, []).append(node)
        self.by_output = {node.output[0]: node for node in self.graph.node}
        self.quantized = any(node.op_type == "QuantizeLinear" for node in self.graph.node)
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.sub = schema.SubGraphT()
        self.sub.tensors, self.sub.operators = [], []
        self.model.subgraphs = [self.sub]
        self.codes = {}
        self.tensors = {}
        self.shapes = {}

    def tensor(self, name, shape, kind, scale=None, zero=None, data=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        tensor.buffer = 0
        if scale is not None:
            grid = schema.QuantizationParametersT()
            grid.scale = [float(s) for s in numpy.atleast_1d(scale)]
            grid.zeroPoint = [int(z) for z in numpy.broadcast_to(zero, len(grid.scale))]
            grid.quantizedDimension = 0
            tensor.quantization = grid
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = numpy.frombuffer(numpy.ascontiguousarray(data).tobytes(), numpy.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.sub.tensors.append(tensor)
        return len(self.sub.tensors) - 1

    def operator(self, kind, inputs, outputs, options=None, options_kind=0):
        if kind not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = kind
            code.deprecatedBuiltinCode = min(kind, 127)
            code.version = 3 if kind in (OPERATORS.CONV_2D, OPERATORS.RESIZE_BILINEAR) else 2
            self.model.operatorCodes.append(code)
            self.codes[kind] = len(self.model.operatorCodes) - 1
        node = schema.OperatorT()
        node.opcodeIndex = self.codes[kind]
        node.inputs, node.outputs = inputs, outputs
        node.builtinOptions, node.builtinOptionsType = options, options_kind
        self.sub.operators.append(node)

    def value(self, name, height, width, channels, grid="asked"):
        """A tensor for an ONNX value, on the grid of the QuantizeLinear behind it."""
        self.shapes[name] = (height, width, channels)
        shape = (1, height, width, channels)
        if grid == "asked":
            behind = [n for n in self.by_input.get(name, []) if n.op_type == "QuantizeLinear"]
            grid = None
            if behind:
                grid = [self.constants[i] for i in behind[0].input[1:3]]
        if grid is None:
            made = self.tensor(name, shape, schema.TensorType.FLOAT32)
        else:
            zero = int(grid[1]) - 128
            made = self.tensor(name, shape, schema.TensorType.INT8, grid[0], zero)
        self.tensors[name] = made
        return made

    def weights(self, name, input_scale, axes):
        """A constant, in bytes where it lies behind DequantizeLinear."""
        if name in self.constants:
            data = self.constants[name]
            data = data.transpose(axes) if axes else data
            return self.tensor(name, data.shape, schema.TensorType.FLOAT32, data=data)
        levels, scale = (self.constants[i] for i in self.by_output[name].input[:2])
        kind = schema.TensorType.INT8 if axes else schema.TensorType.INT32
        data = levels.transpose(axes) if axes else levels
        return self.tensor(name, data.shape, kind, scale, 0, data)

    def convolution(self, node):
        relu = [n for n in self.by_input.get(node.output[0], []) if n.op_type == "Relu"]
        name = relu[0].output[0] if relu else node.output[0]
        source = node.input[0]
        height, width, _ = self.shapes[source]
        weight = self.weights(node.input[1], None, (0, 2, 3, 1))
        bias = self.weights(node.input[2], None, None)
        channels = self.sub.tensors[weight].shape[0]
        head = self.quantized and not any(
            n.op_type == "QuantizeLinear" for n in self.by_input.get(name, [])
        )
        grid = (LOGIT_SCALE, 128) if head else "asked"
        made = self.value(name, height, width, channels, grid)
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        options.padding = schema.Padding.SAME
        if relu:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        inputs = [self.tensors[source], weight, bias]
        self.operator(OPERATORS.CONV_2D, inputs, [made], options, schema.BuiltinOptions.Conv2DOptions)
        if head:
            self.float_of(name)

    def float_of(self, name):
        quantized = self.tensors[name]
        made = self.value(name, *self.shapes[name], grid=None)
        self.operator(OPERATORS.DEQUANTIZE, [quantized], [made])
        return made

    def node(self, node):
        kind, name, source = node.op_type, node.output[0], node.input[0]
        attributes = {a.name: a for a in node.attribute}
        if kind == "Conv":
            self.convolution(node)
        elif kind == "MaxPool":
            height, width, channels = self.shapes[source]
            made = self.value(name, height // 2, width // 2, channels)
            options = schema.Pool2DOptionsT()
            options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
            options.padding = schema.Padding.VALID
            kind = schema.BuiltinOptions.Pool2DOptions
            self.operator(OPERATORS.MAX_POOL_2D, [self.tensors[source]], [made], options, kind)
        elif kind == "Resize":
            height, width, channels = self.shapes[source]
            made = self.value(name, 2 * height, 2 * width, channels)
            sides = numpy.array([2 * height, 2 * width], numpy.int32)
            sides = self.tensor(name + ".sides", (2,), schema.TensorType.INT32, data=sides)
            options = schema.ResizeBilinearOptionsT()
            mode = attributes["coordinate_transformation_mode"].s
            options.alignCorners = mode == b"align_corners"
            options.halfPixelCenters = mode == b"half_pixel"
            inputs = [self.tensors[source], sides]
            kind = schema.BuiltinOptions.ResizeBilinearOptions
            self.operator(OPERATORS.RESIZE_BILINEAR, inputs, [made], options, kind)
        elif kind == "Concat":
            height, width, _ = self.shapes[source]
            channels = sum(self.shapes[i][2] for i in node.input)
            made = self.value(name, height, width, channels)
            options = schema.ConcatenationOptionsT()
            options.axis = 3
            inputs = [self.tensors[i] for i in node.input]
            kind = schema.BuiltinOptions.ConcatenationOptions
            self.operator(OPERATORS.CONCATENATION, inputs, [made], options, kind)
        elif kind == "Sigmoid":
            made = self.value(name, *self.shapes[source], grid=None)
            self.operator(OPERATORS.LOGISTIC, [self.tensors[source]], [made])
        elif kind == "QuantizeLinear":
            if self.sub.tensors[self.tensors[source]].type == schema.TensorType.FLOAT32:
                before = self.tensors[source]
                made = self.value(source, *self.shapes[source])
                self.operator(OPERATORS.QUANTIZE, [before], [made])
            self.alias(name, source)
        elif kind == "DequantizeLinear":
            if source in self.tensors:
                self.alias(name, source)
        elif kind != "Relu":
            raise ValueError(f"no conversion for {kind}")

    def alias(self, name, source):
        self.tensors[name], self.shapes[name] = self.tensors[source], self.shapes[source]

    def convert(self):
        image = self.graph.input[0]
        _, channels, height, width = (d.dim_value for d in image.type.tensor_type.shape.dim)
        self.sub.inputs = [self.value(image.name, height, width, channels, grid=None)]
        for node in self.graph.node:
            self.node(node)
        self.sub.outputs = []
        for output in self.graph.output:
            made = self.tensors[output.name]
            if self.sub.tensors[made].type == schema.TensorType.INT8:
                made = self.float_of(output.name)
            self.sub.outputs.append(made)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def convert(path):
    return Converter(path).convert()
