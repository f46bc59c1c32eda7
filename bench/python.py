"""The Python package beside onnxruntime's: importing, a call of a model of one node, opening a session, 100 MB in and out.

    ./dev bench python [NAME]      rows whose name contains NAME

Each row alternates between the two and gives medians; importing is processor time in fresh processes that have imported numpy.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "build" / "release" / "python"
sys.path.insert(0, str(PACKAGE))
RUNTIMES = ("kapell", "onnxruntime")


def seconds_to_import(name):
    """Processor seconds of a fresh interpreter that has numpy, with the compiled files that an installation has too."""
    code = f"import numpy, time; start = time.process_time(); import {name}; print(time.process_time() - start)"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout)


def imports():
    """Milliseconds of each import beyond numpy's."""
    taken = {name: [] for name in RUNTIMES}
    for name in RUNTIMES:
        seconds_to_import(name)
    for _ in range(21):
        for name in RUNTIMES:
            taken[name].append(seconds_to_import(name) * 1e3)
    return "import, numpy aside", "ms", taken


def one_node():
    import onnx
    from onnx import helper

    io = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 16]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", io[:1], io[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def interleaved(calls, rounds, repeats):
    """Microseconds a call, a figure for each round."""
    taken = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            taken[name].append((time.perf_counter() - start) / repeats * 1e6)
    return taken


def sessions(model):
    import importlib

    opened = {}
    for name in RUNTIMES:
        module = importlib.import_module(name)
        options = module.SessionOptions()
        options.intra_op_num_threads = 1  # the fastest for both: no threads to wake
        opened[name] = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return opened


def call():
    import numpy as np

    feed = {"x": np.ones((1, 16), np.float32)}
    opened = sessions(one_node())
    return "run, one node", "us", interleaved({name: lambda s=s: s.run(None, feed) for name, s in opened.items()}, 41, 2000)


def call_bound():
    import numpy as np

    calls = {}
    for name, session in sessions(one_node()).items():
        binding = session.io_binding()
        binding.bind_cpu_input("x", np.ones((1, 16), np.float32))
        binding.bind_output("y")
        calls[name] = lambda s=session, b=binding: s.run_with_iobinding(b)
    return "run_with_iobinding, one node", "us", interleaved(calls, 41, 2000)


def opening():
    import importlib

    model = (ROOT / "examples" / "digits" / "digits.onnx").read_bytes()
    make = {name: importlib.import_module(name).InferenceSession for name in RUNTIMES}
    return "open and drop, digits", "us", interleaved(
        {name: lambda m=m: m(model, providers=["CPUExecutionProvider"]) for name, m in make.items()}, 21, 20)


ROWS = (imports, call, call_bound, opening)


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"load {os.getloadavg()[0]:.1f}\n| | Kapell | onnxruntime | ratio |\n| --- | --- | --- | --- |")
    for row in ROWS:
        if wanted not in row.__name__:
            continue
        what, unit, taken = row()
        ours, theirs = (statistics.median(taken[name]) for name in RUNTIMES)
        print(f"| {what} | {ours:.2f} {unit} | {theirs:.2f} {unit} | {ours / theirs:.2f}x |")


if __name__ == "__main__":
    main()
