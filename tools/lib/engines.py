"""The engines that are timed side by side, each in processes of its own and driven one at a time.

An engine runs for a slice of time and says how long each run took; between its slices it must leave the processor
alone. An engine lives in a child process, which answers one line of JSON for each line it is sent. Its threads spin
while it works, as its users' do, and park when it waits for the next line. Tessera can also be called through its
command line, one process a slice.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PARKING_SECONDS = 0.05  # for an engine's threads to stop spinning after its last run


@dataclass
class Slice:
    """What one engine did in its turn."""
    median_ms: float
    runs: int


class EngineError(Exception):
    """An engine failed; the text is what it said."""


def load_tensors(folder):
    """The tensors of a folder of NN_name.npy, in the order of NN."""
    paths = sorted(Path(folder).glob("*.npy"))
    if not paths:
        raise EngineError(f"{folder} holds no .npy file")
    return [np.load(path) for path in paths]


def worst_error(outputs, expected):
    """The largest absolute error over the expected peak, over all outputs; infinite where a shape or type differs."""
    if len(outputs) != len(expected):
        return float("inf")
    worst = 0.0
    for ours, theirs in zip(outputs, expected):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype or not np.isfinite(ours).all():
            return float("inf")
        if theirs.size:
            error = np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max()
            worst = max(worst, float(error / max(np.abs(theirs.astype(np.float64)).max(), 1e-30)))
    return worst


class CommandLine:
    """A compiled library, through `tessera run` and `tessera bench`."""
    name = "tessera"

    def __init__(self, program, library, inputs, threads):
        self.program, self.library, self.inputs, self.threads = map(str, (program, library, inputs, threads))

    def call(self, command, *arguments):
        line = [self.program, command, self.library, "--inputs", self.inputs, "--threads", self.threads, *arguments]
        done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise EngineError(f"tessera {command} exited {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def outputs(self):
        with tempfile.TemporaryDirectory() as folder:
            self.call("run", "--output-dir", folder)
            return load_tensors(folder)

    def slice(self, seconds):
        answer = json.loads(self.call("bench", "--duration", str(seconds), "--format", "json"))
        return Slice(answer["median_ms"], answer["n"])

    def close(self):
        pass


class Child:
    """An engine of `LOADERS` in a child process: this file run as a program. The model is a .onnx file, or for Tessera
    a compiled library, which $TESSERA_RUNTIME (a libtessera.so) loads."""

    def __init__(self, name, model, inputs, threads):
        self.name = name
        command = [sys.executable, __file__, name, str(model), str(inputs), str(threads)]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask({"do": "load"})

    def ask(self, request):
        try:
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EngineError(f"{self.name} ended with status {self.child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise EngineError(f"{self.name}: {answer['error']}")
        return answer

    def outputs(self):
        with tempfile.TemporaryDirectory() as folder:
            self.ask({"do": "outputs", "folder": folder})
            return load_tensors(folder)

    def slice(self, seconds):
        times = self.ask({"do": "slice", "seconds": seconds})["ms"]
        time.sleep(PARKING_SECONDS)
        return Slice(statistics.median(times), len(times))

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


# In the child


def load_ort(model, inputs, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = dict(zip((i.name for i in session.get_inputs()), inputs))
    return lambda: session.run(None, feeds)


def load_openvino(model, inputs, threads):
    import openvino
    compiled = openvino.Core().compile_model(model, "CPU", {
        # As the others compute: by default it would round activations to 8 bits where weights are compressed.
        "INFERENCE_PRECISION_HINT": os.environ.get("OPENVINO_PRECISION", "f32"), "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    })
    request = compiled.create_infer_request()
    # Bound once, as ONNX Runtime's feeds are: what is timed is the run, not the making of tensors.
    tensors = [openvino.Tensor(np.ascontiguousarray(array)) for array in inputs]
    for port, tensor in zip(compiled.inputs, tensors):
        request.set_tensor(port, tensor)

    def run():
        request.infer()
        return [request.get_tensor(port).data for port in compiled.outputs]
    return run


def load_tessera(library, inputs, threads):
    import tessera_c
    return tessera_c.Model(os.environ["TESSERA_RUNTIME"], library, threads).bound(inputs)


def load_mkl(model, inputs, threads):
    """A model of one product by constant numbers."""
    os.environ["KMP_BLOCKTIME"] = "10"  # milliseconds that its threads spin for more work
    import ctypes
    import onnx
    a, = inputs
    b, = (onnx.numpy_helper.to_array(t) for t in onnx.load(model).graph.initializer)
    mkl = ctypes.CDLL(os.path.join(sys.prefix, "lib/libmkl_rt.so.3"))
    mkl.MKL_Set_Num_Threads(threads)
    (m, k), n = a.shape, b.shape[1]
    y = np.zeros((m, n), np.float32)
    row_major, plain = 101, 111
    numbers = [array.ctypes.data_as(ctypes.c_void_p) for array in (a, b, y)]
    one, zero = ctypes.c_float(1), ctypes.c_float(0)

    def run():
        mkl.cblas_sgemm(row_major, plain, plain, m, n, k, one, numbers[0], k, numbers[1], n, zero, numbers[2], n)
        return [y]
    return run


LOADERS = {"tessera": load_tessera, "ort": load_ort, "openvino": load_openvino, "mkl": load_mkl}


def timed_runs(run, seconds):
    """Milliseconds of each run for `seconds`, at least one, after one run that is not counted."""
    run()
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def serve(name, model, folder, threads):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        try:
            if request["do"] == "load":
                run = LOADERS[name](model, load_tensors(folder), threads)
            elif request["do"] == "outputs":
                for i, array in enumerate(run()):
                    np.save(os.path.join(request["folder"], f"{i:02d}_output.npy"), array)
            else:
                answer["ms"] = timed_runs(run, request["seconds"])
        except Exception as error:  # told to the parent, which stops
            answer["error"] = re.sub(r"\s+", " ", str(error))[:400] or type(error).__name__
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
