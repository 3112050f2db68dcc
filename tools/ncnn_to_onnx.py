#!/usr/bin/env python3
"""Convert an ncnn network (.param + .bin) to ONNX, with batch, height and width left open.

    ncnn_to_onnx.py MODEL.param MODEL.bin MODEL.onnx

Covers the layers of picture-to-picture networks: convolutions with fused activations, element-wise arithmetic,
concatenation, resizing, pixel shuffle and cropping. Weights stored as fp16 widen exactly to fp32. A layer or a
parameter that is not understood is an error: the converter never guesses.

The text format is `type name #inputs #outputs inputs... outputs... key=value...`, one layer a line; an array's key k
is written as -23300-k and its value begins with the length. The binary holds the layers' weights in order; each
weight array may begin with a flag word (0: fp32, 0x01306B47: fp16), biases and slopes have none.
"""
import argparse
import os
import struct
import sys
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MAGIC = "7767517"
OPSET = 17
FP16_FLAG = 0x01306B47
FP32_FLAGS = (0, 0x0002C056)
LEAVE_AS_IS = -233  # ncnn's "to the end" or "same padding", depending on the parameter


class ConversionError(Exception):
    """The network can't be converted; the text names the layer."""


@dataclass
class Layer:
    kind: str
    name: str
    inputs: list
    outputs: list
    parameters: dict
    line: int

    def take(self, key, default=None):
        """The parameter, removed, so that what remains afterwards was not understood."""
        return self.parameters.pop(key, default)

    def fail(self, why):
        raise ConversionError(f"line {self.line}: {self.kind} '{self.name}': {why}")

    def only(self, what, value, *allowed):
        if value not in allowed:
            self.fail(f"{what} {value} is not supported")
        return value


def parse_number(text):
    return float(text) if any(c in text for c in ".en") else int(text)


def parse_layers(text):
    lines = text.splitlines()
    if not lines or lines[0].strip() != MAGIC:
        raise ConversionError(f"not an ncnn .param text: the first line is not {MAGIC}")
    layers = []
    for number, line in enumerate(lines[2:], start=3):
        words = line.split()
        if not words:
            continue
        try:
            inputs, outputs = int(words[2]), int(words[3])
            names, rest = words[4:4 + inputs + outputs], words[4 + inputs + outputs:]
            parameters = {}
            for word in rest:
                key, value = word.split("=")
                if int(key) <= -23300:
                    parameters[-23300 - int(key)] = [parse_number(v) for v in value.split(",")[1:]]
                else:
                    parameters[int(key)] = parse_number(value)
        except (IndexError, ValueError) as error:
            raise ConversionError(f"line {number}: not a layer: {error}") from None
        layers.append(Layer(words[0], words[1], names[:inputs], names[inputs:], parameters, number))
    return layers


