"""Single-operator models of the kernels that generative models spend their time in."""
from dataclasses import dataclass
from pathlib import Path
import random as randomness
import re
import sys


@dataclass(frozen=True)
class Task:
    name: str
    text: str  # what `tessera tune --op` reads where it can; else OPERATOR with the same kind of sizes

    @property
    def kind(self):
        return self.text.split()[0]

    @property
    def builder(self):
        """Of sizes and a generator of random numbers: nodes, inputs and constants by name, and the shape and type (float32
        unless given) of the output y; left out, ONNX Runtime says them."""
        return (QUANTISED if self.text.split()[1] == "i8" else BUILDERS)[self.kind]

    @property
    def sizes(self):
        return {k: int(v) if v.lstrip("-").isdigit() else v for k, v in (w.split("=") for w in self.text.split()[2:])}

    def write(self, folder):
        """model.onnx, inputs/ and expected/ (ONNX's operators computed in float64 or by ONNX Runtime)."""
        import numpy as np
        import onnx
        folder = Path(folder)
        for part in ("inputs", "expected"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(20261124)
        nodes, inputs, constants, *output = self.builder(self.sizes, generator)
        helper, numpy_helper = onnx.helper, onnx.numpy_helper

        def declared(name, shape, kind="float32"):
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)

        graph = helper.make_graph(
            nodes, self.name, [declared(n, a.shape, a.dtype) for n, a in inputs.items()],
            [declared("y", *output) if output else helper.make_empty_tensor_value_info("y")],
            [numpy_helper.from_array(a, n) for n, a in constants.items()])
        domains = [("", 17)] + [(d, 1) for d in {n.domain for n in nodes} if d]
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*d) for d in domains], ir_version=8)
        import onnxruntime
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (result,) = session.run(["y"], inputs)
        if not output:
            model.graph.output[0].CopyFrom(declared("y", result.shape, result.dtype))
        onnx.checker.check_model(model)
        onnx.save(model, folder / "model.onnx")
        for i, (name, array) in enumerate(inputs.items()):
            np.save(folder / "inputs" / f"{i:02d}_{name}.npy", array)
        np.save(folder / "expected" / "00_y.npy", result)


def node(operator, inputs, **attributes):
    import onnx
    return onnx.helper.make_node(operator, inputs, ["y"], **attributes)


def random(generator, *shape):
    return generator.uniform(-1, 1, shape).astype("float32")


def matmul(s, g):
    batch = [s["batch"]] if s.get("batch", 1) > 1 else []
    a, b = random(g, *batch, s["m"], s["k"]), random(g, *batch, s["k"], s["n"])
    y = [*batch, s["m"], s["n"]]
    if s.get("b") == "input":
        return [node("MatMul", ["a", "b"])], {"a": a, "b": b}, {}, y
    return [node("MatMul", ["a", "b"])], {"a": a}, {"b": b[0] if batch else b}, y


