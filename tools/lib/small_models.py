"""Small models with inputs that reach every kernel family at the edges of its tiles.

`all_models()` yields (name, model, inputs by name). What they should give is ONNX Runtime's to say: `expected`.
"""
import re

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
_random = np.random.default_rng(512)


def array(*shape):
    return _random.standard_normal(shape).astype(np.float32)


def model(nodes, inputs, outputs=("y",), weights=None, opset=17):
    """`inputs`: arrays by name, which also give the types."""
    def port(name, value):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
    graph = helper.make_graph(
        nodes, "g", [port(n, v) for n, v in inputs.items()], [helper.make_empty_tensor_value_info(n) for n in outputs],
        [numpy_helper.from_array(v, n) for n, v in (weights or {}).items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op, inputs, outputs=("y",), **attributes):
    return helper.make_node(op, list(inputs), list(outputs), **attributes)


def products():
    for m, k, n in [(1, 64, 48), (1, 301, 1000), (2, 33, 17), (13, 64, 32), (14, 65, 33), (15, 128, 31), (29, 70, 97), (64, 300, 256)]:
        x, w, b = array(m, k), array(k, n), array(n)
        nodes = [node("MatMul", "xw", "p"), node("Add", "pb", "s"), node("Relu", "s")]
        yield f"matmul {m}x{k}x{n} relu", model(nodes, {"x": x}, weights={"w": w, "b": b}), {"x": x}
    for shape in [(3, 17, 33, 15), (2, 40, 64, 48)]:
        b, m, k, n = shape
        x, z = array(1, b, m, k), array(1, b, k, n)
        yield f"products of two inputs {shape}", model([node("MatMul", "xz")], {"x": x, "z": z}), {"x": x, "z": z}
    x, w = array(5, 20), array(30, 20)
    yield "gemm transposed", model([node("Gemm", "xw", transB=1, alpha=0.5)], {"x": x}, weights={"w": w}), {"x": x}


def convolutions():
    #  in, out, kernel, height, width, attributes
    table = [(3, 16, 3, 9, 11, {}), (16, 33, 3, 17, 16, {}), (64, 100, 1, 7, 9, {}), (3, 32, 7, 21, 23, {"strides": [2, 2]}),
             (32, 32, 3, 12, 13, {"group": 32}), (24, 48, 3, 10, 10, {"group": 4}), (8, 8, 3, 15, 14, {"dilations": [2, 2]}),
             (32, 64, 3, 19, 33, {"strides": [2, 2]}), (48, 48, 3, 31, 17, {}), (1, 17, 5, 8, 65, {})]
    for cin, cout, k, h, w, attributes in table:
        x = array(1, cin, h, w)
        weights = {"w": array(cout, cin // attributes.get("group", 1), k, k) / k, "b": array(cout), "p": abs(array(cout, 1, 1))}
        nodes = [node("Conv", "xwb", "c", pads=[k // 2] * 4, **attributes), node("PRelu", "cp")]
        yield f"convolution {cin}to{cout} {k}x{k} {h}x{w} {attributes}", model(nodes, {"x": x}, weights=weights), {"x": x}
    x, weights = array(1, 48, 13, 18), {"w": array(48, 48, 3, 3) / 20, "b": array(48)}
    nodes = [node("Conv", "xwb", "c", pads=[1] * 4), node("Add", "cx", "r"), node("DepthToSpace", "r", blocksize=2)]
    yield "convolution, residual, pixel shuffle", model(nodes, {"x": x}, weights=weights), {"x": x}
    x, w = array(1, 6, 41), array(10, 6, 5)
    yield "convolution 1-D", model([node("Conv", "xw", pads=[2, 2])], {"x": x}, weights={"w": w}), {"x": x}


def rows():
    for n in (1, 7, 15, 16, 17, 33, 300):
        x = array(3, 5, n)
        for op, attributes in [("Softmax", {"axis": -1}), ("ReduceMean", {"axes": [-1]}), ("ReduceMax", {"axes": [0, 2]}),
                               ("ReduceL2", {"axes": [1]}), ("LogSoftmax", {"axis": 1})]:
            yield f"{op} {attributes} of {n}", model([node(op, "x", **attributes)], {"x": x}), {"x": x}
        w = {"s": array(n), "b": array(n)}
        yield f"layer norm of {n}", model([node("LayerNormalization", "xsb")], {"x": x}, weights=w), {"x": x}
    for s, t, d in [(1, 1, 32), (17, 17, 32), (33, 70, 64), (70, 15, 40)]:
        q, k, v = array(1, 3, s, d), array(1, 3, t, d), array(1, 3, t, d)
        nodes = [node("Transpose", "k", "u", perm=[0, 1, 3, 2]), node("MatMul", "qu", "a"), node("Mul", "ac", "m"),
                 node("Softmax", "m", "p", axis=-1), node("MatMul", "pv")]
        inputs = {"q": q, "k": k, "v": v}
        yield f"attention {s}x{t}x{d}", model(nodes, inputs, weights={"c": np.float32(d ** -0.5).reshape(())}), inputs


def elementwise():
    for n in (1, 15, 17, 1000):
        x = array(n) * 4
        for op in ("Erf", "Tanh", "Exp", "Sigmoid", "Sin", "Cos", "Softplus", "Elu", "HardSwish", "Round", "Floor", "Sign", "Atan",
                   "Mish"):
            yield f"{op} of {n}", model([node(op, "x")], {"x": x}, opset=18), {"x": x}
        z = abs(x) + np.float32(0.01)
        for op in ("Log", "Sqrt", "Reciprocal"):
            yield f"{op} of {n}", model([node(op, "x")], {"x": z}), {"x": z}
    x, w = array(19, 3, 1), array(1, 37)
    yield "broadcast", model([node("Mul", "xw", "m"), node("Pow", "me", "s"), node("Sub", "sx")], {"x": x, "w": w},
                             weights={"e": np.float32(2).reshape(())}), {"x": x, "w": w}
    for to in (TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8, TensorProto.DOUBLE, TensorProto.BOOL):
        x = abs(array(5, 33)) * 10
        yield f"cast to {to}", model([node("Cast", "x", to=to)], {"x": x}), {"x": x}
    x, z = array(5, 33), array(5, 33)
    yield "where", model([node("Less", "xz", "c"), node("Where", "cxz")], {"x": x, "z": z}), {"x": x, "z": z}


def movement():
    x = array(2, 5, 7, 19)
    for perm in ([0, 2, 3, 1], [3, 2, 1, 0], [1, 0, 3, 2]):
        yield f"transpose {perm}", model([node("Transpose", "x", perm=perm)], {"x": x}), {"x": x}
    yield "concat, slice", model(
        [node("Slice", "xabc", "s"), node("Concat", ["s", "x"], axis=3)], {"x": x},
        weights={"a": np.array([1]), "b": np.array([18]), "c": np.array([3])}), {"x": x}
    yield "pad", model([node("Pad", "xp", mode="reflect")], {"x": x}, weights={"p": np.array([0, 0, 1, 2, 0, 0, 3, 4])}), {"x": x}
    for mode, how in (("nearest", "asymmetric"), ("linear", "half_pixel"), ("cubic", "half_pixel")):
        yield f"resize {mode}", model(
            [node("Resize", ["x", "", "f"], mode=mode, coordinate_transformation_mode=how, nearest_mode="floor")], {"x": x},
            weights={"f": np.array([1, 1, 2, 1.5], np.float32)}), {"x": x}
    i = _random.integers(0, 40, (3, 11))
    yield "gather", model([node("Gather", "ti")], {"i": i}, weights={"t": array(40, 33)}), {"i": i}
    for op, attributes in (("MaxPool", {}), ("AveragePool", {"count_include_pad": 0})):
        yield op, model([node(op, "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, **attributes)], {"x": x}), {"x": x}
    yield "global average", model([node("GlobalAveragePool", "x")], {"x": x}), {"x": x}


def expected(model, inputs):
    """ONNX Runtime's outputs for the model at a path, or in bytes."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def save_case(into, name, model, inputs):
    """Writes a folder with model.onnx, inputs/ and expected/; its path."""
    folder = into / re.sub(r"\W+", "_", name).strip("_")
    arrays = {"inputs": inputs, "expected": dict(zip([o.name for o in model.graph.output], expected(model.SerializeToString(), inputs)))}
    for kind, named in arrays.items():
        (folder / kind).mkdir(parents=True)
        for i, (port, value) in enumerate(named.items()):
            np.save(folder / kind / f"{i:02}_{port}.npy", value)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def all_models():
    for family in (products, convolutions, rows, elementwise, movement):
        for name, made, inputs in family():
            yield f"{family.__name__}: {name}", made, inputs