class Weights:
    """Reads the .bin file front to back."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def floats(self, count, dtype=np.float32):
        size = count * np.dtype(dtype).itemsize
        if count < 0 or self.position + size > len(self.data):
            raise ConversionError(f"the weights end after {len(self.data)} bytes; {size} more are wanted at {self.position}")
        values = np.frombuffer(self.data, dtype, count, self.position).astype(np.float32)
        self.position += (size + 3) // 4 * 4
        return values

    def flagged(self, count):
        if self.position + 4 > len(self.data):
            raise ConversionError("the weights end before a flag word")
        flag, = struct.unpack_from("<I", self.data, self.position)
        self.position += 4
        if flag == FP16_FLAG:
            return self.floats(count, np.float16)
        if flag in FP32_FLAGS:
            return self.floats(count)
        raise ConversionError(f"weights with flag {flag:#x} (quantised?) are not supported")


class Converter:
    """Turns layers into nodes, keeping track of which ONNX value each ncnn blob is."""

    def __init__(self, weights, channels=3, input_name="image", output_name="out"):
        self.weights, self.channels = weights, channels
        self.input_name, self.output_name = input_name, output_name
        self.nodes, self.initializers, self.values = [], [], {}
        self.graph_inputs = []

    # Building blocks

    def value(self, layer, blob):
        return self.values[blob] if blob in self.values else layer.fail(f"reads '{blob}', which no layer before it writes")

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(self, op, inputs, output, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def define(self, layer, op, inputs, **attributes):
        """One node that is the whole layer."""
        output = layer.outputs[0]
        self.values[output] = self.emit(op, inputs, output, layer.name, **attributes)

    def activated(self, layer, value, kind, arguments):
        """The activation fused into a layer, as a node of its own."""
        output, name = layer.outputs[0], layer.name + ".activation"
        if kind == 1:
            self.emit("Relu", [value], output, name)
        elif kind == 2:
            self.emit("LeakyRelu", [value], output, name, alpha=arguments[0])
        elif kind == 3:
            low, high = (self.constant(f"{name}.{n}", np.float32(v)) for n, v in zip(("low", "high"), arguments))
            self.emit("Clip", [value, low, high], output, name)
        elif kind == 4:
            self.emit("Sigmoid", [value], output, name)
        else:
            layer.fail(f"activation {kind} is not supported")
        self.values[output] = output

    # Layers

    def input(self, layer):
        for key in (0, 1, 2, 11):  # sizes, when the file gives them: height and width stay open all the same
            layer.take(key)
        if self.graph_inputs:
            layer.fail("a second input is not supported")
        self.graph_inputs.append(self.input_name)
        self.values[layer.outputs[0]] = self.input_name

    def split(self, layer):
        for output in layer.outputs:
            self.values[output] = self.value(layer, layer.inputs[0])

    def convolution(self, layer):
        depthwise = layer.kind == "ConvolutionDepthWise"
        outputs = layer.take(0)
        kernel_w = layer.take(1)
        kernel_h = layer.take(11, kernel_w)
        dilation_w = layer.take(2, 1)
        dilation_h = layer.take(12, dilation_w)
        stride_w = layer.take(3, 1)
        stride_h = layer.take(13, stride_w)
        left = layer.take(4, 0)
        right, top = layer.take(15, left), layer.take(14, left)
        bottom = layer.take(16, top)
        bias, size = layer.take(5, 0), layer.take(6)
        groups = layer.take(7, 1) if depthwise else 1
        activation, arguments = layer.take(9, 0), layer.take(10, [])
        layer.only("int8 weights", layer.take(8, 0), 0)
        layer.only("a pad value of", layer.take(18, 0), 0)
        if min(left, right, top, bottom) < 0:
            layer.fail("automatic padding is not supported")
        per_output = kernel_w * kernel_h * outputs
        if size % per_output:
            layer.fail(f"{size} weights do not fill {outputs} kernels of {kernel_h}x{kernel_w}")
        weights = self.weights.flagged(size).reshape(outputs, size // per_output, kernel_h, kernel_w)
        inputs = [self.value(layer, layer.inputs[0]), self.constant(layer.name + ".weight", weights)]
        if bias:
            inputs.append(self.constant(layer.name + ".bias", self.weights.floats(outputs)))
        attributes = dict(kernel_shape=[kernel_h, kernel_w], strides=[stride_h, stride_w], group=groups,
                          dilations=[dilation_h, dilation_w], pads=[top, left, bottom, right])
        if activation == 0:
            self.define(layer, "Conv", inputs, **attributes)
        else:
            value = self.emit("Conv", inputs, layer.outputs[0] + ".linear", layer.name, **attributes)
            self.activated(layer, value, activation, arguments)

    def relu(self, layer):
        slope = layer.take(0, 0.0)
        value = self.value(layer, layer.inputs[0])
        if slope == 0:
            self.define(layer, "Relu", [value])
        else:
            self.define(layer, "LeakyRelu", [value], alpha=slope)

    def prelu(self, layer):
        slopes = self.weights.floats(layer.take(0)).reshape(1, -1, 1, 1)
        self.define(layer, "PRelu", [self.value(layer, layer.inputs[0]), self.constant(layer.name + ".slope", slopes)])

    def sigmoid(self, layer):
        self.define(layer, "Sigmoid", [self.value(layer, layer.inputs[0])])

    def binary(self, layer):
        code, with_scalar, scalar = layer.take(0, 0), layer.take(1, 0), layer.take(2, 0.0)
        operations = {0: "Add", 1: "Sub", 2: "Mul", 3: "Div", 4: "Max", 5: "Min", 6: "Pow", 7: "Sub", 8: "Div"}
        layer.only("operation", code, *operations)
        operands = [self.value(layer, blob) for blob in layer.inputs]
        if with_scalar:
            operands.append(self.constant(layer.name + ".scalar", np.float32(scalar)))
        if code in (7, 8):  # the reversed ones
            operands.reverse()
        self.define(layer, operations[code], operands)

    def eltwise(self, layer):
        code, coefficients = layer.take(0, 0), layer.take(1, [])
        operations = {0: "Mul", 1: "Add", 2: "Max"}
        layer.only("operation", code, *operations)
        if coefficients and code != 1:
            layer.fail("coefficients belong to a sum")
        terms = [self.value(layer, blob) for blob in layer.inputs]
        for i, c in enumerate(coefficients):
            if c != 1:
                scale = self.constant(f"{layer.name}.coefficient{i}", np.float32(c))
                terms[i] = self.emit("Mul", [terms[i], scale], f"{layer.name}.term{i}", f"{layer.name}.term{i}")
        for i, term in enumerate(terms[2:]):  # Add and Mul take two
            terms[0] = self.emit(operations[code], terms[:2], f"{layer.name}.partial{i}", f"{layer.name}.partial{i}")
            terms[1] = term
        self.define(layer, operations[code], terms[:2])

    def concat(self, layer):
        axis = layer.take(0, 0)
        self.define(layer, "Concat", [self.value(layer, b) for b in layer.inputs], axis=axis + 1 if axis >= 0 else axis)

    def interp(self, layer):
        kind, scale_h, scale_w = layer.take(0, 0), layer.take(1, 1.0), layer.take(2, 1.0)
        layer.only("output size", layer.take(3, 0), 0)
        layer.only("output size", layer.take(4, 0), 0)
        layer.only("aligned corners", layer.take(6, 0), 0)
        layer.only("interpolation", kind, 1, 2, 3)
        attributes = {
            1: dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            2: dict(mode="linear", coordinate_transformation_mode="half_pixel"),
            3: dict(mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75),
        }[kind]
        scales = self.constant(layer.name + ".scales", np.array([1, 1, scale_h, scale_w], np.float32))
        self.define(layer, "Resize", [self.value(layer, layer.inputs[0]), "", scales], **attributes)

    def pixel_shuffle(self, layer):
        factor, mode = layer.take(0, 1), layer.only("mode", layer.take(1, 0), 0, 1)
        self.define(layer, "DepthToSpace", [self.value(layer, layer.inputs[0])], blocksize=factor, mode=("CRD", "DCR")[mode])

    def crop(self, layer):
        starts, ends = layer.take(9), layer.take(10)
        axes = layer.take(11, list(range(len(starts or []))))
        if starts is None or ends is None or layer.parameters:
            layer.fail("only the form with starts, ends and axes is supported")
        ends = [np.iinfo(np.int64).max if e == LEAVE_AS_IS else e for e in ends]
        bounds = (("starts", starts), ("ends", ends), ("axes", [a + 1 if a >= 0 else a for a in axes]))
        inputs = [self.constant(f"{layer.name}.{n}", np.array(v, np.int64)) for n, v in bounds]
        self.define(layer, "Slice", [self.value(layer, layer.inputs[0]), *inputs])

    LAYERS = {
        "Input": input, "Split": split, "Convolution": convolution, "ConvolutionDepthWise": convolution, "ReLU": relu,
        "PReLU": prelu, "Sigmoid": sigmoid, "BinaryOp": binary, "Eltwise": eltwise, "Concat": concat, "Interp": interp,
        "PixelShuffle": pixel_shuffle, "Crop": crop,
    }

    def convert(self, layers):
        """All layers, and the model around them. The last layer's output is the network's."""
        unknown = sorted({layer.kind for layer in layers} - set(self.LAYERS))
        if unknown:
            raise ConversionError(f"unknown layers: {', '.join(unknown)}")
        for layer in layers:
            self.LAYERS[layer.kind](self, layer)
            if layer.parameters:
                layer.fail(f"parameters {sorted(layer.parameters)} are not understood")
        if self.weights.position != len(self.weights.data):
            raise ConversionError(f"{len(self.weights.data) - self.weights.position} bytes of weights belong to no layer")
        if not layers or not self.graph_inputs:
            raise ConversionError("the network has no input")
        self.emit("Identity", [self.values[layers[-1].outputs[0]]], self.output_name, "output")
        picture = helper.make_tensor_value_info(self.input_name, TensorProto.FLOAT, ["batch", self.channels, "height", "width"])
        result = helper.make_tensor_value_info(self.output_name, TensorProto.FLOAT, ["batch", None, None, None])
        graph = helper.make_graph(self.nodes, "ncnn", [picture], [result], self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="ncnn_to_onnx")


def convert_files(param_path, bin_path, onnx_path):
    """Writes `onnx_path` through a temporary name, so that a file that is there is whole.
    Raises ConversionError, OSError."""
    with open(param_path, encoding="utf-8") as file:
        layers = parse_layers(file.read())
    with open(bin_path, "rb") as file:
        model = Converter(Weights(file.read())).convert(layers)
    onnx.checker.check_model(model, full_check=True)
    partial = f"{onnx_path}.{os.getpid()}.partial"
    onnx.save(model, partial)
    os.replace(partial, onnx_path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("param", "bin", "onnx"):
        parser.add_argument(name, metavar="MODEL." + name)
    arguments = parser.parse_args()
    try:
        convert_files(arguments.param, arguments.bin, arguments.onnx)
    except (ConversionError, OSError) as error:
        sys.exit(f"ncnn_to_onnx: {error}")


if __name__ == "__main__":
    main()
