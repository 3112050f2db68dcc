"""Models that are wrong in one way each, and some that are right.

`all_cases(folder)` writes them and yields Case values. Most are small ONNX models with one thing changed, in the binary
form and as JSON; some are wrong below the level of models, in the bytes or in the text. A case's `codes` are the exit
codes that are right for `tessera compile`; `tessera inspect` may also exit 0 where the file itself is sound and only
an operator is unknown.
"""
import base64
import itertools
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf import json_format
from onnx import AttributeProto, TensorProto, helper, numpy_helper

BAD_DATA, NO_FILE = 65, 66
FLOAT, INT64, BOOL, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING
HUGE = 1 << 62


@dataclass
class Case:
    name: str
    path: Path
    codes: tuple = (BAD_DATA,)
    inspect_codes: tuple = ()
    inspect_only: bool = False


# Building blocks


def value(name, dtype=FLOAT, shape=(1, 4)):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs=None, outputs=None, initializers=(), opset=17):
    graph = helper.make_graph(nodes, "g", [value("x")] if inputs is None else inputs,
                              [value("y", FLOAT, None)] if outputs is None else outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op, inputs=("x",), outputs=("y",), **attributes):
    return helper.make_node(op, list(inputs), list(outputs), name="n", **attributes)


def floats(name, *shape):
    return numpy_helper.from_array(np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape), name)


