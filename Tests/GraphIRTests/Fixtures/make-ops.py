#!/usr/bin/env python3
"""Writes ops.json beside itself: each core op's text, operands and results, the results from ONNX Runtime.

Needs onnx and onnxruntime. Run it again only to add cases: the file is committed.
"""
import json
import os

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

rng = np.random.default_rng(20261123)
NAMES = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32", "bool": "bool", "uint8": "u8"}
PROTO = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8,
}
cases = []


def f(*shape):
    return rng.integers(-16, 17, shape).astype(np.float32) / 8


def packed(a):
    return {"type": NAMES[str(a.dtype)], "shape": list(a.shape), "values": a.astype(np.float64).ravel().tolist()}


def case(name, text, ours, op_type, theirs=None, outputs=1, keep=None, opset=21, **attributes):
    """`ours` are our operands; `theirs` are ONNX's inputs (None for an absent one), by default the same."""
    theirs = ours if theirs is None else theirs
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(theirs)]
    outs = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outs, **attributes)], "g",
        [helper.make_tensor_value_info(n, PROTO[str(a.dtype)], a.shape) for n, a in zip(names, theirs) if a is not None],
        [helper.make_empty_tensor_value_info(o) for o in outs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(None, {n: a for n, a in zip(names, theirs) if a is not None})
    if keep is not None:
        results = [results[i] for i in keep]
    cases.append({"name": name, "op": text, "operands": [packed(a) for a in ours], "results": [packed(np.asarray(r)) for r in results]})


def i64(*values):
    return np.array(values, np.int64)


for fn, onnx in [("sum", "ReduceSum"), ("product", "ReduceProd"), ("minimum", "ReduceMin"), ("maximum", "ReduceMax")]:
    x = f(2, 3, 4)
    case(f"reduce {fn}", f"reduce [function=.{fn}, axes=[0, 2], keep_dims=true]", [x], onnx, [x, i64(0, 2)], keepdims=1)
    case(f"reduce {fn} drops", f"reduce [function=.{fn}, axes=[1], keep_dims=false]", [x], onnx, [x, i64(1)], keepdims=0)
x = rng.integers(0, 3, (3, 5)).astype(np.float32)
case("argmax", "arg_reduce [function=.maximum, axis=1, keep_dims=true, select_last=false]", [x], "ArgMax", axis=1)
case("argmax last", "arg_reduce [function=.maximum, axis=1, keep_dims=false, select_last=true]", [x], "ArgMax", axis=1, keepdims=0, select_last_index=1)
case("argmin", "arg_reduce [function=.minimum, axis=0, keep_dims=true]", [x], "ArgMin", axis=0)
x = f(3, 4)
for e in (0, 1):
    for r in (0, 1):
        text = f"cumulative [axis=1, exclusive={'true' if e else 'false'}, reverse={'true' if r else 'false'}]"
        case(f"cumulative {e}{r}", text, [x], "CumSum", [x, i64(1)], exclusive=e, reverse=r)
case("matmul", "matmul []", [f(2, 1, 3, 4), f(3, 4, 5)], "MatMul")
a, b = f(3, 4), f(5, 3)
case("matmul transposed", "matmul [transpose_left=true, transpose_right=true]", [a, b], "Gemm", transA=1, transB=1)
case("matmul integers", "matmul []", [rng.integers(-9, 9, (3, 4)).astype(np.int64), rng.integers(-9, 9, (4, 2)).astype(np.int64)], "MatMul")
for name, x, w, s, d, pb, pa, g in [
    ("plain", f(2, 3, 6, 5), f(4, 3, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    ("strided", f(1, 4, 7, 8), f(6, 2, 3, 2), (2, 3), (1, 2), (0, 1), (2, 0), 2),
    ("depthwise", f(1, 3, 5, 5), f(3, 1, 3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 3),
    ("one dimension", f(2, 3, 9), f(4, 3, 3), (2,), (1,), (1,), (0,), 1),
    ("three dimensions", f(1, 2, 3, 4, 3), f(2, 2, 2, 2, 2), (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 0, 0), 1),
]:
    text = f"convolve [strides={list(s)}, dilations={list(d)}, pads_before={list(pb)}, pads_after={list(pa)}, groups={g}]"
    case(f"convolve {name}", text, [x, w], "Conv", strides=s, dilations=d, pads=pb + pa, group=g)
for name, x, w, s, d, pb, pa, op, g in [
    ("plain", f(1, 3, 4, 3), f(3, 2, 3, 3), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1), 1),
    ("grouped", f(2, 4, 3, 4), f(4, 3, 2, 3), (1, 3), (2, 1), (0, 1), (1, 0), (0, 0), 2),
]:
    text = (f"convolve_transposed [strides={list(s)}, dilations={list(d)}, pads_before={list(pb)}, "
            f"pads_after={list(pa)}, output_pads={list(op)}, groups={g}]")
    case(f"transposed {name}", text, [x, w], "ConvTranspose", strides=s, dilations=d, pads=pb + pa, output_padding=op, group=g)
for ceil in (0, 1):
    c = "true" if ceil else "false"
    geometry = f"window=[3, 2], strides=[2, 2], dilations=[1, 1], pads_before=[1, 0], pads_after=[0, 1], ceil_mode={c}"
    common = dict(kernel_shape=(3, 2), strides=(2, 2), pads=(1, 0, 0, 1), ceil_mode=ceil)
    x = f(1, 2, 6, 7)
    case(f"max pool {c}", f"pool [kind=.maximum, {geometry}]", [x], "MaxPool", **common)
    case(f"mean pool {c}", f"pool [kind=.average, {geometry}]", [x], "AveragePool", **common)
    case(f"mean pool padded {c}", f"pool [kind=.average, {geometry}, count_includes_padding=true]", [x], "AveragePool", count_include_pad=1, **common)
x = f(2, 3, 4)
case("transpose", "transpose [permutation=[2, 0, 1]]", [x], "Transpose", perm=(2, 0, 1))
case("reshape", "reshape [shape=<4, 6>]", [x], "Reshape", [x, i64(4, 6)])
y = f(3, 1)
case("broadcast", "broadcast [shape=<2, 3, 4>]", [y], "Expand", [y, i64(2, 3, 4)])
case("slice", "slice [axes=[1, 2], starts=<2, 0>, sizes=<3, 2>, steps=[-1, 2]]", [x], "Slice", [x, i64(-1, 0), i64(-100, 3), i64(1, 2), i64(-1, 2)])
case("concat", "concat [axis=1]", [f(2, 1, 3), f(2, 4, 3), f(2, 0, 3)], "Concat", axis=1)
for mode in ("constant", "reflect", "edge", "wrap"):
    ours = [x]
    theirs = [x, i64(1, 0, 2, 0, 1, -1)] if mode == "constant" else [x, i64(1, 0, 2, 1, 2, 1)]
    text = ("pad [before=<1, 0, 2>, after=<0, 1, -1>, mode=.constant, value=2.5]" if mode == "constant"
            else f"pad [before=<1, 0, 2>, after=<1, 2, 1>, mode=.{mode}]")
    case(f"pad {mode}", text, ours, "Pad", theirs + ([np.array(2.5, np.float32)] if mode == "constant" else []), mode=mode)
case("gather", "gather [axis=1]", [x, np.array([[0, -1], [1, 1]], np.int64)], "Gather", axis=1)
case("gather elements", "gather_elements [axis=1]", [x, rng.integers(-3, 3, (2, 2, 4)).astype(np.int64)], "GatherElements", axis=1)
case("gather nd", "gather_nd [batch_dims=0]", [x, np.array([[0, 1], [1, -1]], np.int64)], "GatherND")
case("gather nd batched", "gather_nd [batch_dims=1]", [x, np.array([[[1], [-2]], [[0], [2]]], np.int64)], "GatherND", batch_dims=1)
case("gather nd batched twice", "gather_nd [batch_dims=2]", [f(2, 2, 3), rng.integers(-3, 3, (2, 2, 4, 1)).astype(np.int64)], "GatherND", batch_dims=2)
for ours, theirs in [("replace", "none"), ("add", "add"), ("multiply", "mul"), ("minimum", "min"), ("maximum", "max")]:
    index = np.array([[0, 2, 1], [1, 0, -1]], np.int64) if ours == "replace" else np.array([[0, 0, 1], [-1, -1, 2]], np.int64)
    case(f"scatter elements {ours}", f"scatter_elements [axis=1, reduction=.{ours}]", [f(2, 4), index, f(2, 3)], "ScatterElements", axis=1, reduction=theirs)
    rows = np.array([[1], [0]], np.int64) if ours == "replace" else np.array([[1], [1], [-1]], np.int64)
    case(f"scatter nd {ours}", f"scatter_nd [reduction=.{ours}]", [f(3, 4), rows, f(len(rows), 4)], "ScatterND", reduction=theirs)
case("softmax", "softmax [axis=1]", [x], "Softmax", axis=1)
case("log softmax", "softmax [axis=2, logarithm=true]", [x], "LogSoftmax", axis=2)
case("layer norm", "layer_norm [axis=1, epsilon=0.01]", [x, f(3, 4), f(3, 4)], "LayerNormalization", axis=1, epsilon=0.01)
case("layer norm without bias", "layer_norm [axis=2, epsilon=0.01]", [x, f(4)], "LayerNormalization", axis=2, epsilon=0.01)
case("rms norm", "layer_norm [axis=2, epsilon=0.01, kind=.rms]", [x, f(4)], "SimplifiedLayerNormalization", axis=2, epsilon=0.01)
z = f(2, 4, 3)
case("group norm", "group_norm [groups=2, epsilon=0.01]", [z, f(4), f(4)], "GroupNormalization", num_groups=2, epsilon=0.01)
case("instance norm", "group_norm [groups=4, epsilon=0.01]", [z, f(4), f(4)], "InstanceNormalization", epsilon=0.01)
case("top k", "top_k [k=<2>, axis=1, largest=true]", [x], "TopK", [x, i64(2)], outputs=2, axis=1)
case("bottom k", "top_k [k=<3>, axis=2, largest=false]", [x], "TopK", [x, i64(3)], outputs=2, axis=2, largest=0)
case("non zero", "non_zero [count=\"n\"]", [rng.integers(0, 2, (3, 4)).astype(np.float32)], "NonZero")

# Resampling.
x = f(1, 2, 4, 5)
roi = np.zeros(0, np.float32)
for mode in ("nearest", "linear", "cubic"):
    for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"):
        for sizes in ((7, 9), (3, 2)):
            text = (f"resize [mode=.{mode}, axes=[2, 3], sizes=<{sizes[0]}, {sizes[1]}>, scales=[], "
                    f"coordinate_mode=.{coordinates}]").replace("scales=[]", "scales=f[0.0, 0.0]")
            case(f"resize {mode} {coordinates} {sizes}", text, [x], "Resize", [x, None, None, i64(1, 2, *sizes)], mode=mode,
                 coordinate_transformation_mode=coordinates)
for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
    text = (f"resize [mode=.nearest, axes=[2, 3], sizes=<8, 10>, scales=f[2.0, 2.0], coordinate_mode=.half_pixel, "
            f"nearest_mode=.{ {'round_prefer_floor': 'roundPreferFloor', 'round_prefer_ceil': 'roundPreferCeil'}.get(nearest, nearest)}]")
    text = text.replace("roundPreferFloor", "round_prefer_floor").replace("roundPreferCeil", "round_prefer_ceil")
    case(f"resize nearest {nearest}", text, [x], "Resize", [x, None, np.array([1, 1, 2, 2], np.float32)], mode="nearest", nearest_mode=nearest)
for mode in ("linear", "cubic"):
    text = f"resize [mode=.{mode}, axes=[2, 3], sizes=<2, 3>, scales=f[0.6, 0.6], antialias=true]"
    case(f"resize antialias {mode}", text, [x], "Resize", [x, None, np.array([1, 1, 0.6, 0.6], np.float32)], mode=mode, antialias=1)
text = "resize [mode=.cubic, axes=[2, 3], sizes=<8, 10>, scales=f[2.0, 2.0], exclude_outside=true, cubic_coefficient=-0.5]"
case("resize exclude outside", text, [x], "Resize", [x, None, np.array([1, 1, 2, 2], np.float32)], mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)
text = ("resize [mode=.linear, axes=[2, 3], sizes=<3, 3>, scales=f[0.0, 0.0], coordinate_mode=.tf_crop_and_resize, "
        "extrapolation_value=10.0, region_starts=f[0.4, 0.6], region_ends=f[1.2, 1.7]]")
case("resize crop", text, [x], "Resize", [x, np.array([0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7], np.float32), None, i64(1, 2, 3, 3)],
     mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=10.0)

# Recurrent networks.
S, B, I, H = 3, 2, 3, 2
lengths = np.array([3, 2], np.int32)
for d, name in [(1, "forward"), (1, "reverse"), (2, "bidirectional")]:
    x, h0, c0, p = f(S, B, I), f(d, B, H), f(d, B, H), f(d, 3 * H)
    w, r, b = f(d, 4 * H, I), f(d, 4 * H, H), f(d, 8 * H)
    acts = ", ".join(['"sigmoid", "tanh", "tanh"'] * d)
    head = f"recurrent [kind=.lstm, hidden={H}, direction=.{name}, activations=[{acts}]"
    case(f"lstm {name}", head + "]", [x, w, r, b, h0, c0, p, lengths], "LSTM", [x, w, r, b, lengths, h0, c0, p], outputs=3,
         hidden_size=H, direction=name)
    w, r, b = f(d, 3 * H, I), f(d, 3 * H, H), f(d, 6 * H)
    acts = ", ".join(['"sigmoid", "tanh"'] * d)
    for linear in (0, 1):
        text = (f"recurrent [kind=.gru, hidden={H}, direction=.{name}, activations=[{acts}], "
                f"linear_before_reset={'true' if linear else 'false'}]")
        case(f"gru {name} {linear}", text, [x, w, r, b, h0], "GRU", [x, w, r, b, None, h0], outputs=2, hidden_size=H, direction=name,
             linear_before_reset=linear)
    w, r, b = f(d, H, I), f(d, H, H), f(d, 2 * H)
    acts = ", ".join(['"tanh"'] * d)
    case(f"rnn {name}", f"recurrent [kind=.rnn, hidden={H}, direction=.{name}, activations=[{acts}], clip=0.5]", [x, w, r, b, h0], "RNN",
         [x, w, r, b, None, h0], outputs=2, hidden_size=H, direction=name, clip=0.5)

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.json")
with open(path, "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(cases), "cases,", os.path.getsize(path), "bytes")