def nbits(s, g):
    """Weights of a few bits (ONNX Runtime's MatMulNBits), centred unless there are zero points."""
    import numpy as np
    import onnx
    m, n, k, bits, group = s["m"], s["n"], s["k"], s["bits"], s["group"]
    blocks = -(-k // group)
    constants = {"b": g.integers(0, 256, (n, blocks, group * bits // 8), dtype=np.uint8),
                 "scales": (g.uniform(0.5, 1, (n, blocks)) * 2 ** (1 - bits)).astype("float32")}
    if s.get("zeros"):
        constants["zeros"] = g.integers(0, 256, (n, -(-blocks * bits // 8)), dtype=np.uint8)
    product = onnx.helper.make_node("MatMulNBits", ["a", *constants], ["y"], domain="com.microsoft", K=k, N=n, bits=bits,
                                    block_size=group)
    return [product], {"a": random(g, m, k)}, constants, [m, n]


def conv(s, g):
    space = [s[a] for a in "dhw" if s.get(a, 1) > 1 or a == "w"]
    k = s.get("k", 3)
    taps = [s.get("kd", k), k, s.get("kw", k)][-len(space):]
    stride, dilation, groups = s.get("stride", 1), s.get("dilation", 1), s.get("groups", 1)
    pads = [s.get("pad", t // 2 * dilation) for t in taps]
    x = random(g, s.get("n", 1), s["c"], *space)
    w, bias = random(g, s["o"], s["c"] // groups, *taps), random(g, s["o"])
    y = [s.get("n", 1), s["o"], *((n + 2 * p - (t - 1) * dilation - 1) // stride + 1
                                  for n, p, t in zip(space, pads, taps))]
    d = len(space)
    attributes = dict(strides=[stride] * d, dilations=[dilation] * d, pads=pads * 2, group=groups, kernel_shape=taps)
    return [node("Conv", ["x", "w", "bias"], **attributes)], {"x": x}, {"w": w, "bias": bias}, y


def convt(s, g):
    space = [s["h"], s["w"]] if s.get("h", 1) > 1 else [s["w"]]
    k, stride, pad, d = s["k"], s["stride"], s.get("pad", 0), len(space)
    x, w = random(g, 1, s["c"], *space), random(g, s["c"], s["o"], *[k] * d)
    y = [1, s["o"], *((n - 1) * stride - 2 * pad + k for n in space)]
    return [node("ConvTranspose", ["x", "w"], strides=[stride] * d, pads=[pad] * 2 * d, kernel_shape=[k] * d)], \
        {"x": x}, {"w": w}, y


def attention(s, g):
    """As exporters write it: scale, product, softmax, product."""
    import numpy as np
    import onnx
    keys, d, heads, n = s.get("keys", s["q"]), s["d"], s["h"], s.get("n", 1)
    q, k, v = random(g, n, heads, s["q"], d), random(g, n, heads, keys, d), random(g, n, heads, keys, d)
    make = onnx.helper.make_node
    nodes = [make("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]), make("MatMul", ["q", "kt"], ["scores"]),
             make("Mul", ["scores", "scale"], ["scaled"]), make("Softmax", ["scaled"], ["p"], axis=-1),
             make("MatMul", ["p", "v"], ["y"])]
    return nodes, {"q": q, "k": k, "v": v}, {"scale": np.float32(d ** -0.5)}, [n, heads, s["q"], d]


def softmax(s, g):
    return [node("Softmax", ["x"], axis=-1)], {"x": random(g, s["m"], s["n"])}, {}, [s["m"], s["n"]]


def layernorm(s, g):
    x, scale, bias = random(g, s["m"], s["n"]), random(g, s["n"]), random(g, s["n"])
    return [node("LayerNormalization", ["x", "scale", "bias"], axis=-1)], {"x": x}, \
        {"scale": scale, "bias": bias}, [s["m"], s["n"]]


def groupnorm(s, g):
    """As exporters write it: an instance norm over groups, then scale and bias."""
    import numpy as np
    import onnx
    c, groups, shape = s["c"], s["groups"], [1, s["c"], s["h"], s["w"]]
    make = onnx.helper.make_node
    constants = {"to": np.array([1, groups, -1], "int64"), "back": np.array(shape, "int64"),
                 "one": np.ones(groups, "float32"), "zero": np.zeros(groups, "float32"),
                 "scale": random(g, c, 1, 1), "bias": random(g, c, 1, 1)}
    nodes = [make("Reshape", ["x", "to"], ["r"]), make("InstanceNormalization", ["r", "one", "zero"], ["i"]),
             make("Reshape", ["i", "back"], ["b"]), make("Mul", ["b", "scale"], ["m"]), make("Add", ["m", "bias"], ["y"])]
    return nodes, {"x": random(g, *shape)}, constants, shape


def transpose(s, g):
    return [node("Transpose", ["x"], perm=[1, 0])], {"x": random(g, s["m"], s["n"])}, {}, [s["n"], s["m"]]


def reduce(s, g):
    return [node("ReduceMean", ["x"], axes=[s["axis"]], keepdims=1)], {"x": random(g, s["m"], s["n"])}, {}, \
        [1 if s["axis"] == 0 else s["m"], 1 if s["axis"] == 1 else s["n"]]


def resize(s, g):
    import numpy as np
    import onnx
    c, h, w = s["c"], s["h"], s["w"]
    nodes = [onnx.helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest", nearest_mode="floor",
                                   coordinate_transformation_mode="asymmetric")]
    return nodes, {"x": random(g, 1, c, h, w)}, {"scales": np.array([1, 1, 2, 2], "float32")}, [1, c, 2 * h, 2 * w]


def numbers(generator, kind, *shape):
    """Random integers: any u8, or i8 of 7 bits, whose products with u8 no engine's instruction saturates."""
    import numpy as np
    low, high = (0, 255) if kind == "uint8" else (-64, 63)
    return generator.integers(low, high, shape, endpoint=True).astype(np.dtype(kind))


def quantised_matmul(s, g):
    """MatMulInteger as dynamic quantisation writes it: a's zero point comes with a."""
    import numpy as np
    inputs = {"a": numbers(g, "uint8", s["m"], s["k"]), "za": np.array(121, "uint8")}
    return [node("MatMulInteger", ["a", "b", "za"])], inputs, {"b": numbers(g, "int8", s["k"], s["n"])}, \
        [s["m"], s["n"]], "int32"


def requantised_matmul(s, g):
    """QLinearMatMul with a scale a column."""
    import numpy as np
    a, b = numbers(g, "uint8", s["m"], s["k"]), numbers(g, "int8", s["k"], s["n"])
    constants = {"b": b, "sa": np.array(0.02, "float32"), "za": np.array(121, "uint8"), "zb": np.zeros(s["n"], "int8"),
                 "sb": g.uniform(0.001, 0.003, s["n"]).astype("float32"), "zy": np.array(118, "uint8"),
                 "sy": np.array(0.02 * 0.002 * 74 * 37 * s["k"] ** 0.5 / 40, "float32")}
    return [node("QLinearMatMul", ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"])], {"a": a}, constants, \
        [s["m"], s["n"]], "uint8"


def requantised_conv(s, g):
    """QLinearConv with a scale an output channel."""
    import numpy as np
    k, stride = s.get("k", 3), s.get("stride", 1)
    pad = s.get("pad", k // 2)
    x, w = numbers(g, "uint8", 1, s["c"], s["h"], s["w"]), numbers(g, "int8", s["o"], s["c"], k, k)
    constants = {"sx": np.array(0.02, "float32"), "zx": np.array(114, "uint8"), "w": w, "zw": np.zeros(s["o"], "int8"),
                 "sw": g.uniform(0.001, 0.003, s["o"]).astype("float32"), "zy": np.array(118, "uint8"),
                 "sy": np.array(0.02 * 0.002 * 74 * 37 * (s["c"] * k * k) ** 0.5 / 40, "float32"),
                 "bias": g.integers(-9000, 9000, s["o"]).astype("int32")}
    y = [1, s["o"], *((n + 2 * pad - k) // stride + 1 for n in (s["h"], s["w"]))]
    inputs = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "bias"]
    return [node("QLinearConv", inputs, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[k] * 2)], {"x": x}, \
        constants, y, "uint8"


QUANTISED = {"matmul": quantised_matmul, "qmatmul": requantised_matmul, "qconv": requantised_conv}

BUILDERS = {"matmul": matmul, "nbits": nbits, "conv": conv, "convt": convt, "attention": attention, "softmax": softmax,
            "layernorm": layernorm, "groupnorm": groupnorm, "transpose": transpose, "reduce": reduce, "resize": resize}

ALL = [Task(*line.split(None, 1)) for line in """
sd_qkv              matmul f32 m=4096 n=320 k=320
sd_geglu            matmul f32 m=1024 n=5120 k=640
sd_ff_down          matmul f32 m=1024 n=640 k=2560
sd_cross_kv         matmul f32 m=77 n=1280 k=768
sd_mid              matmul f32 m=64 n=1280 k=1280
dit_qkv             matmul f32 m=256 n=3456 k=1152
dit_mlp             matmul f32 m=256 n=4608 k=1152
cube_1152           matmul f32 m=1152 n=1152 k=1152
whisper_mlp         matmul f32 m=1500 n=1536 k=384
whisper_logits      matmul f32 m=1 n=51864 k=384
llm_up_1            matmul f32 m=1 n=6144 k=2048
llm_down_1          matmul f32 m=1 n=2048 k=6144
llm_up_4            matmul f32 m=4 n=6144 k=2048
llm_up_16           matmul f32 m=16 n=4096 k=1536
llm_prompt          matmul f32 m=128 n=4864 k=896
scores              matmul f32 batch=8 m=1024 n=1024 k=64 b=input
values              matmul f32 batch=8 m=1024 n=64 k=1024 b=input
small_batched       matmul f32 batch=64 m=49 n=49 k=32 b=input
odd                 matmul f32 m=197 n=1009 k=331
thin_n              matmul f32 m=4096 n=4 k=320
llm_up_1_int4       nbits f32 m=1 n=6144 k=2048 bits=4 group=32
llm_up_1_int4_128   nbits f32 m=1 n=6144 k=2048 bits=4 group=128
llm_up_1_uint4      nbits f32 m=1 n=6144 k=2048 bits=4 group=32 zeros=1
llm_up_1_int8       nbits f32 m=1 n=6144 k=2048 bits=8 group=32
llm_down_1_int4     nbits f32 m=1 n=2048 k=6144 bits=4 group=128
llm_up_4_int4       nbits f32 m=4 n=6144 k=2048 bits=4 group=32
llm_up_4_int8       nbits f32 m=4 n=6144 k=2048 bits=8 group=128
llm_up_16_int4      nbits f32 m=16 n=4096 k=1536 bits=4 group=32
llm_up_16_int8      nbits f32 m=16 n=4096 k=1536 bits=8 group=128
llm_prompt_int4     nbits f32 m=128 n=4864 k=896 bits=4 group=32
llm_prompt_int8     nbits f32 m=128 n=4864 k=896 bits=8 group=128
sd_conv_64          conv f32 c=320 h=64 w=64 o=320 k=3
sd_conv_32          conv f32 c=640 h=32 w=32 o=640 k=3
sd_conv_16          conv f32 c=1280 h=16 w=16 o=1280 k=3
sd_conv_8           conv f32 c=1280 h=8 w=8 o=1280 k=3
sd_conv_in          conv f32 c=4 h=64 w=64 o=320 k=3
sd_conv_out         conv f32 c=320 h=64 w=64 o=4 k=3
sd_down             conv f32 c=320 h=64 w=64 o=320 k=3 stride=2
vae_512             conv f32 c=128 h=256 w=256 o=128 k=3
vae_rgb             conv f32 c=128 h=256 w=256 o=3 k=3
conv_192_384        conv f32 c=192 h=48 w=48 o=384 k=3
esrgan_grow         conv f32 c=64 h=128 w=128 o=32 k=3
esrgan_dense        conv f32 c=192 h=128 w=128 o=64 k=3
esrvideo            conv f32 c=64 h=160 w=240 o=64 k=3
shortcut            conv f32 c=640 h=32 w=32 o=320 k=1
patch_16            conv f32 c=3 h=224 w=224 o=768 k=16 stride=16 pad=0
first_7x7           conv f32 c=3 h=224 w=224 o=64 k=7 stride=2
depthwise_3         conv f32 c=256 h=56 w=56 o=256 k=3 groups=256
depthwise_7         conv f32 c=384 h=28 w=28 o=384 k=7 groups=384
depthwise_s2        conv f32 c=144 h=112 w=112 o=144 k=3 stride=2 groups=144
grouped             conv f32 c=128 h=56 w=56 o=128 k=3 groups=32
dilated             conv f32 c=256 h=32 w=32 o=256 k=3 dilation=2
odd_conv            conv f32 c=67 h=37 w=53 o=101 k=3
whisper_conv1       conv f32 c=80 w=3000 o=384 k=3
whisper_conv2       conv f32 c=384 w=3000 o=384 k=3 stride=2
vocoder_k11         conv f32 c=128 w=8192 o=128 k=11
vocoder_dilated     conv f32 c=256 w=2048 o=256 k=3 dilation=9
vocoder_up          convt f32 c=256 w=1024 o=128 k=16 stride=8 pad=4
up_2d               convt f32 c=128 h=32 w=32 o=64 k=4 stride=2 pad=1
sd_self_64          attention f32 h=8 q=4096 d=40
sd_self_32          attention f32 h=8 q=1024 d=80
sd_cross            attention f32 h=8 q=4096 keys=77 d=40
dit_self            attention f32 h=16 q=256 d=72
attention_2304      attention f32 h=1 q=2304 d=72
whisper_self        attention f32 h=6 q=1500 d=64
llm_decode          attention f32 h=16 q=1 keys=2048 d=64
softmax_rows        softmax f32 m=8192 n=1024
layernorm_384       layernorm f32 m=4096 n=384
layernorm_1280      layernorm f32 m=1024 n=1280
groupnorm_320       groupnorm f32 c=320 h=64 w=64 groups=32
transpose_2048      transpose f32 m=2048 n=1500
reduce_rows         reduce f32 m=4096 n=1280 axis=1
reduce_columns      reduce f32 m=4096 n=1280 axis=0
i8_bert_qkv         matmul i8 m=128 n=768 k=768
i8_bert_up          matmul i8 m=128 n=3072 k=768
i8_minilm_down      matmul i8 m=64 n=384 k=1536
i8_llm_decode       matmul i8 m=1 n=4864 k=896
i8_llm_logits       matmul i8 m=1 n=51864 k=384
i8_llm_prompt       matmul i8 m=128 n=4864 k=896
i8_odd              matmul i8 m=77 n=1009 k=331
q8_vit_up           qmatmul i8 m=197 n=3072 k=768
q8_bert_down        qmatmul i8 m=128 n=768 k=3072
q8_resnet_3x3_56    qconv i8 c=64 h=56 w=56 o=64 k=3
q8_resnet_3x3_14    qconv i8 c=256 h=14 w=14 o=256 k=3
q8_resnet_1x1_28    qconv i8 c=128 h=28 w=28 o=512 k=1
upsample            resize f32 c=320 h=32 w=32
""".strip().splitlines()]


def drawn(seed, index):
    """A task of a random kind and shape, of 0.02 to 4 GFLOP where it multiplies: `random-SEED-INDEX`."""
    g = randomness.Random(f"{seed}-{index}")

    def size(low, high):
        """Log-uniform; half of them multiples of 8."""
        value = round(low * (high / low) ** g.random())
        return max(low, value // 8 * 8) if g.random() < 0.5 else value

    while True:
        kind = g.choice(["matmul"] * 4 + ["conv"] * 4 + ["attention"] * 2 + ["convt", "softmax", "layernorm", "groupnorm",
                                                                           "transpose", "reduce", "resize"])
        if kind == "matmul":
            m, n, k = size(1, 4096), size(8, 4096), size(16, 4096)
            work, text = 2 * m * n * k, f"m={m} n={n} k={k}" + g.choice(["", "", " b=input"])
        elif kind == "conv":
            c, o, h, w = size(3, 512), size(3, 512), size(7, 200), size(7, 200)
            k, stride, dilation = g.choice([1, 3, 3, 3, 5, 7]), g.choice([1, 1, 1, 2]), g.choice([1, 1, 1, 2])
            if g.random() < 0.3:
                h, w = 1, size(64, 8192)
            groups = g.choice([1, 1, 1, c])
            if groups > 1:
                o = c
            work = 2 * h * w // stride ** 2 * c // groups * o * k * (k if h > 1 else 1)
            text = f"c={c} h={h} w={w} o={o} k={k} stride={stride} dilation={dilation} groups={groups}"
            if h == 1:
                text = text.replace(" h=1", "")
        elif kind == "convt":
            c, o, h, w, stride = size(8, 256), size(8, 256), size(7, 64), size(7, 64), 2
            work, text = 2 * h * w * c * o * 16, f"c={c} h={h} w={w} o={o} k=4 stride={stride} pad=1"
        elif kind == "attention":
            h, q, keys, d = size(1, 16), size(1, 2048), size(16, 4096), g.choice([32, 40, 64, 72, 80, 96, 128])
            work, text = 4 * h * q * keys * d, f"h={h} q={q} keys={keys} d={d}"
        elif kind == "groupnorm":
            work, text = 1e9, f"c={32 * size(1, 20)} h={size(8, 128)} w={size(8, 128)} groups=32"
        elif kind == "resize":
            work, text = 1e9, f"c={size(8, 512)} h={size(8, 64)} w={size(8, 64)}"
        else:
            m, n = size(64, 4096), size(64, 4096)
            work, text = 1e9 if m * n > 1 << 18 else 0, f"m={m} n={n}" + (f" axis={g.choice([0, 1])}" if kind == "reduce" else "")
        if 2e7 <= work <= 4e9:
            return Task(f"random-{seed}-{index}", f"{kind} f32 {text}")


def named(names):
    """All tasks, or those called so; `random-SEED-INDEX` is drawn, and words such as `matmul f32 m=64 n=64 k=64` are a task's text."""
    known = {task.name: task for task in ALL}
    known |= {n: Task(re.sub(r"\W+", "-", n), n) for n in names if " " in n and n.split(" ")[0] in BUILDERS}
    known |= {n: drawn(*n.split("-")[1:]) for n in names if re.fullmatch(r"random-\d+-\d+", n)}
    return chosen(names, known, "tools/kernel-tasks") if names else ALL


def chosen(names, known, listing):
    """Those of `known`, tasks by name, that are called so."""
    unknown = [n for n in names if n not in known]
    if unknown:
        sys.exit(f"no such task: {', '.join(unknown)}; {listing} lists them")
    return [known[n] for n in names]
