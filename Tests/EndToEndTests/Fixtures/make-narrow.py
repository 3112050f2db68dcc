#!/usr/bin/env python3
"""Writes narrow.json beside itself: models with weights of a few bits, inputs, and what they give.

MatMulNBits by ONNX Runtime, DequantizeLinear in blocks by onnx.reference. Needs onnx and onnxruntime. Run it again only
to add cases: the file is committed.
"""
import json
import os

import numpy as np
import onnx
import onnxruntime
from google.protobuf.json_format import MessageToDict
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(20261124)
cases = []


def model(nodes, inputs, constants, opset=21):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [c if isinstance(c, TensorProto) else numpy_helper.from_array(c, n) for n, c in constants.items()])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)], ir_version=10)


def add(name, model, inputs, y):
    cases.append({"name": name, "model": json.dumps(MessageToDict(model)),
                  "inputs": [{"shape": a.shape, "values": a.astype(float).ravel().tolist()} for a in inputs.values()],
                  "output": {"shape": y.shape, "values": y.astype(float).ravel().tolist()}})


def nbits(name, m, n, k, bits, block, zeros=None, bias=False):
    blocks = -(-k // block)
    constants = {"b": rng.integers(0, 256, (n, blocks, block * bits // 8), dtype=np.uint8),
                 "scales": rng.uniform(0.05, 0.1, (n, blocks)).astype(np.float32)}
    names = ["a", "b", "scales", "", "", ""]
    if zeros == "packed":
        constants["zeros"] = rng.integers(0, 256, (n, -(-blocks * bits // 8)), dtype=np.uint8)
        names[3] = "zeros"
    if zeros == "float":
        constants["zeros"] = (rng.uniform(6, 10, (n, blocks))).astype(np.float32)
        names[3] = "zeros"
    if bias:
        constants["bias"] = rng.uniform(-1, 1, n).astype(np.float32)
        names[5] = "bias"
    while not names[-1]:
        names.pop()
    node = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", K=k, N=n, bits=bits, block_size=block,
                            accuracy_level=1)
    inputs = {"a": rng.integers(-16, 17, (m, k)).astype(np.float32) / 16}
    made = model([node], inputs, constants)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    add(name, made, inputs, session.run(None, inputs)[0])


def tensor(name, array, kind):
    return helper.make_tensor(name, kind, array.shape, array.ravel().tolist())


def dequantized(name, m, kind, low, high, shape, scale_shape, axis, block, transpose=False, zeros=True):
    """MatMul with a DequantizeLinear'd constant, transposed or not."""
    q = rng.integers(low, high + 1, shape)
    scales = rng.uniform(0.05, 0.1, scale_shape).astype(np.float32)
    constants = {"q": tensor("q", q, kind), "scales": scales}
    names = ["q", "scales"]
    if zeros:
        constants["zeros"] = tensor("zeros", rng.integers(low, high + 1, scale_shape), kind)
        names.append("zeros")
    attributes = {"axis": axis} | ({"block_size": block} if block else {})
    nodes = [helper.make_node("DequantizeLinear", names, ["w"], **attributes)]
    if transpose:
        nodes.append(helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]))
    nodes.append(helper.make_node("MatMul", ["a", "t" if transpose else "w"], ["y"]))
    inputs = {"a": rng.integers(-16, 17, (m, shape[1 if transpose else 0])).astype(np.float32) / 16}
    made = model(nodes, inputs, constants)
    add(name, made, inputs, ReferenceEvaluator(made).run(None, inputs)[0])


nbits("4 bits, centred", 3, 20, 64, 4, 32)
nbits("4 bits, zero points, odd blocks", 1, 17, 96, 4, 32, zeros="packed")
nbits("4 bits, last block begun, bias", 2, 9, 40, 4, 16, zeros="packed", bias=True)
nbits("4 bits, zero points between codes", 2, 8, 64, 4, 32, zeros="float")
nbits("8 bits, centred", 2, 12, 64, 8, 32)
nbits("8 bits, zero points", 5, 10, 128, 8, 64, zeros="packed")
I8, U8, I4, U4 = TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4
dequantized("i8, one scale a column", 2, I8, -128, 127, (24, 10), (10,), 1, 0)
dequantized("u8, one scale", 2, U8, 0, 255, (24, 10), (), 1, 0)
dequantized("u8 without zero points", 2, U8, 0, 255, (24, 10), (10,), 1, 0, zeros=False)
dequantized("i8, one scale a row", 2, I8, -128, 127, (24, 10), (24,), 0, 0)
dequantized("i4 in blocks along k", 3, I4, -8, 7, (64, 7), (2, 7), 0, 32)
dequantized("u4 in blocks along k, transposed", 3, U4, 0, 15, (7, 64), (7, 4), 1, 16, transpose=True)
dequantized("i4 in blocks along n", 2, I4, -8, 7, (16, 32), (16, 2), 1, 16)
dequantized("u8 in blocks that end early", 2, U8, 0, 255, (40, 6), (3, 6), 0, 16)

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "narrow.json")
with open(path, "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(cases), "cases,", os.path.getsize(path), "bytes")