def ints(name, values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def base():
    """y = relu(x + w): the model that the others are spoilt copies of."""
    return model([node("Add", ["x", "w"], ["t"]), helper.make_node("Relu", ["t"], ["y"])], initializers=[floats("w", 4)])


def spoilt(change):
    result = base()
    change(result)
    return result


def with_tensor(change):
    return spoilt(lambda m: change(m.graph.initializer[0]))


def tensor(**fields):
    """The base model, its weights replaced field by field: dims, data_type, raw_data, float_data."""
    def change(t):
        t.Clear()
        t.name = "w"
        for key, field in fields.items():
            getattr(t, key).extend(field) if isinstance(field, list) else setattr(t, key, field)
    return with_tensor(change)


def external(**entries):
    def change(t):
        t.ClearField("raw_data")
        t.data_location = TensorProto.EXTERNAL
        for key, text in entries.items():
            t.external_data.add(key=key, value=text)
    return with_tensor(change)


def input_type(dtype=FLOAT, shape=(1, 4)):
    return model([node("Relu")], inputs=[value("x", dtype, shape)])


# Wrong models


def graph_models():
    """Graphs whose names and arrows do not fit together."""
    yield "no graph", spoilt(lambda m: m.ClearField("graph"))
    yield "no opset", spoilt(lambda m: m.ClearField("opset_import"))
    for version in (0, -1, 999, 1 << 40):
        yield f"opset {version}", spoilt(lambda m, v=version: setattr(m.opset_import[0], "version", v))
    yield "opset of another domain only", spoilt(lambda m: setattr(m.opset_import[0], "domain", "com.example"))
    yield "no outputs", spoilt(lambda m: m.graph.ClearField("output"))
    yield "output that nothing makes", spoilt(lambda m: setattr(m.graph.output[0], "name", "nowhere"))
    yield "output twice", spoilt(lambda m: m.graph.output.add().CopyFrom(m.graph.output[0]))
    yield "input twice", spoilt(lambda m: m.graph.input.add().CopyFrom(m.graph.input[0]))
    yield "initializer twice", spoilt(lambda m: m.graph.initializer.add().CopyFrom(m.graph.initializer[0]))
    yield "input without a name", spoilt(lambda m: setattr(m.graph.input[0], "name", ""))
    yield "initializer without a name", with_tensor(lambda t: setattr(t, "name", ""))
    yield "value defined twice", model([node("Relu"), node("Abs")])
    yield "node defines an input", model([node("Relu", ["x"], ["x"])], outputs=[value("x")])
    yield "node defines an initializer", model([node("Relu", ["x"], ["w"])], outputs=[value("w")], initializers=[floats("w", 4)])
    yield "undefined value", model([node("Add", ["x", "nowhere"])])
    yield "cycle of one", model([node("Add", ["x", "y"])])
    yield "cycle of two", model([node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
                                 helper.make_node("Relu", ["b"], ["y"])])
    long = [helper.make_node("Add", ["x", f"v{(i + 1) % 500}"], [f"v{i}"]) for i in range(500)]
    yield "cycle of 500", model(long, outputs=[value("v0")])
    yield "declared type contradicts", model([node("Relu")], outputs=[value("y", INT64)])
    yield "function that calls itself", recursive_function()


def recursive_function():
    result = base()
    call = helper.make_node("F", ["a"], ["b"], domain="local")
    result.functions.add().CopyFrom(helper.make_function("local", "F", ["a"], ["b"], [call], [helper.make_opsetid("local", 1)]))
    result.opset_import.add(domain="local", version=1)
    result.graph.node[1].op_type, result.graph.node[1].domain = "F", "local"
    return result


def operator_models():
    """Operators that there are none of: sound files all the same."""
    for op in ("NoSuchOperator", "relu", "Relu ", "R" * (1 << 20)):
        yield f"operator {op[:16]!r}", model([node(op)])
    yield "operator of an unknown domain", spoilt(lambda m: (setattr(m.graph.node[1], "domain", "com.example"),
                                                             m.opset_import.add(domain="com.example", version=1)))


def arity_models():
    yield "operator without a name", model([node("")])
    yield "Relu of nothing", model([node("Relu", [])])
    yield "Relu of three", model([node("Relu", ["x", "x", "x"])])
    yield "Relu of an empty name", model([node("Relu", [""])])
    yield "Relu with two outputs", model([node("Relu", ["x"], ["y", "z"])])
    yield "Relu without outputs", model([node("Relu", ["x"], [])], outputs=[value("x")])
    yield "Add of one", model([node("Add", ["x"])])
    yield "Conv of one", model([node("Conv", ["x"])])
    yield "Concat of nothing", model([node("Concat", [], axis=0)])


def attribute_models():
    """Attributes missing, of the wrong type, or out of their range."""
    image, weights = value("x", FLOAT, (1, 4, 8, 8)), floats("w", 8, 4, 3, 3)
    convolution = {
        "strides of type int": dict(strides=1), "strides of type floats": dict(strides=[1.0, 1.0]),
        "zero stride": dict(strides=[0, 1]), "negative stride": dict(strides=[-1, 1]), "three strides": dict(strides=[1, 1, 1]),
        "zero dilation": dict(dilations=[0, 1]), "huge dilation": dict(dilations=[HUGE, HUGE]), "zero groups": dict(group=0),
        "negative groups": dict(group=-2), "groups that do not divide": dict(group=3), "huge groups": dict(group=HUGE),
        "three pads": dict(pads=[1, 1, 1]), "huge pads": dict(pads=[HUGE] * 4), "huge negative pads": dict(pads=[-100] * 4),
        "kernel_shape that differs": dict(kernel_shape=[5, 5]), "unknown auto_pad": dict(auto_pad="SOMEHOW"),
        "auto_pad of type int": dict(auto_pad=3),
    }
    for name, attributes in convolution.items():
        yield f"Conv, {name}", model([node("Conv", ["x", "w"], **attributes)], [image], initializers=[weights])
    pool = {"no kernel": {}, "zero kernel": dict(kernel_shape=[0, 2]), "negative kernel": dict(kernel_shape=[-2, 2]),
            "huge kernel": dict(kernel_shape=[HUGE, HUGE]), "kernel of rank 3": dict(kernel_shape=[2, 2, 2])}
    for name, attributes in pool.items():
        yield f"MaxPool, {name}", model([node("MaxPool", **attributes)], [image])
    single = {
        "Concat without axis": ("Concat", {}), "Concat axis of type float": ("Concat", dict(axis=1.0)),
        "Concat axis of type string": ("Concat", dict(axis="1")), "Concat axis of type ints": ("Concat", dict(axis=[1])),
        "Concat axis 7": ("Concat", dict(axis=7)), "Concat axis huge": ("Concat", dict(axis=-HUGE)),
        "Softmax axis 99": ("Softmax", dict(axis=99)), "Softmax axis -3": ("Softmax", dict(axis=-3)),
        "Flatten axis 9": ("Flatten", dict(axis=9)), "Transpose of type string": ("Transpose", dict(perm="10")),
        "Transpose twice the same": ("Transpose", dict(perm=[0, 0])), "Transpose out of range": ("Transpose", dict(perm=[0, 5])),
        "Transpose negative": ("Transpose", dict(perm=[-1, 0])), "Transpose too short": ("Transpose", dict(perm=[0])),
        "LeakyRelu alpha of type string": ("LeakyRelu", dict(alpha="x")), "Cast without to": ("Cast", {}),
        "Cast to 999": ("Cast", dict(to=999)), "Cast to -1": ("Cast", dict(to=-1)), "Cast to undefined": ("Cast", dict(to=0)),
        "Cast to of type string": ("Cast", dict(to="FLOAT")), "DepthToSpace, rank 2": ("DepthToSpace", dict(blocksize=2)),
    }
    for name, (op, attributes) in single.items():
        yield name, model([node(op, **attributes)])
    for size in (0, -2, 3, HUGE):
        yield f"DepthToSpace, block of {size}", model([node("DepthToSpace", blocksize=size)], [image])
    yield "Gather axis 5", model([node("Gather", ["x", "i"], axis=5)], initializers=[ints("i", [0])])
    twice = node("Softmax", axis=1)
    twice.attribute.add().CopyFrom(twice.attribute[0])
    yield "attribute twice", model([twice])
    for kind in (AttributeProto.UNDEFINED, AttributeProto.TENSOR, AttributeProto.GRAPH):
        wrong = node("Softmax", axis=1)
        wrong.attribute[0].type = kind
        yield f"attribute said to be of type {kind}", model([wrong])
    yield "Constant without a value", model([helper.make_node("Constant", [], ["c"]), node("Add", ["x", "c"])])
    yield "Constant with two values", model([helper.make_node("Constant", [], ["c"], value_float=1.0, value_int=1),
                                             node("Add", ["x", "c"])])
    yield "If without branches", model([node("If", ["c"])], [value("c", BOOL, ())])
    empty = helper.make_graph([], "b", [], [value("x")])
    yield "If on a float", model([node("If", ["x"], then_branch=empty, else_branch=empty)])


def shape_models():
    """Shapes that do not go together, and constants that ask for impossible ones."""
    def two(op, a, b, **attributes):
        return model([node(op, ["x", "w"], **attributes)], [value("x", FLOAT, a)], initializers=[floats("w", *b)])

    def asked(op, values, dtype=np.int64, shape=(1, 4)):
        return model([node(op, ["x", "s"])], [value("x", FLOAT, shape)], initializers=[numpy_helper.from_array(np.array(values, dtype), "s")])

    yield "Add of 4 and 3", two("Add", (1, 4), (3,))
    yield "Where of 4 and 3", model([node("Where", ["c", "x", "w"])], [value("x"), value("c", BOOL, (1, 4))], initializers=[floats("w", 3)])
    yield "MatMul of 4 by 5", two("MatMul", (2, 4), (5, 3))
    yield "MatMul of a scalar", two("MatMul", (2, 4), ())
    yield "Gemm of 4 by 5", two("Gemm", (2, 4), (5, 3))
    yield "Gemm of rank 3", two("Gemm", (2, 3, 4), (4, 3))
    yield "Conv of 4 and 5 channels", two("Conv", (1, 4, 8, 8), (8, 5, 3, 3))
    yield "Conv of rank 2", two("Conv", (4, 8), (8, 4))
    yield "Conv larger than its picture", two("Conv", (1, 4, 2, 2), (8, 4, 5, 5))
    yield "PRelu of 4 and 3", two("PRelu", (1, 4), (3,))
    yield "Concat of different widths", two("Concat", (1, 4), (2, 3), axis=0)
    yield "Concat of different ranks", two("Concat", (1, 4), (4,), axis=0)
    yield "LayerNormalization of 4 by 3", two("LayerNormalization", (1, 4), (3,))
    batch = [floats(n, 3) for n in "abcd"]
    yield "BatchNormalization of 4 by 3", model([node("BatchNormalization", ["x", "a", "b", "c", "d"])],
                                                 [value("x", FLOAT, (1, 4, 2, 2))], initializers=batch)
    for name, wanted in {"of another size": [3, 3], "with two open": [-1, -1], "to negative": [-7, 4], "to overflow": [HUGE, 16],
                         "with zeros past the rank": [4, 1, 0]}.items():
        yield f"Reshape {name}", asked("Reshape", wanted)
    yield "Reshape by floats", asked("Reshape", [2.0, 2.0], np.float32)
    yield "Expand to another size", asked("Expand", [1, 3])
    yield "Expand to overflow", asked("Expand", [HUGE, HUGE, 4])
    yield "Expand to negative", asked("Expand", [-4, 1, 4])
    yield "Tile by too few", asked("Tile", [2])
    yield "Tile by negative", asked("Tile", [-1, 2])
    yield "Tile to overflow", asked("Tile", [HUGE, HUGE])
    yield "Squeeze of a wide axis", asked("Squeeze", [1])
    yield "Squeeze of axis 7", asked("Squeeze", [7])
    yield "Unsqueeze twice the same", asked("Unsqueeze", [0, 0])
    yield "Unsqueeze of axis 9", asked("Unsqueeze", [9])
    yield "ReduceSum of axis 5", asked("ReduceSum", [5])
    yield "Gather by floats", asked("Gather", [0.0], np.float32)
    slices = {"step 0": ([0], [1], [0], [0]), "axis 9": ([0], [1], [9], [1]), "unequal lengths": ([0, 0], [1], [0], [1])}
    for name, parts in slices.items():
        yield f"Slice, {name}", model([node("Slice", ["x", "a", "b", "c", "d"])], initializers=[ints(n, v) for n, v in zip("abcd", parts)])
    for name, wanted in {"negative": [-1], "huge": [HUGE], "overflowing": [1 << 32, 1 << 32]}.items():
        yield f"ConstantOfShape, {name}", model([helper.make_node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"])],
                                                initializers=[ints("s", wanted)])
    limits = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in (("a", 0), ("b", 10), ("c", 0))]
    yield "Range, step 0", model([node("Range", ["a", "b", "c"])], [], initializers=limits)
    for name, scales in {"negative": [1, 1, -2, 2], "zero": [1, 1, 0, 2], "not finite": [1, 1, np.inf, 2], "too few": [1, 2],
                         "huge": [1, 1, 3e38, 3e38]}.items():
        yield f"Resize, {name}", model([node("Resize", ["x", "", "s"], mode="nearest")], [value("x", FLOAT, (1, 3, 8, 8))],
                                       initializers=[numpy_helper.from_array(np.array(scales, np.float32), "s")])
    yield "Einsum without sense", model([node("Einsum", ["x"], equation="i->->j")])
    yield "Einsum of unknown letters", model([node("Einsum", ["x"], equation="ij->k")])


def type_models():
    yield "Add of float and int64", model([node("Add", ["x", "w"])], initializers=[ints("w", [1, 2, 3, 4])])
    yield "Relu of strings", input_type(STRING)
    yield "Sqrt of bool", model([node("Sqrt")], [value("x", BOOL)])
    for code in (0, 999, -1, 1 << 30):
        yield f"input of element type {code}", spoilt(lambda m, c=code: setattr(m.graph.input[0].type.tensor_type, "elem_type", c))
    yield "input without a type", spoilt(lambda m: m.graph.input[0].ClearField("type"))
    yield "input of dimension -5", input_type(shape=(1, -5))
    yield "input with too many elements", input_type(shape=(HUGE, HUGE))
    yield "input of 2^63-1", input_type(shape=((1 << 63) - 1,))
    yield "input of rank 1000", input_type(shape=(1,) * 1000)
    sequence = helper.make_value_info("x", helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, (1,))))
    yield "Relu of a sequence", model([node("Relu")], [sequence])
    optional = helper.make_value_info("x", helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, (1,))))
    yield "Relu of an optional", model([node("Relu")], [optional])


