"""Time of one call, of importing and of loading, beside onnxruntime; measured in turns, so that a busy machine slows both."""

import statistics
import sys
import time

import kapell
import numpy as np
import onnxruntime
import pytest
from little import model, python

ONE = "g (float[1] x, float[1] y) => (float[1] z) { z = Add(x, y) }"
IMPORT = """
import sys, time
import numpy
begin = time.perf_counter()
import {0}
print(time.perf_counter() - begin)
"""


def in_turns(functions, rounds):
    """The median time of each; they take turns, and who goes first changes."""
    times = [[] for _ in functions]
    for turn in range(rounds):
        for i in range(len(functions)) if turn % 2 else reversed(range(len(functions))):
            times[i].append(functions[i]())
    return [statistics.median(t) for t in times]


def test_a_call_of_one_node_takes_half_of_onnxruntimes_time():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its fastest: no threads to wake
    feed = {"x": np.ones(1, np.float32), "y": np.ones(1, np.float32)}

    def calls(session, names):
        def once():
            begin = time.perf_counter()
            for _ in range(1000):
                session.run(names, feed)
            return (time.perf_counter() - begin) / 1000
        return once

    sessions = kapell.InferenceSession(model(ONE)), onnxruntime.InferenceSession(model(ONE), options, providers=["CPUExecutionProvider"])
    for names in (None, ["z"]):
        ours, theirs = in_turns([calls(session, names) for session in sessions], 21)
        print(f"one node, names {names}: kapell {ours * 1e6:.2f} us, onnxruntime {theirs * 1e6:.2f} us")
        assert ours <= theirs / 2


def test_importing_takes_a_third_of_onnxruntimes_time():
    def importing(name):
        def once():
            done = python(IMPORT.format(name), env={"PYTHONDONTWRITEBYTECODE": ""})  # compiled once, as installed packages are
            assert not done.returncode, done.stderr
            return float(done.stdout)
        return once

    importing("kapell")(), importing("onnxruntime")()  # files into memory
    ours, theirs = in_turns([importing("kapell"), importing("onnxruntime")], 7)
    print(f"import: kapell {ours * 1e3:.1f} ms, onnxruntime {theirs * 1e3:.1f} ms")
    assert ours <= theirs / 3


def test_what_is_rarely_used_is_not_imported():
    done = python("""
import sys, numpy
before = set(sys.modules)
import kapell
new = sorted(name for name in set(sys.modules) - before)
print(*new)
""")
    new = set(done.stdout.split())
    assert {"kapell", "kapell._core", "kapell.session"} <= new
    assert not {name for name in new if name.startswith(("kapell.values", "kapell.tools", "kapell.onnxruntime", "kapell.environment", "concurrent", "asyncio"))}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the package needs 3.11")
def test_every_public_name_is_there_and_in_the_types(root):
    import ast
    listed = ast.parse((root / "bindings" / "python" / "kapell" / "__init__.pyi").read_text())
    said = {alias.asname or alias.name for node in ast.walk(listed) if isinstance(node, ast.ImportFrom) for alias in node.names}
    here = {name for name in dir(kapell) if not name.startswith("_") and name not in ("annotations", "session", "options", "enums")}
    modules = {name for name in here if type(getattr(kapell, name)).__name__ == "module"}
    assert here - modules <= said, here - modules - said
    for name in said:
        assert getattr(kapell, name) is not None


def test_the_types_of_the_extension_is_complete(root):
    import ast
    listed = ast.parse((root / "bindings" / "python" / "kapell" / "_core.pyi").read_text())
    said = {node.name: {getattr(part, "name", None) or getattr(getattr(part, "target", None), "id", None) for part in getattr(node, "body", ())}
            for node in listed.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    for name in dir(kapell._core):
        value = getattr(kapell._core, name)
        if name.startswith("__") or name == "ELEMENT_TYPES":
            continue
        assert name in said, name
        if isinstance(value, type) and not issubclass(value, BaseException):
            assert {part for part in vars(value) if not part.startswith("__")} <= said[name], name
