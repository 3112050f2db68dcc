"""Tessera's C API (Sources/TesseraABI/include/tessera.h) through ctypes: as much of it as running and timing a model needs."""
import ctypes
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p

import numpy as np

# Numbered as TESSERA_FLOAT64... in tessera_plugin.h. bfloat16 (3) has no numpy type.
ELEMENTS = {np.dtype(t): code for code, t in (
    (0, "f8"), (1, "f4"), (2, "f2"), (4, "i8"), (5, "i4"), (6, "i2"), (7, "i1"), (8, "u8"), (9, "u4"), (10, "u2"), (11, "u1"),
    (12, "bool"))}
TYPES = {code: dtype for dtype, code in ELEMENTS.items()}


class LoadOptions(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("threads", c_int32), ("verify", c_int32), ("reserved", c_int32)]


class Tensor(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("element", c_int32), ("rank", c_int32), ("dims", POINTER(c_int64)),
                ("dim_text", POINTER(c_char_p))]


class Description(ctypes.Structure):
    _fields_ = [("size", c_uint32), ("threads", c_int32), ("model_name", c_char_p), ("target", c_char_p), ("manifest", c_char_p),
                ("inputs", POINTER(Tensor)), ("outputs", POINTER(Tensor)), ("symbols", POINTER(c_char_p)),
                ("input_count", c_uint32), ("output_count", c_uint32), ("symbol_count", c_uint32), ("reserved", c_uint32)]


class Buffer(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint64), ("element", c_int32), ("rank", c_int32), ("dims", POINTER(c_int64))]


SIGNATURES = {
    "tessera_load": (c_char_p, POINTER(LoadOptions), POINTER(c_uint64)),
    "tessera_describe": (c_uint64, POINTER(Description)),
    "tessera_session_create": (c_uint64, c_void_p, POINTER(c_uint64)),
    "tessera_output_dims": (c_uint64, POINTER(Buffer), c_uint32, POINTER(c_int64), c_uint64, POINTER(c_uint64)),
    "tessera_output": (c_uint64, c_uint32, POINTER(Buffer)),
    "tessera_run": (c_uint64, POINTER(Buffer), c_uint32, POINTER(Buffer), c_uint32),
}


class Model:
    """A compiled model in a session of its own. Lives as long as the process. Raises RuntimeError with the runtime's words."""

    def __init__(self, runtime, library, threads):
        self.c = ctypes.CDLL(str(runtime))
        self.c.tessera_error.restype = c_char_p
        for name, arguments in SIGNATURES.items():
            getattr(self.c, name).argtypes = arguments
        handle, self.session = c_uint64(), c_uint64()
        options = LoadOptions(size=ctypes.sizeof(LoadOptions), threads=threads)
        self.must(self.c.tessera_load(str(library).encode(), byref(options), byref(handle)))
        self.description = Description(size=ctypes.sizeof(Description))
        self.must(self.c.tessera_describe(handle, byref(self.description)))
        self.must(self.c.tessera_session_create(handle, None, byref(self.session)))

    def must(self, status):
        if status:
            raise RuntimeError(self.c.tessera_error().decode(errors="replace"))

    def bound(self, inputs):
        """A function that runs the model on these arrays and returns its outputs, always in the same memory."""
        inputs = [np.ascontiguousarray(a) for a in inputs]
        given = buffers(inputs)
        shapes = self.output_shapes(given, len(inputs))
        outputs = [aligned([max(0, n) for n in shape], TYPES[element]) for shape, element in shapes]
        results = buffers(outputs)
        unknown = [i for i, (shape, _) in enumerate(shapes) if -1 in shape]
        for i in unknown:  # only a run finds its size: it goes to memory of the session's
            results[i].data, results[i].size = None, 0

        def run():
            self.must(self.c.tessera_run(self.session, given, len(inputs), results, len(outputs)))
            for i in unknown:
                outputs[i] = self.output(i)
            return outputs
        run.inputs = inputs  # kept alive: the buffers point into them
        return run

    def output(self, index):
        """An output of the last run, in the memory that it is in."""
        buffer = Buffer()
        self.must(self.c.tessera_output(self.session, index, byref(buffer)))
        shape, dtype = [buffer.dims[i] for i in range(buffer.rank)], TYPES[buffer.element]
        if not buffer.size:
            return np.empty(shape, dtype)
        memory = (ctypes.c_char * buffer.size).from_address(buffer.data)
        return np.frombuffer(memory, dtype, count=int(np.prod(shape, dtype=np.int64))).reshape(shape)

    def run(self, inputs):
        """The model's outputs for these arrays, in memory of their own."""
        return self.bound(inputs)()

    def ports(self, side):
        ports = getattr(self.description, side)
        return [ports[i] for i in range(getattr(self.description, side[:-1] + "_count"))]

    def names(self, side):
        """Of "inputs" or "outputs"."""
        return [port.name.decode() for port in self.ports(side)]

    def sizes(self, name):
        """Of an input; negative where open."""
        port, = (p for p in self.ports("inputs") if p.name.decode() == name)
        return [port.dims[d] for d in range(port.rank)]

    def output_shapes(self, given, count):
        ports = self.ports("outputs")
        dims = (c_int64 * max(1, sum(p.rank for p in ports)))()
        self.must(self.c.tessera_output_dims(self.session, given, count, dims, len(dims), None))
        remaining = iter(dims)
        return [([next(remaining) for _ in range(port.rank)], port.element) for port in ports]


def aligned(shape, dtype):
    """An array that begins with a line of the cache, as engines' own memory does; numpy's begin anywhere."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start:start + size].view(dtype).reshape(shape)


def buffers(arrays):
    result = (Buffer * max(1, len(arrays)))()
    for buffer, a in zip(result, arrays):
        buffer.data, buffer.size, buffer.element, buffer.rank = a.ctypes.data, a.nbytes, ELEMENTS[a.dtype], a.ndim
        buffer.dims = (c_int64 * max(1, a.ndim))(*a.shape)
    return result