def tensor_models():
    four = np.arange(4, dtype=np.float32).tobytes()
    yield "raw data too short", tensor(dims=[4], data_type=FLOAT, raw_data=four[:-1])
    yield "raw data too long", tensor(dims=[4], data_type=FLOAT, raw_data=four + b"\0")
    yield "no data", tensor(dims=[4], data_type=FLOAT)
    yield "too few floats", tensor(dims=[4], data_type=FLOAT, float_data=[1.0, 2.0])
    yield "too many floats", tensor(dims=[4], data_type=FLOAT, float_data=[1.0] * 5)
    yield "floats in the integers' field", tensor(dims=[4], data_type=FLOAT, int64_data=[1, 2, 3, 4])
    yield "data twice", tensor(dims=[4], data_type=FLOAT, float_data=[1.0] * 4, raw_data=four)
    for dims in ([-4], [-2, -2], [1 << 40], [1 << 32, 1 << 32], [(1 << 63) - 1, 2], [HUGE, 4], [1] * 1000, [0, HUGE, HUGE]):
        shown = "x".join(map(str, dims[:3])) + ("..." if len(dims) > 3 else "")
        yield f"weights of {shown}", tensor(dims=dims, data_type=FLOAT, raw_data=four)
    for code in (0, 999, -1):
        yield f"weights of element type {code}", tensor(dims=[4], data_type=code, raw_data=four)
    yield "weights that are strings", tensor(dims=[4], data_type=STRING, string_data=[b"a"] * 4)


