"""How `tessera verify` is asked about a stored case: at most 1e-4 of an output's peak."""
import numpy as np

TOLERANCE = 1e-4


def peak(folder):
    """The least of the outputs' peaks."""
    peaks = [float(np.abs(np.load(p).astype(np.float64)).max(initial=0)) for p in folder.glob("*.npy")]
    return min((p for p in peaks if p > 0), default=1.0)


def arguments(case):
    return ["--inputs", case / "inputs", "--expected", case / "expected", "--rtol", "0", "--atol", repr(TOLERANCE * peak(case / "expected"))]
