"""A machine's limits, measured as the engines are: loops that do nothing but multiply and add, or read and write."""
import ctypes
import statistics
import subprocess
import time
from ctypes import POINTER, c_double, c_float, c_int, c_long, c_size_t

import numpy as np
import workspace

SOURCE = workspace.ROOT / "tools/lib/limits.c"


class Limit:
    """The least time that some work takes: what `nanoseconds()` measures."""
    def __init__(self, nanoseconds):
        self.nanoseconds = nanoseconds

    def milliseconds(self, seconds):
        """The median over `seconds` of work."""
        self.nanoseconds()
        found, end = [], time.perf_counter() + seconds
        while not found or time.perf_counter() < end:
            found.append(self.nanoseconds() * 1e-6)
        return statistics.median(found)


def library(cache):
    """limits.c for this CPU, built with clang, which comes with Swift: anew each time, as the folder may have moved to another."""
    path = cache / "limits.so"
    cache.mkdir(parents=True, exist_ok=True)
    subprocess.run(["clang", "-O2", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", SOURCE, "-o", path], check=True)
    c = ctypes.CDLL(str(path))
    c.time_multiply_adds.restype = c.time_stream.restype = c_double
    c.time_multiply_adds.argtypes = [c_int, c_long]
    c.time_stream.argtypes = [c_int, POINTER(c_float), c_size_t, POINTER(c_float), c_size_t, c_long]
    return c


def multiply_adds(c, operations, threads):
    """So many operations, two a multiply-add, in registers."""
    step = threads * 2 * c_int.in_dll(c, "lanes").value * c_int.in_dll(c, "sums").value
    steps = 200_000
    return Limit(lambda: c.time_multiply_adds(threads, steps) * operations / (steps * step))


def stream(c, read, written, threads):
    """So many bytes read and so many written, over and over in the same places."""
    x, y = np.ones(max(1, read // 4), np.float32), np.ones(max(1, written // 4), np.float32)
    at = [a.ctypes.data_as(POINTER(c_float)) for a in (x, y)]
    # Long enough that starting the threads is little beside it.
    times = max(1, 20_000_000 // (read + written + 1))
    return Limit(lambda: c.time_stream(threads, at[0], read // 4, at[1], written // 4, times) / times)