def external_models(folder):
    """External data: files prepared in `folder`, then references to them that must be refused."""
    (folder / "inside.bin").write_bytes(bytes(64))
    (folder.parent / "outside.bin").write_bytes(bytes(64))
    for link, target in (("link.bin", folder.parent / "outside.bin"), ("folder", folder.parent), ("zero", Path("/dev/zero"))):
        if not (folder / link).is_symlink():
            (folder / link).symlink_to(target)
    (folder / "directory").mkdir(exist_ok=True)
    if not (folder / "pipe").exists():
        os.mkfifo(folder / "pipe")
    places = {"above": "../outside.bin", "up and down": "directory/../../outside.bin", "absolute": str(folder / "inside.bin"),
              "of the system": "/etc/passwd", "through a link": "link.bin", "through a linked folder": "folder/outside.bin",
              "in a device": "zero", "in a pipe": "pipe", "in a directory": "directory", "empty": "", "missing": "nowhere.bin",
              "dot": ".", "very long": "a/" * 5000, "with a NUL": "inside.bin\0.txt"}
    for name, place in places.items():
        yield f"external data, {name}", external(location=place)
    yield "external data without a place", external()
    spans = {"offset past the end": dict(offset="4096"), "negative offset": dict(offset="-4"), "offset a word": dict(offset="four"),
             "huge offset": dict(offset=str((1 << 63) - 1)), "offset too large to read": dict(offset="9" * 40),
             "too long": dict(length="4096"), "negative length": dict(length="-16"), "too short": dict(length="15"),
             "length a word": dict(length="all"), "offset and length overflow": dict(offset="16", length=str((1 << 64) - 16))}
    for name, span in spans.items():
        yield f"external data, {name}", external(location="inside.bin", **span)


