"""What tools/new-op, new-kernel and new-pass share: names, files that must not be there yet, and lines in tables."""
import argparse
import re
import sys

from workspace import ROOT


def arguments(description, *names):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, help_text in names:
        parser.add_argument(name, help=help_text)
    return parser.parse_args()


def type_name(text):
    """A Swift type's name. Exits if `text` is none."""
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", text):
        sys.exit(f"'{text}' is not a type's name: write it like CumulativeSum")
    return text


def words(name, separator="_"):
    """CumulativeSum -> cumulative_sum, LSTMCell -> lstm_cell"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", separator, name).lower()


def camel(name):
    """FoldConstants -> foldConstants, CSE -> cse"""
    first, *rest = words(name).split("_")
    return first + "".join(w.capitalize() for w in rest)


def create(path, text):
    """Writes a new file, and says so."""
    path = ROOT / path
    if path.exists():
        sys.exit(f"{path.relative_to(ROOT)} is there already")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"wrote {path.relative_to(ROOT)}")


def add_to_table(folder, declaration, line):
    """Adds `line` at the end of the array literal whose declaration in a Swift file beneath `folder` matches the regular
    expression `declaration`, which ends with the opening bracket."""
    for path in sorted((ROOT / folder).rglob("*.swift")):
        text = path.read_text()
        match = re.search(declaration, text)
        if not match:
            continue
        end = text.index("\n]", match.end())
        body = text[match.end():end].rstrip()
        code = re.sub(r"//.*", "", body).rstrip()
        if code and not code.endswith(","):
            sys.exit(f"{path.relative_to(ROOT)}: the table's last line lacks a comma: add this line by hand: {line}")
        path.write_text(text[:match.end()] + body + f"\n  {line}" + text[end:])
        print(f"added a line to {path.relative_to(ROOT)}")
        return
    sys.exit(f"no table matching {declaration} beneath {folder}: add this line by hand: {line}")
