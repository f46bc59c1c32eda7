"""Draws of the operators on strings."""

import re

import numpy as np

from .base import broadcast_pair, dims, oracle, pick, prefer_runtime, spec

WORDS = ["", "a", "b c", " lead", "trail ", "Äpfel", "ßtraße", "ΑΒΓ", "日本語", "é", "x-y-z", "--", "a--b", "tab\tline\nend", "\u00a0nbsp\u2003em",
         "😀 smile", "UPPER", "lower", "MiXeD", "1,2,,3", " ", "\x1f\x85"]


def texts(rng, shape, words=None):
    words = words or WORDS
    return np.array([pick(rng, words) + (pick(rng, words) if rng.random() < 0.3 else "") for _ in range(int(np.prod(shape)))],
                    dtype=object).reshape(shape)


@spec("StringConcat")
def string_concat(rng, version, name):
    a, b = broadcast_pair(rng)
    return {}, [texts(rng, a), texts(rng, b)]


@spec("StringSplit")
def string_split(rng, version, name):
    attrs = {}
    if rng.random() < 0.7:
        attrs["delimiter"] = pick(rng, ["", "-", "--", ",", " ", "b", "é", "本"])
    if rng.random() < 0.5:
        attrs["maxsplit"] = int(rng.integers(0, 4))
    return attrs, [texts(rng, dims(rng))], ["y", "z"]


@oracle("StringSplit", why="numpy's split of a scalar is not what the reference pads")
def string_split_oracle(version, attrs, inputs):
    x = inputs[0]
    parts = [t.split(attrs.get("delimiter") or None, attrs.get("maxsplit", -1)) for t in x.reshape(-1)]
    most = max((len(p) for p in parts), default=0)
    padded = np.array([p + [""] * (most - len(p)) for p in parts], dtype=object).reshape(*x.shape, most)
    return [padded, np.array([len(p) for p in parts], np.int64).reshape(x.shape)]


# Letters whose full mapping is not one to one, and a capital sigma at the end of a word, are left out: the operator maps one to one.
NORMAL = [w for w in WORDS if "ß" not in w and "Γ" not in w] + ["ΑΒ", "а", "Ж", "ǅ", "ÿ"]


@spec("StringNormalizer")
def string_normalizer(rng, version, name):
    count = int(rng.integers(0, 8))
    shape = [count] if rng.random() < 0.5 else [1, count]
    attrs = {"case_change_action": pick(rng, ["NONE", "LOWER", "UPPER"])} if rng.random() < 0.8 else {}
    if rng.random() < 0.7:
        attrs["stopwords"] = [pick(rng, [str.lower, str.upper, str])(pick(rng, NORMAL)) for _ in range(rng.integers(1, 12))]
    if rng.random() < 0.6:
        attrs["is_case_sensitive"] = int(rng.integers(0, 2))
    if rng.random() < 0.2:
        attrs["locale"] = "en_US"
    return attrs, [texts(rng, shape, NORMAL)]


@oracle("StringNormalizer", why="the reference takes accents off, cuts elements into words, drops empty ones, and compares stop words in "
        "their own case where case is to be ignored; ONNX Runtime needs a locale that machines without locales lack")
def string_normalizer_oracle(version, attrs, inputs):
    x = inputs[0]
    fold = str if attrs.get("is_case_sensitive") else str.lower
    stop = {fold(w) for w in attrs.get("stopwords", [])}
    change = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}[attrs.get("case_change_action", "NONE")]
    kept = [change(t) for t in x.reshape(-1) if fold(t) not in stop] or [""]
    return [np.array(kept, dtype=object).reshape([1] * (x.ndim - 1) + [-1])]