def by_file(**entries):
    """The base model as JSON, its weights in the tensor file that `entries` name (file, and tensor for safetensors)."""
    written = json_format.MessageToDict(base())
    weights = written["graph"]["initializer"][0]
    del weights["rawData"]
    weights.update(entries)
    return json.dumps(written).encode()


def spelled(proto, form):
    """A model's file contents: 'onnx' or 'json'."""
    return proto.SerializeToString() if form == "onnx" else json_format.MessageToJson(proto).encode()


# Wrong bytes and wrong text


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def nested_graphs(depth):
    """A node whose attribute is a graph whose node has an attribute that is a graph... as bytes: graph.node = 1,
    node.attribute = 5, attribute.g = 6."""
    inner = b""
    for _ in range(depth):
        inner = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, inner) + b"\xa0\x01\x05"))
    return b"\x08\x08" + field(7, inner) + field(8, b"\x10\x11")


def binary_contents():
    good = base().SerializeToString()
    yield "empty", b""
    yield "zeros", bytes(4096)
    yield "noise", np.random.default_rng(7).bytes(4096)
    yield "text", b"This is no model.\n" * 10
    yield "ELF", open("/proc/self/exe", "rb").read(4096)
    for kind in (3, 4, 6, 7):
        yield f"wire type {kind}", good + bytes([0x78 | kind])
    yield "field number 0", good + b"\x02\x01x"
    yield "varint without end", good + b"\x08" + b"\xff" * 12
    yield "varint cut short", good + b"\x08\xff"
    for length in (1000, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, (1 << 64) - 1):
        yield f"length of {length}", good + b"\x3a" + varint(length) + b"x"
    yield "graph of the wrong wire type", b"\x08\x08\x38\x01" + field(8, b"\x10\x11")
    yield "fixed32 cut short", good + b"\x7d\x01\x02"
    yield "fixed64 cut short", good + b"\x79\x01\x02"
    for depth in (1000, 10000):
        yield f"graphs nested {depth} deep", nested_graphs(depth)
    named = spoilt(lambda m: setattr(m.graph.input[0], "name", "PLACE"))
    named.graph.node[0].input[0] = "PLACE"
    yield "name that is not UTF-8", named.SerializeToString().replace(b"PLACE", b"\xff\xfe\xff\xfe\xc0")


