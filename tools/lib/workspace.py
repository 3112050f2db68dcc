"""Where things are: the repository, the built compiler, its cached libraries, the zoo's models."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def enter_environment(name):
    """Runs this program again in the pinned environment `name` (see tools/python-env), made on first use."""
    python = os.environ.get("TESSERA_PYTHON")
    if not python:
        python = subprocess.run([ROOT / "tools/python-env", name], check=True, capture_output=False,
                                stdout=subprocess.PIPE, text=True).stdout.strip()
    if os.path.abspath(sys.executable) != os.path.abspath(python):
        os.execv(python, [python, *sys.argv])


def tessera():
    """The compiler: $TESSERA, or this repository's release build, made now if it is not up to date."""
    if "TESSERA" in os.environ:
        return Path(os.environ["TESSERA"])
    folder = subprocess.run([ROOT / "tools/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return Path(folder.splitlines()[-1]) / "tessera"


def digest_of(*paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def tuning_files(database=None):
    """What a compile with this database reads of it; the user's own unless one is named."""
    if database == "none":
        return []
    cache = os.environ.get("XDG_CACHE_HOME", "")
    own = Path(cache if cache.startswith("/") else Path.home() / ".cache") / "tessera/tuning.db"
    path = Path(database) if database else own
    return [p for p in (path, Path(f"{path}-wal")) if p.exists()]


def compiled(program, model, cache, flags=(), database=None):
    """`model` compiled by `program` with a tuning database, from `cache` if the same compiler has done so before. What the
    compiler says goes to stderr. Raises subprocess.CalledProcessError."""
    flags = [*flags, *(["--db", str(database)] if database else [])]
    model, cache = Path(model), Path(cache)
    weights = sorted(model.parent.glob(model.name + ".data*"))
    flags_digest = hashlib.sha256("\0".join(flags).encode()).hexdigest()[:4]
    library = cache / f"{model.parent.name}-{digest_of(program, model, *weights, *tuning_files(database))}-{flags_digest}.so"
    if not library.exists():
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob(f"{model.parent.name}-*-{flags_digest}.*"):
            old.unlink()
        subprocess.run([program, "compile", model, "-o", library, *flags], check=True, stdout=sys.stderr)
    return library


def zoo_models(directory, names=()):
    """Folders DIR/models/NAME that hold a model.onnx with inputs: all, or those named. A name may be a path."""
    models = Path(directory) / "models" if directory else None
    if names:
        folders = [Path(n) if (Path(n) / "model.onnx").exists() or not models else models / n for n in names]
    elif models:
        folders = sorted(p.parent for p in models.glob("*/model.onnx"))
    else:
        folders = []
    for folder in folders:
        if not (folder / "model.onnx").exists() or not (folder / "inputs").is_dir():
            sys.exit(f"{folder} has no model.onnx with inputs/ beside it")
    return folders


def cases(folder):
    """The folders with inputs/ and expected/ that belong to a model: itself first, then cases/K."""
    rest = sorted((folder / "cases").glob("*"), key=lambda p: (len(p.name), p.name))
    return [case for case in (folder, *rest) if (case / "inputs").is_dir() and (case / "expected").is_dir()]
