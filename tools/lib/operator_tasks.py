"""Single operators and small patterns of real networks, of many more kinds and shapes than the kernels that matter most.

They are for finding slow kernels: timed beside other engines, each shows what a whole model's time would hide. No shape
here is one to tune for; a cure should be for the kind of shape.

A task's text is `KIND TYPE SIZES [then=STEP,...]`. A kind in lower case is one of kernel_tasks' or of PATTERNS; one with
a capital is that ONNX operator, with its operands and attributes: `1x64x56x56` is an input of that shape, `@64x3`
a constant of that shape, `#2,3` a constant of these values, `#2` a scalar and `#2,` a list of one, `_` none. The steps
follow in the same model.
"""
import ast
import itertools
from dataclasses import dataclass

import kernel_tasks
from kernel_tasks import random


@dataclass(frozen=True)
class OperatorTask(kernel_tasks.Task):
    """A task in this module's notation."""

    @property
    def sizes(self):
        words = self.text.split()[2:]
        return {"operator": self.kind, "operands": [w for w in words if "=" not in w]} | \
            {k: literal(v) for k, v in (w.split("=") for w in words if "=" in w)}

    @property
    def builder(self):
        base = single if self.kind[0].isupper() else PATTERNS.get(self.kind) or super().builder
        return followed(base) if "then" in self.sizes else base