def json_contents():
    good = json_format.MessageToJson(base(), indent=None)
    raw = base64.b64encode(base().graph.initializer[0].raw_data).decode()
    texts = {"empty": "", "white space": "  \n", "null": "null", "number": "8", "array": "[]", "string": '"x"', "empty object": "{}",
             "trailing comma": good[:-1] + ",}", "trailing text": good + "{}", "comment": "/* */" + good, "single quotes": good.replace('"', "'"),
             "keys without quotes": good.replace('"graph"', "graph"), "no colon": good.replace('"graph":', '"graph"'),
             "unterminated string": good[:-2] + '"', "bad escape": good.replace('"g"', r'"\x41"'), "bad unicode escape": good.replace('"g"', r'"\u12g4"'),
             "lone surrogate": good.replace('"g"', r'"\ud800"'), "control character": good.replace('"g"', '"a\x01b"'),
             "leading zero": good.replace('"graph"', '"irVersion2": 012, "graph"'), "NaN": good.replace('"graph"', '"modelVersion": NaN, "graph"'),
             "lone minus": good.replace('"graph"', '"modelVersion": -, "graph"'), "number too large": good.replace('"graph"', '"modelVersion": 1e999, "graph"'),
             "graph a number": '{"irVersion":"8","graph":5,"opsetImport":[{"version":"17"}]}', "graph an array": '{"irVersion":"8","graph":[],"opsetImport":[{"version":"17"}]}',
             "nodes an object": '{"irVersion":"8","graph":{"node":{"a":[]}},"opsetImport":[{"version":"17"}]}',
             "weights not base64": good.replace(raw, "*" * len(raw)), "weights with bad padding": good.replace(raw, raw[:-1] + "A="),
             "weights a number": good.replace(f'"{raw}"', "7"), "dims a word": good.replace('"dims": ["4"]', '"dims": ["four"]'),
             "dims a fraction": good.replace('"dims": ["4"]', '"dims": [4.5]'), "dims not an array": good.replace('"dims": ["4"]', '"dims": "4"'),
             "dims too large": good.replace('"dims": ["4"]', '"dims": ["99999999999999999999"]'), "dims null": good.replace('"dims": ["4"]', '"dims": [null]'),
             "version an object": good.replace('"version": "17"', '"version": {}'), "opType a number": good.replace('"opType": "Relu"', '"opType": 3'),
             "opType an array": good.replace('"opType": "Relu"', '"opType": ["Relu"]'), "half a pair": '{"graph"', "only a brace": "{"}
    for name, text in texts.items():
        assert text != good, name
        yield name, text.encode()
    for depth in (1000, 10000, 1000000):
        yield f"arrays nested {depth} deep", b"[" * depth
        yield f"arrays nested {depth} deep, closed", b"[" * depth + b"]" * depth
        yield f"objects nested {depth} deep", b'{"graph":' * depth
    yield "not UTF-8", good.replace('"g"', '"PLACE"').encode().replace(b"PLACE", b"\xff\xfe\xc0")
    yield "UTF-16", good.encode("utf-16")
    yield "zeros", bytes(4096)


