"""ort_format_run.py LIBRARY FOLDER: opens digits.onnx and digits.ort of the folder in many ways through ONNX Runtime's C API.

Prints {case: the error's code, or the outputs} as JSON, for test_ort_format.py.
"""

import ctypes
import json
import pathlib
import sys

import numpy as np
import ort_c

DIRECTLY, WEIGHTS = "session.use_ort_model_bytes_directly", "session.use_ort_model_bytes_for_initializers"
FORMAT, MAPPED = "session.load_model_format", "session.use_memory_mapped_ort_model"


def opened(folder):
    """{case: (path or bytes, config entries)}."""
    path, plain = folder / "digits.ort", (folder / "digits.onnx").read_bytes()
    raw = path.read_bytes()
    at = raw.index(b"\x01\0\0\x006\0") + 4
    odd, named, other = folder / "digits.bin", folder / "DIGITS.ORT", folder / "plain.ort"
    odd.write_bytes(raw), named.write_bytes(raw), other.write_bytes(plain)
    found = {"path": (path, {}), "path in capitals": (named, {}), "path without the ending": (odd, {}), "path, mapped": (path, {MAPPED: "1"}),
             "bytes": (raw, {}), "bytes, directly": (raw, {DIRECTLY: "1"}), "bytes, weights too": (raw, {DIRECTLY: "1", WEIGHTS: "1"}),
             "bytes, weights only": (raw, {WEIGHTS: "1"}), "onnx bytes, directly": (plain, {DIRECTLY: "1"}), "onnx by the ending": (other, {}),
             "onnx named so": (other, {FORMAT: "ONNX"})}
    for name in ("ORT", "ONNX", "ort"):
        found |= {f"bytes as {name}": (raw, {FORMAT: name}), f"path as {name}": (odd, {FORMAT: name}), f"onnx bytes as {name}": (plain, {FORMAT: name})}
    found |= {f"version {chr(v)}": (raw[:at] + bytes([v]) + raw[at + 1:], {}) for v in b"12345789"}
    found |= {f"cut at {n}": (raw[:n], {}) for n in (4, 8, 9, 100, len(raw) // 2, len(raw) - 400)}
    return found


def open_and_run(api, env, model, entries):
    """The code of an error, or the outputs."""
    options = api.make("CreateSessionOptions")
    for key, value in entries.items():
        api.AddSessionConfigEntry(options, key.encode(), value.encode())
    session = object.__new__(ort_c.Session)
    session.api, session.env, session.options = api, env, options
    session.allocator = api.make("GetAllocatorWithDefaultOptions")
    keep = ctypes.create_string_buffer(model, len(model)) if isinstance(model, bytes) else None
    try:
        session.session = api.make("CreateSession", env, str(model).encode(), options) if keep is None else \
            api.make("CreateSessionFromArray", env, keep, ctypes.c_size_t(len(model)), options)
    except ort_c.OrtError as error:
        return error.code
    if keep is not None and DIRECTLY not in entries:
        ctypes.memset(keep, 0xFF, len(model))  # the session has a copy
    try:
        return session.run({"image": np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)}, ["probabilities"])[0].tolist()
    finally:
        api.ReleaseSession(session.session)


def main():
    api = ort_c.Api(sys.argv[1])
    env = api.make("CreateEnv", 4, b"format")
    print(json.dumps({name: open_and_run(api, env, *case) for name, case in opened(pathlib.Path(sys.argv[2])).items()}))


if __name__ == "__main__":
    main()
