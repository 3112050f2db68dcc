"""Byte-level BPE (Radford et al., 2019): text to token numbers and back."""
import json
import re
import struct


def byte_letters():
    """The letter that stands for each byte in vocabularies of this kind: itself if printable, else one above 255."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}


LETTERS = byte_letters()
BYTES = {letter: byte for byte, letter in LETTERS.items()}
# Words with the space before them, digits one by one, runs of signs, of spaces.
WORDS = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+| ?\d| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


class Vocabulary:
    def __init__(self, tokens, merges, end=None):
        self.tokens, self.end = tokens, end
        self.numbers = {token: i for i, token in enumerate(tokens)}
        self.ranks = {tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m): i for i, m in enumerate(merges)}

    @classmethod
    def of_json(cls, path):
        """From Hugging Face's tokenizer.json."""
        with open(path, encoding="utf-8") as file:
            description = json.load(file)
        model = description["model"]
        numbers = model["vocab"] | {t["content"]: t["id"] for t in description["added_tokens"]}
        tokens = [""] * (max(numbers.values()) + 1)
        for token, number in numbers.items():
            tokens[number] = token
        return cls(tokens, model["merges"])

    @classmethod
    def of_gguf(cls, path):
        """From the metadata of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md)."""
        with open(path, "rb") as file:
            facts = gguf_facts(file)
        return cls(facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.merges"], facts.get("tokenizer.ggml.eos_token_id"))

    def ids(self, text):
        return [self.numbers[part] for word in WORDS.findall(text) for part in self.parts("".join(LETTERS[b] for b in word.encode()))]

    def parts(self, word):
        """The word's letters, joined pair by pair, the pair of the lowest rank first."""
        parts = list(word)
        while len(parts) > 1:
            pairs = list(zip(parts, parts[1:]))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, float("inf")))
            if best not in self.ranks:
                break
            joined, i = [], 0
            while i < len(parts):
                found = tuple(parts[i:i + 2]) == best
                joined.append("".join(best) if found else parts[i])
                i += 2 if found else 1
            parts = joined
        return parts

    def text(self, ids):
        letters = "".join(self.tokens[i] for i in ids)
        return bytes(BYTES[c] for c in letters if c in BYTES).decode(errors="replace")


GGUF_TYPES = ["B", "b", "H", "h", "I", "i", "f", "?", "str", "list", "Q", "q", "d"]


def gguf_facts(file):
    """The key-value pairs at the head of a GGUF file."""
    def number(code):
        return struct.unpack("<" + code, file.read(struct.calcsize(code)))[0]

    def value(kind):
        if kind == "str":
            return file.read(number("Q")).decode(errors="replace")
        if kind == "list":
            inner = GGUF_TYPES[number("I")]
            return [value(inner) for _ in range(number("Q"))]
        return number(kind)

    if file.read(4) != b"GGUF":
        raise ValueError("not a GGUF file")
    number("I")  # version
    number("Q")  # tensors
    return {value("str"): value(GGUF_TYPES[number("I")]) for _ in range(number("Q"))}