def weight_file_models(folder):
    """JSON models whose weights are in .npy and .safetensors files: name, contents, and the right exit code."""
    npy = b"\x93NUMPY\x01\x00"
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"

    def with_header(text, data=bytes(16)):
        return npy + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + data

    arrays = {"empty": b"", "bad magic": b"NUMPY" + bytes(60), "header cut short": npy + b"\xff\xff{", "data cut short": with_header(header, bytes(15)),
              "negative shape": with_header(header.replace("(4,)", "(-4,)")), "overflowing shape": with_header(header.replace("(4,)", f"({HUGE}, {HUGE})")),
              "Python objects": with_header(header.replace("<f4", "|O")), "unknown type": with_header(header.replace("<f4", "<q9")),
              "another type": with_header(header.replace("<f4", "<i8"), bytes(32)), "another shape": with_header(header.replace("(4,)", "(5,)"), bytes(20)),
              "header without sense": with_header("{'descr' ((("), "header nested deep": with_header("(" * 60000)}
    for name, contents in arrays.items():
        place = f"{name.replace(' ', '-')}.npy"
        (folder / place).write_bytes(contents)
        yield f"npy, {name}", by_file(file=place), BAD_DATA
    (folder / "sound.npy").write_bytes(with_header(header))
    (folder.parent / "outside.npy").write_bytes(with_header(header))
    yield "sound, npy", by_file(file="sound.npy"), 0
    for name, place in {"above": "../outside.npy", "absolute": str(folder / "sound.npy"), "through a linked folder": "folder/outside.npy",
                        "in a pipe": "pipe", "missing": "nowhere.npy", "of another kind": "weights.bin", "a number": 5}.items():
        yield f"tensor file, {name}", by_file(file=place), BAD_DATA

    def safetensors(text, data=bytes(16)):
        return struct.pack("<Q", len(text)) + text.encode() + data

    entry = '{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    tables = {"empty": b"", "huge header": struct.pack("<Q", 1 << 62) + b"{}", "header cut short": struct.pack("<Q", 100) + b"{",
              "no such tensor": safetensors(entry.replace('"w"', '"v"')), "offsets past the end": safetensors(entry.replace("16]", "160]")),
              "offsets backwards": safetensors(entry.replace("[0,16]", "[16,0]")), "negative offsets": safetensors(entry.replace("[0,", "[-16,")),
              "another size": safetensors(entry.replace("[4]", "[5]")), "unknown type": safetensors(entry.replace("F32", "F33")),
              "overflowing shape": safetensors(entry.replace("[4]", f"[{HUGE},{HUGE}]")), "nested deep": safetensors("[" * 100000)}
    for name, contents in tables.items():
        place = f"{name.replace(' ', '-')}.safetensors"
        (folder / place).write_bytes(contents)
        yield f"safetensors, {name}", by_file(file=place), BAD_DATA
    (folder / "sound.safetensors").write_bytes(safetensors(entry))
    yield "sound, safetensors", by_file(file="sound.safetensors"), 0
    yield "safetensors, another name", by_file(file="sound.safetensors", tensor="v"), BAD_DATA


# All of them


def all_cases(folder):
    folder = Path(folder) / "models"
    folder.mkdir(parents=True, exist_ok=True)
    number = itertools.count()

    def case(name, contents, form, **rest):
        path = folder / f"{next(number):04d}.{form}"
        path.write_bytes(contents)
        return Case(f"{name} ({form})", path, **rest)

    (folder / "weights.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    for form in ("onnx", "json"):
        for name, good in (("sound", base()), ("sound, weights outside", external(location="weights.bin", offset="0", length="16"))):
            yield case(name, spelled(good, form), form, codes=(0,))
    yield Case("no such file", folder / "nowhere.onnx", codes=(NO_FILE,))
    yield Case("a directory", folder, codes=(BAD_DATA, NO_FILE, 74))

    for form in ("onnx", "json"):
        whole = spelled(base(), form).rstrip()
        step = 1 if form == "onnx" else max(1, len(whole) // 300)
        for length in range(0, len(whole), step):
            yield case(f"cut after {length} bytes", whole[:length], form, inspect_only=length % 16 != 0)

    groups = [graph_models(), arity_models(), attribute_models(), shape_models(), type_models(), tensor_models(), external_models(folder)]
    for name, wrong in itertools.chain(*groups):
        for form in ("onnx", "json"):
            yield case(name, spelled(wrong, form), form)
    for name, wrong in operator_models():
        for form in ("onnx", "json"):
            yield case(name, spelled(wrong, form), form, inspect_codes=(0,))
    for name, contents, code in weight_file_models(folder):
        yield case(name, contents, "json", codes=(code,))
    for name, contents in binary_contents():
        yield case(name, contents, "onnx")
    for name, contents in json_contents():
        yield case(name, contents, "json")