def literal(text):
    """A number, numbers separated by commas, or the text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def dimensions(word):
    return [int(n) for n in word.split("x")]


class Network:
    """A graph as it grows. A call adds a node and gives the name of its output, which later calls take; operands that are
    numbers, lists or arrays become constants."""

    def __init__(self, generator, nodes=(), inputs={}, constants={}):
        self.generator, self.nodes, self.inputs, self.constants = generator, [*nodes], {**inputs}, {**constants}
        self.names = (f"v{i}" for i in itertools.count())

    def input(self, *shape):
        return self.given(random(self.generator, *shape))

    def given(self, array):
        name = next(self.names)
        self.inputs[name] = array
        return name

    def weights(self, *shape):
        return self.constant(random(self.generator, *shape))

    def constant(self, value):
        import numpy as np
        value = np.asarray(value)
        name = next(self.names)
        self.constants[name] = value.astype("float32") if value.dtype == "float64" else value
        return name

    def __call__(self, operator, *operands, outputs=1, **attributes):
        import onnx
        operands = [o if isinstance(o, str) else self.constant(o) for o in operands]
        names = [next(self.names) for _ in range(outputs)]
        self.nodes.append(onnx.helper.make_node(operator, operands, names, **attributes))
        return names[0] if outputs == 1 else names

    def parts(self):
        """As Task.write reads them: the last node's first output is the model's."""
        self.nodes[-1].output[0] = "y"
        return self.nodes, self.inputs, self.constants


def single(s, g):
    n = Network(g)

    def operand(word):
        if word == "_":
            return ""
        if word[0] == "#":
            return n.constant(literal(word[1:]))
        return n.weights(*dimensions(word[1:])) if word[0] == "@" else n.input(*dimensions(word))

    attributes = {k: v for k, v in s.items() if k not in ("operator", "operands")}
    n(s["operator"], *map(operand, s["operands"]), **attributes)
    return n.parts()


# Patterns: what a line of the table begins with.

def values(s, g):
    """No operator: an input for the steps that follow."""
    shape = dimensions(s["operands"][0])
    return [], {"x": random(g, *shape)}, {}, shape


def pixels(s, g):
    """An image of bytes, as a model of floats wants it: channels first, less a mean, over a deviation."""
    n = Network(g)
    image = n.given(g.integers(0, 256, (1, s["h"], s["w"], 3)).astype("uint8"))
    planes = n("Transpose", n("Cast", image, to=1), perm=[0, 3, 1, 2])
    n("Div", n("Sub", planes, [[[124.]], [[116.]], [[104.]]]), [[[58.]], [[57.]], [[57.5]]])
    return n.parts()


def attend(n, s, q, kt, v):
    """Scale, product, mask, softmax, product, as exporters write them."""
    import numpy as np
    keys = s.get("keys", s["q"])
    scores = n("Mul", n("MatMul", q, kt), s["d"] ** -0.5)
    mask = s.get("mask")
    if mask == "causal":  # known when compiling
        scores = n("Add", scores, np.triu(np.full((1, 1, s["q"], keys), -1e9, "float32"), 1))
    elif mask == "padding":  # an input: a row of keys a batch
        drawn = n.generator.random((s.get("n", 1), 1, 1, keys)) > 0.2
        scores = n("Add", scores, n.given(np.where(drawn, 0, -1e9).astype("float32")))
    elif mask == "bias":  # an input: a number a score, as of relative positions
        scores = n("Add", scores, n.input(1, s["h"], s["q"], keys))
    return n("MatMul", n("Softmax", scores, axis=-1), v)


def masked_attention(s, g):
    n, keys = Network(g), s.get("keys", s["q"])
    q, k, v = (n.input(s.get("n", 1), s["h"], rows, s["d"]) for rows in (s["q"], keys, keys))
    attend(n, s, q, n("Transpose", k, perm=[0, 1, 3, 2]), v)
    return n.parts()


def token_attention(s, g):
    """Of tokens whose heads lie beside one another, as projections leave them."""
    n, keys, batch, width = Network(g), s.get("keys", s["q"]), s.get("n", 1), s["h"] * s["d"]

    def heads(rows, *order):
        return n("Transpose", n("Reshape", n.input(batch, rows, width), [batch, rows, s["h"], s["d"]]), perm=order)

    o = attend(n, s, heads(s["q"], 0, 2, 1, 3), heads(keys, 0, 2, 3, 1), heads(keys, 0, 2, 1, 3))
    n("Reshape", n("Transpose", o, perm=[0, 2, 1, 3]), [batch, s["q"], width])
    return n.parts()


def channels_last(s, g):
    """A depthwise convolution of an image whose channels are last, as TensorFlow's exporters write it."""
    n, k, c = Network(g), s["k"], s["c"]
    x = n("Transpose", n.input(1, s["h"], s["w"], c), perm=[0, 3, 1, 2])
    y = n("Conv", x, n.weights(c, 1, k, k), n.weights(c), pads=[k // 2] * 4, group=c, strides=[s.get("stride", 1)] * 2)
    n("Transpose", y, perm=[0, 2, 3, 1])
    return n.parts()


def recurrent(s, g):
    n, h, c = Network(g), s["h"], s["c"]
    gates, extra = {"LSTM": (4, {}), "GRU": (3, {"linear_before_reset": 1})}[s["cell"]]
    ways = 2 if s.get("direction") == "bidirectional" else 1
    w, r, b = (random(g, ways, *shape) * 0.1 for shape in ((gates * h, c), (gates * h, h), (2 * gates * h,)))
    n(s["cell"], n.input(s["steps"], 1, c), w, r, b, hidden_size=h, direction=s.get("direction", "forward"), **extra)
    return n.parts()


def dynamic_matmul(s, g):
    """A product as dynamic quantisation writes it, from floats to floats."""
    import numpy as np
    n = Network(g)
    a, scale, zero = n("DynamicQuantizeLinear", n.input(s["m"], s["k"]), outputs=3)
    b = n.constant(kernel_tasks.numbers(g, "int8", s["k"], s["n"]))
    product = n("Cast", n("MatMulInteger", a, b, zero, np.array(0, "int8")), to=1)
    n("Add", n("Mul", product, n("Mul", scale, 0.01)), n.weights(s["n"]))
    return n.parts()


def gather(s, g):
    """Some rows of a table, which is the model's own unless it is an input."""
    n = Network(g)
    table = (n.input if s.get("table") == "input" else n.weights)(s["m"], s["n"])
    n("Gather", table, n.given(g.integers(0, s["m"], s["rows"])), axis=0)
    return n.parts()


def scatter(s, g):
    n, step = Network(g), s["m"] // s["rows"]
    n("ScatterND", n.input(s["m"], s["n"]), n.given(step * g.permutation(s["rows"]).reshape(-1, 1)),
      n.input(s["rows"], s["n"]))
    return n.parts()


def topk(s, g):
    n = Network(g)
    n("TopK", n.input(s["m"], s["n"]), [s["k"]], outputs=2, axis=-1)
    return n.parts()


PATTERNS = {f.__name__: f for f in (values, pixels, masked_attention, token_attention, channels_last, recurrent,
                                    dynamic_matmul, gather, scatter, topk)}


# Steps: what can follow. Each takes a network, a value of it and the shape of the line's first operator.

def bias(n, x, shape):
    return n("Add", x, n.weights(shape[-1]))


def residual(n, x, shape):
    return n("Add", x, n.input(*shape))


def relu(n, x, shape):
    return n("Relu", x)


def silu(n, x, shape):
    return n("Mul", x, n("Sigmoid", x))


def gelu(n, x, shape):
    return n("Mul", n("Mul", x, n("Add", n("Erf", n("Div", x, 2 ** 0.5)), 1.)), 0.5)


def gelu_tanh(n, x, shape):
    cubic = n("Add", x, n("Mul", n("Mul", n("Mul", x, x), x), 0.044715))
    return n("Mul", n("Mul", x, n("Add", n("Tanh", n("Mul", cubic, 0.79788)), 1.)), 0.5)


def gated_gelu(n, x, shape):
    a, gate = n("Split", x, outputs=2, axis=-1)
    return n("Mul", a, gelu(n, gate, shape))


def hardswish(n, x, shape):
    return n("HardSwish", x)


def prelu(n, x, shape):
    return n("PRelu", x, n.weights(shape[1], 1, 1))


def conv3(n, x, shape):
    c = shape[1]
    return n("Conv", x, random(n.generator, c, c, 3, 3) * (9 * c) ** -0.5, n.weights(c), pads=[1] * 4)


def shuffle(n, x, shape):
    return n("DepthToSpace", x, blocksize=2, mode="CRD")


def exp_log(n, x, shape):
    return n("Log", n("Exp", x))


def sine_cosine(n, x, shape):
    """Of angles up to 50."""
    angle = n("Mul", x, 50.)
    return n("Mul", n("Sin", angle), n("Cos", angle))


def rotary(n, x, shape):
    half, width, axis = shape[-1] // 2, shape[-1], [len(shape) - 1]
    first, second = n("Slice", x, [0], [half], axis), n("Slice", x, [half], [width], axis)
    turned = n("Concat", n("Neg", second), first, axis=-1)
    return n("Add", n("Mul", x, n.input(*shape[2:])), n("Mul", turned, n.input(*shape[2:])))


def hidden(n, x, shape):
    """Numbers that a mask takes out, as before a softmax."""
    return n("Where", n.given(n.generator.random((1, 1, *shape[2:])) > 0.5), x, -1e9)


def rms_norm(n, x, shape):
    mean = n("ReduceMean", n("Pow", x, 2.), axes=[-1], keepdims=1)
    return n("Mul", n("Div", x, n("Sqrt", n("Add", mean, 1e-6))), n.weights(shape[-1]))


def modulated_norm(n, x, shape):
    """A layer norm scaled and moved by inputs, as in a diffusion transformer."""
    normal = n("LayerNormalization", x, [1.] * shape[-1], [0.] * shape[-1], axis=-1)
    return n("Add", n("Mul", normal, n.input(shape[0], 1, shape[-1])), n.input(shape[0], 1, shape[-1]))


def channel_norm(n, x, shape):
    """A layer norm over an image's channels, between transposes."""
    last = n("Transpose", x, perm=[0, 2, 3, 1])
    return n("Transpose", n("LayerNormalization", last, n.weights(shape[1]), n.weights(shape[1]), axis=-1),
             perm=[0, 3, 1, 2])


def batch_norm(n, x, shape):
    c = shape[1]
    variance = random(n.generator, c) ** 2 + 0.1
    return n("BatchNormalization", x, n.weights(c), n.weights(c), n.weights(c), variance)


def square_mean(n, x, shape):
    return n("ReduceMean", n("Mul", x, x), axes=[-1], keepdims=1)


def to_bytes(n, x, shape):
    return n("Cast", n("Round", n("Mul", n("Clip", x, 0., 1.), 255.)), to=2)


STEPS = {f.__name__: f for f in (
    bias, residual, relu, silu, gelu, gelu_tanh, gated_gelu, hardswish, prelu, conv3, shuffle, exp_log, sine_cosine, rotary,
    hidden, rms_norm, modulated_norm, channel_norm, batch_norm, square_mean, to_bytes)}


def followed(base):
    """A builder of what `base` builds and the steps of `then`."""
    def build(s, g):
        nodes, inputs, constants, shape = base(s, g)
        n = Network(g, nodes, inputs, {name: of_unit_sums(name, array) for name, array in constants.items()})
        value = "x"
        if nodes:
            value = nodes[-1].output[0] = "before"
        for step in s["then"].split(","):
            value = STEPS[step](n, value, shape)
        return n.parts()
    return build


def of_unit_sums(name, array):
    """A product's or convolution's weights so small that its sums are about one: the range that activations are for."""
    import math
    terms = {"b": array.shape[-2:-1], "w": array.shape[1:]}.get(name, ())
    return array * array.dtype.type(math.prod(terms) ** -0.5)


ALL = [OperatorTask(*line.split(None, 1)) for line in """
transpose_heads        Transpose f32 1x1024x8x64 perm=0,2,1,3
transpose_keys         Transpose f32 1x1500x6x64 perm=0,2,3,1
transpose_to_last      Transpose f32 1x320x64x64 perm=0,2,3,1
transpose_to_first     Transpose f32 1x64x64x320 perm=0,3,1,2
transpose_batch        Transpose f32 8x77x768 perm=0,2,1
transpose_patches      Transpose f32 1x16x32x2x32x2 perm=0,1,3,5,2,4
transpose_windows      Transpose f32 1x8x7x8x7x96 perm=0,1,3,2,4,5
transpose_reversed     Transpose f32 4x64x32x96 perm=0,3,2,1
depth_to_space         DepthToSpace f32 1x256x64x64 blocksize=2 mode=CRD
space_to_depth         SpaceToDepth f32 1x32x128x128 blocksize=2
concat_channels        Concat f32 1x640x32x32 1x320x32x32 axis=1
concat_last            Concat f32 1024x320 1024x160 axis=-1
concat_cache           Concat f32 1x16x1023x64 1x16x1x64 axis=2
pad_reflect            Pad f32 1x64x128x128 #0,0,3,3,0,0,3,3 mode=reflect
pad_zeros              Pad f32 1x64x128x128 #0,0,1,1,0,0,1,1
pad_edge               Pad f32 1x64x2048 #0,0,8,0,0,8 mode=edge
tile_rows              Tile f32 1x256x1x64 #1,1,64,1
embedding              gather f32 m=30000 n=384 rows=1024
gather_rows            gather f32 m=2048 n=512 rows=1024 table=input
scatter_rows           scatter f32 m=4096 n=256 rows=1024
grid_sample            GridSample f32 1x32x64x64 1x64x64x2 mode=bilinear padding_mode=zeros align_corners=0
resize_linear          Resize f32 1x64x64x64 _ #1.,1.,2.,2. mode=linear coordinate_transformation_mode=half_pixel
resize_linear_down     Resize f32 1x64x128x128 _ #1.,1.,.5,.5 mode=linear coordinate_transformation_mode=align_corners
resize_cubic           Resize f32 1x3x128x128 _ #1.,1.,4.,4. mode=cubic cubic_coeff_a=-.75
resize_cubic_down      Resize f32 1x3x512x512 _ _ #1,3,224,224 mode=cubic cubic_coeff_a=-.5
add_two                Add f32 8x1024x1024 8x1024x1024
add_channels           Add f32 1x320x64x64 1x320x1x1
multiply_tokens        Mul f32 4x1024x640 4x1x640
cast_f16               Cast f32 1024x4096 to=10
image_silu             values f32 1x320x64x64 then=silu
image_batch_norm       values f32 1x64x112x112 then=batch_norm,relu
image_channel_norm     values f32 1x96x56x56 then=channel_norm
image_to_bytes         values f32 1x3x720x1280 then=to_bytes
image_from_bytes       pixels f32 h=480 w=640
rows_gelu_tanh         values f32 256x4608 then=gelu_tanh
rows_gated_gelu        values f32 1024x2560 then=gated_gelu
rows_exp_log           values f32 1024x1024 then=exp_log
rows_sine_cosine       values f32 1024x1024 then=sine_cosine
rows_rms_norm          values f32 1024x2048 then=rms_norm
rows_square_mean       values f32 4096x768 then=square_mean
rows_modulated         values f32 2x256x1152 then=modulated_norm
heads_rotary           values f32 1x16x1024x64 then=rotary
scores_hidden          values f32 1x8x1024x1024 then=hidden
softmax_middle         Softmax f32 16x128x512 axis=1
softmax_77             softmax f32 m=32768 n=77
softmax_50257          softmax f32 m=8 n=50257
log_softmax            LogSoftmax f32 32x51865 axis=-1
layernorm_96           layernorm f32 m=3136 n=96
instance_norm          InstanceNormalization f32 1x64x128x128 @64 @64
norm_silu_conv         groupnorm f32 c=128 h=64 w=64 groups=32 then=silu,conv3
reduce_middle          ReduceMean f32 16x256x512 axes=1, keepdims=0
reduce_image           ReduceMean f32 1x512x56x56 axes=2,3
reduce_all             ReduceSum f32 1024x2048 keepdims=0
reduce_max             ReduceMax f32 4096x512 axes=-1,
reduce_l2              ReduceL2 f32 4096x512 axes=-1,
argmax_rows            ArgMax f32 256x32000 axis=-1 keepdims=0
argmax_channels        ArgMax f32 1x21x256x256 axis=1 keepdims=0
top_50                 topk f32 m=16 n=32000 k=50
sort_rows              topk f32 m=64 n=2048 k=2048
scan_rows              CumSum f32 64x8192 #1
scan_columns           CumSum f32 1024x512 #0
maxpool_3_s2           MaxPool f32 1x64x112x112 kernel_shape=3,3 strides=2,2 pads=1,1,1,1
maxpool_5              MaxPool f32 1x128x20x20 kernel_shape=5,5 pads=2,2,2,2
avgpool_2_s2           AveragePool f32 1x128x64x64 kernel_shape=2,2 strides=2,2
avgpool_3              AveragePool f32 1x64x56x56 kernel_shape=3,3 pads=1,1,1,1
avgpool_all            GlobalAveragePool f32 1x2048x7x7
einsum_scores          Einsum f32 1x512x8x64 1x512x8x64 equation=bqhd,bkhd->bhqk
causal_128             masked_attention f32 h=12 q=128 d=64 mask=causal
causal_1024            masked_attention f32 h=16 q=1024 d=64 mask=causal
padded_bert            masked_attention f32 n=4 h=12 q=128 d=64 mask=padding
windows_49             masked_attention f32 n=64 h=3 q=49 d=32 mask=bias
windows_64             masked_attention f32 n=128 h=4 q=64 d=24 mask=bias
tokens_sd              token_attention f32 h=8 q=1024 d=40
tokens_vit             token_attention f32 h=12 q=197 d=64
tokens_text            token_attention f32 h=12 q=77 d=64 mask=causal
tokens_cross           token_attention f32 h=20 q=1024 keys=77 d=64
attention_d128         attention f32 h=8 q=512 d=128
attention_d160         attention f32 h=8 q=256 d=160
attention_d512         attention f32 h=1 q=1024 d=512
attention_d32          attention f32 n=16 h=8 q=256 d=32
attention_tiny         attention f32 h=4 q=16 d=32
attention_few_queries  attention f32 h=8 q=32 keys=4096 d=64
attention_64_queries   attention f32 h=12 q=64 keys=2048 d=64
attention_3_queries    attention f32 h=14 q=3 keys=700 d=64
decode_batch           attention f32 n=8 h=8 q=1 keys=1024 d=64
decode_4096            attention f32 h=32 q=1 keys=4096 d=128
bert_up                matmul f32 m=128 n=3072 k=768 then=bias,gelu
bert_down              matmul f32 m=128 n=768 k=3072 then=bias,residual
swin_up                matmul f32 m=3136 n=384 k=96 then=bias,gelu
image_up               matmul f32 m=4096 n=1280 k=320 then=bias,gelu
minilm_output          matmul f32 m=32 n=384 k=384 then=bias,residual
time_embedding         matmul f32 m=1 n=512 k=512 then=bias,silu
rows_1                 matmul f32 m=1 n=11008 k=4096
rows_2                 matmul f32 m=2 n=2048 k=2048 then=bias
rows_8                 matmul f32 m=8 n=2048 k=2048 then=bias
rows_9_odd             matmul f32 m=9 n=33 k=4096 then=bias
rows_12                matmul f32 m=12 n=3072 k=768 then=bias,gelu
rows_16_vocabulary     matmul f32 m=16 n=32000 k=512 then=bias
rows_16_deep           matmul f32 m=16 n=512 k=8192 then=bias
rows_24                matmul f32 m=24 n=1024 k=1024 then=bias
rows_32                matmul f32 m=32 n=2048 k=2048 then=bias
rows_48                matmul f32 m=48 n=768 k=768 then=bias
rows_333               matmul f32 m=333 n=1536 k=1536 then=bias
rows_512_deep          matmul f32 m=512 n=512 k=4096 then=bias
primes                 matmul f32 m=127 n=509 k=251 then=bias
columns_1              matmul f32 m=2048 n=1 k=256 then=bias
columns_3              matmul f32 m=10000 n=3 k=64 then=bias
columns_10             matmul f32 m=512 n=10 k=512 then=bias
deep_3                 matmul f32 m=4096 n=128 k=3 then=bias
batch_64               matmul f32 batch=64 m=64 n=96 k=96 then=bias
batch_8_rows_1         matmul f32 batch=8 m=1 n=1024 k=1024 then=bias
two_inputs_1024        matmul f32 m=1024 n=1024 k=1024 b=input
two_inputs_128         matmul f32 m=128 n=512 k=512 b=input
two_inputs_1           matmul f32 m=1 n=2048 k=2048 b=input
transposed             Gemm f32 1x2048 @1000x2048 @1000 transB=1
dynamic_128            dynamic_matmul i8 m=128 n=768 k=768
dynamic_1              dynamic_matmul i8 m=1 n=2048 k=2048
dynamic_300            dynamic_matmul i8 m=300 n=1024 k=256
int4_2                 nbits f32 m=2 n=4096 k=1024 bits=4 group=32
int4_8                 nbits f32 m=8 n=4096 k=1024 bits=4 group=32
int4_32                nbits f32 m=32 n=4096 k=1024 bits=4 group=32
lstm_128               recurrent f32 cell=LSTM steps=100 h=128 c=128
lstm_both_ways         recurrent f32 cell=LSTM steps=60 h=256 c=512 direction=bidirectional
gru_256                recurrent f32 cell=GRU steps=100 h=256 c=80
resnet_56              conv f32 c=64 h=56 w=56 o=64 k=3 then=residual,relu
resnet_1x1_down        conv f32 c=256 h=56 w=56 o=64 k=1 then=relu
resnet_1x1_up          conv f32 c=64 h=56 w=56 o=256 k=1 then=residual,relu
resnet_1x1_s2          conv f32 c=256 h=56 w=56 o=512 k=1 stride=2
resnet_3x3_s2          conv f32 c=128 h=56 w=56 o=128 k=3 stride=2 then=relu
resnet_7               conv f32 c=512 h=7 w=7 o=512 k=3 then=relu
resnet_batch_8         conv f32 n=8 c=64 h=28 w=28 o=64 k=3 then=relu
resnext                conv f32 c=128 h=56 w=56 o=128 k=3 groups=32 then=relu
groups_4               conv f32 c=64 h=64 w=64 o=64 k=3 groups=4
groups_8_1x1           conv f32 c=256 h=28 w=28 o=256 k=1 groups=8
mobile_expand          conv f32 c=32 h=56 w=56 o=192 k=1 then=hardswish
mobile_project         conv f32 c=192 h=28 w=28 o=32 k=1
mobile_5x5             conv f32 c=240 h=28 w=28 o=240 k=5 groups=240 then=silu
mobile_5x5_7           conv f32 c=960 h=7 w=7 o=960 k=5 groups=960 then=hardswish
convnext_56            conv f32 c=96 h=56 w=56 o=96 k=7 groups=96
squeeze                Conv f32 1x480x1x1 @120x480x1x1 @120
last_7x7               channels_last f32 h=14 w=14 c=384 k=7
last_5x5               channels_last f32 h=7 w=7 c=960 k=5
last_3x3_s2            channels_last f32 h=112 w=112 c=96 k=3 stride=2
yolo_first             conv f32 c=3 h=320 w=320 o=16 k=3 stride=2 then=silu
yolo_3x3_s2            conv f32 c=32 h=160 w=160 o=64 k=3 stride=2 then=silu
yolo_1x1               conv f32 c=128 h=40 w=40 o=128 k=1 then=silu
reader_first           conv f32 c=16 h=48 w=320 o=32 k=3 stride=2
reader_depthwise       conv f32 c=96 h=12 w=160 o=96 k=5 groups=96
upscale_prelu          conv f32 c=64 h=120 w=160 o=64 k=3 then=prelu
upscale_last           conv f32 c=64 h=120 w=160 o=48 k=3
upscale_shuffle        conv f32 c=64 h=96 w=96 o=256 k=3 then=shuffle
upscale_resize         resize f32 c=128 h=32 w=32 then=conv3
upscale_1x1            conv f32 c=64 h=120 w=160 o=16 k=1
image_1x1              conv f32 c=64 h=256 w=256 o=32 k=1
image_3x3_16           conv f32 c=16 h=256 w=256 o=16 k=3
image_5x5              conv f32 c=48 h=64 w=64 o=64 k=5
image_9x9              conv f32 c=3 h=128 w=128 o=32 k=9
alexnet_first          conv f32 c=3 h=224 w=224 o=64 k=11 stride=4 pad=2
inception_1x7          conv f32 c=128 h=17 w=17 o=128 k=1 kw=7
inception_7x1          conv f32 c=128 h=17 w=17 o=128 k=7 kw=1
dilated_6              conv f32 c=256 h=32 w=32 o=64 k=3 dilation=6
latent_patches         conv f32 c=16 h=64 w=64 o=384 k=2 stride=2 pad=0
patch_2                conv f32 c=64 h=56 w=56 o=128 k=2 stride=2 pad=0
patch_4                conv f32 c=3 h=224 w=224 o=96 k=4 stride=4 pad=0
patch_14               conv f32 c=3 h=224 w=224 o=384 k=14 stride=14 pad=0
video_first            conv f32 c=3 d=8 h=64 w=64 o=64 k=3
video_3x3x3            conv f32 c=96 d=5 h=32 w=32 o=96 k=3
video_3x3x3_s2         conv f32 c=64 d=8 h=32 w=32 o=64 k=3 stride=2
video_1x3x3            conv f32 c=96 d=4 h=48 w=48 o=96 kd=1 k=3
video_3x1x1            conv f32 c=64 d=8 h=32 w=32 o=64 kd=3 k=1
video_patches          conv f32 c=16 d=4 h=32 w=32 o=512 kd=1 k=2 stride=2 pad=0
wave_k7                conv f32 c=1 w=24000 o=32 k=7
wave_k10_s5            conv f32 c=1 w=16000 o=512 k=10 stride=5 pad=0
wave_k3_s2             conv f32 c=512 w=3200 o=512 k=3 stride=2 pad=0
wave_positions         conv f32 c=768 w=200 o=768 k=128 groups=16
codec_k16_s8           conv f32 c=256 w=2000 o=512 k=16 stride=8 pad=4
codec_k7_dilated       conv f32 c=128 w=4096 o=128 k=7 dilation=9
wavenet_512            conv f32 c=64 w=8000 o=128 k=3 dilation=512
vocoder_last           conv f32 c=32 w=16384 o=1 k=7
vocoder_k1             conv f32 c=512 w=300 o=1536 k=1
speech_k5              conv f32 c=192 w=200 o=384 k=5
conformer_k31          conv f32 c=256 w=500 o=256 k=31 groups=256 then=silu
state_k4               conv f32 c=768 w=512 o=768 k=4 groups=768 pad=0
wave_up_2              convt f32 c=128 w=2048 o=64 k=4 stride=2 pad=1
wave_up_5              convt f32 c=256 w=400 o=128 k=10 stride=5 pad=2
image_up_2x2           convt f32 c=256 h=32 w=32 o=128 k=2 stride=2
image_up_3x3           ConvTranspose f32 1x64x56x56 @64x32x3x3 @32 strides=2,2 pads=1,1,1,1 output_padding=1,1
image_up_depthwise     ConvTranspose f32 1x64x32x32 @64x1x4x4 @64 strides=2,2 pads=1,1,1,1 group=64
""".strip().splitlines()]
# Both lists' models lie in one folder.
assert not {task.name for task in ALL} & {task.name for task in kernel_tasks.ALL}, "a name of kernel_tasks' list"


def named(names):
    """All tasks, or those called so."""
    known = {task.name: task for task in ALL}
    return kernel_tasks.chosen(names, known, "tools/kernel-tasks --operators") if names else ALL