def pattern(rng, depth=0):
    """A regular expression in what RE2's syntax and Python's have in common, and a text that has a chance to match."""
    kind = rng.integers(0, 13 if depth < 4 else 6)
    if kind < 3:
        text = pick(rng, ["a", "b", "ab", "é", "日", "-", "0", "_", " "])
        return text, text
    if kind == 3:
        return pick(rng, [(".", "x"), ("[a-c]", "b"), ("[^a-c]", "d"), ("[é-ü]", "ö"), (r"[\d\-]", "7"), (r"[^\w\s]", "!"), ("[]a]", "]"), ("[a^]", "^")])
    if kind == 4:
        return pick(rng, [(r"\d", "5"), (r"\w", "w"), (r"\s", " "), (r"\D", "x"), (r"\W", "-"), (r"\S", "y"), (r"\.", "."), (r"\x41", "A"),
                          (r"\n", "\n"), (r"\101", "A")])
    if kind == 5:
        return pick(rng, [(r"\b", ""), (r"\B", ""), ("^", ""), ("$", ""), (r"\A", ""), ("", "")])
    if kind in (6, 7, 8):
        parts = [pattern(rng, depth + 1) for _ in range(rng.integers(1, 4))]
        return "".join(p for p, _ in parts), "".join(t for _, t in parts)
    inner, text = pattern(rng, depth + 1)
    if kind == 9:
        other, other_text = pattern(rng, depth + 1)
        return f"{pick(rng, ['(', '(?:', '(?P<n' + str(rng.integers(1 << 30)) + '>'])}{inner}|{other})", pick(rng, [text, other_text])
    if kind == 10:
        return f"(?{pick(rng, ['i', 's', 'm', 'is'])}:{inner})", pick(rng, [str, str.upper])(text)
    times, count = pick(rng, [("*", 0), ("*", 3), ("+", 1), ("+", 2), ("?", 0), ("?", 1), ("{2}", 2), ("{1,}", 2), ("{0,2}", 1), ("{1,3}", 3)])
    return f"(?:{inner}){times}{pick(rng, ['', '', '?'])}", text * count


@spec("RegexFullMatch")
def regex_full_match(rng, version, name):
    while True:
        text, example = pattern(rng)
        if "$" in text and "(?m" in text:  # the oracle does not tell the two kinds of $ apart
            continue
        try:
            re.compile(text, re.ASCII)
            break
        except re.error:
            continue
    shape = dims(rng, rank=int(rng.integers(0, 3)))
    words = [example, example, example + "\n", example[1:], example + "a", example.swapcase(), "ab", ""]
    return {"pattern": text}, [np.array([pick(rng, words) for _ in range(int(np.prod(shape)))], dtype=object).reshape(shape)]


@oracle("RegexFullMatch", why="in RE2's syntax, which the operator is to have, \\d, \\w, \\s, \\b are about ASCII, and $ is the end of the text "
        "alone; the reference compiles Python's")
def regex_oracle(version, attrs, inputs):
    # Case is ignored for all letters, not for those of ASCII: the classes are spelled out instead of using re.ASCII.
    text = attrs["pattern"]
    lines = re.search(r"\(\?[is]*m", text)
    out, bracket, i = "", False, 0
    spelled = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
    while i < len(text):
        if text[i] == "\\":
            letter = text[i + 1]
            if letter.lower() in spelled:
                inner = spelled[letter.lower()]
                out += inner if bracket else f"[{'^' if letter.isupper() else ''}{inner}]"
            elif letter in "bB":
                word = spelled["w"]
                edge = rf"(?<![{word}])(?=[{word}])|(?<=[{word}])(?![{word}])"
                out += f"(?-i:{edge})" if letter == "b" else f"(?-i:(?!{edge}))"
            else:
                out += text[i:i + 2]
            i += 2
            continue
        if text[i] == "[" and not bracket:
            bracket = True
            out += text[i:i + 2] if text[i + 1] in "]^" else "["
            i += 2 if text[i + 1] in "]^" else 1
            continue
        if text[i] == "]":
            bracket = False
        out += r"\Z" if text[i] == "$" and not bracket and not lines else text[i]
        i += 1
    compiled = re.compile(out)
    return [np.array([compiled.fullmatch(t) is not None for t in inputs[0].reshape(-1)], bool).reshape(inputs[0].shape)]


@spec("Tokenizer", domain="com.microsoft")
def tokenizer(rng, version, name):
    words = ["a", "b cc", "Hello World", "x-y--z", "one1two22", "é日本 ", "", " ", "the cat, the dog; and."]
    attrs = {"mark": int(rng.integers(0, 2)), "pad_value": pick(rng, ["#", "", "pad"]), "mincharnum": int(rng.integers(1, 4))}
    kind = rng.integers(0, 3)
    if kind == 0:
        attrs["tokenexp"] = pick(rng, ["[a-z]+", "a|ab", r"\w+", r"[^ ]+", r"\bt\w*", "[a-zA-Z0-9_]+", ".", "e.?"])
    elif kind == 1:
        attrs["separators"] = [pick(rng, [" ", "-", "--", "[0-9]+", "[,;]", r"\s+", "th?"]) for _ in range(rng.integers(1, 3))]
        attrs["separators"] = sorted(set(attrs["separators"]), key=attrs["separators"].index)
    else:
        attrs |= {"separators": [""], "mincharnum": 1}
    shape = [int(rng.integers(0 if rng.random() < 0.1 else 1, 5)) for _ in range(rng.integers(1, 3))]
    return attrs, [texts(rng, shape, words)]


prefer_runtime("Tokenizer", domain="com.microsoft", why="the reference does not have it")
