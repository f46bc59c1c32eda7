"""Whole models on the CPU beside ONNX Runtime (and OpenVINO, when it is installed), interleaved, at 1 and 2 threads.

    ./dev bench cpu [NAME]

Each round runs every engine once, in turn, so that what disturbs the machine disturbs all alike; the table has medians and
their ratios. "peak" is the share of the machine's measured ceiling (src/cli/bench/peak.c) that Kapell reaches: multiply-adds of the float
model, in 8 bits where the model has such weights, or, with a B, the bytes of its weights where reading them takes longer. Tables of
session creation, peak memory and small models follow, all through the C interfaces (bench/engines.py). BENCH_SECONDS: of a row.
Engines that spin after a run would disturb the next one: ONNX Runtime's spinning is turned off.
"""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "py"))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402

import engines  # noqa: E402
import kapell_c  # noqa: E402
import models  # noqa: E402
from models import reduced  # noqa: E402

try:
    import openvino
except ImportError:
    openvino = None

SECONDS = float(os.environ.get("BENCH_SECONDS", "6"))  # a model and thread count


def digits():
    return onnx.load(ROOT / "examples" / "digits" / "digits.onnx")


def reduced_form(name, form):
    """A model of models.REAL in fewer bits, calibrated on its own feeds."""
    make, feeds = models.REAL[name]
    return (lambda: getattr(reduced, form)(make(), [feeds()])), feeds


REDUCED = [("resnet50", "qdq"), ("resnet50", "qlinear"), ("mobilenet_v2", "qdq"), ("bert_base", "qdq"), ("bert_base", "dynamic"), ("bert_base", "float16"),
           ("resnet50", "float16"), ("llama_cache", "four_bit"), ("llama_cache", "float16")]
MODELS = {"digits": (digits, lambda: {"image": np.random.default_rng(0).random((1, 1, 8, 8), np.float32)}), **models.REAL,
          **{f"{name} {form}": reduced_form(name, form) for name, form in REDUCED}}


def peak():
    out = subprocess.run([ROOT / "build/release/bench/cli-bench-peak_bench"], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


class Kapell:
    name = "Kapell"

    def __init__(self, model, threads, feeds):
        self.session = kapell_c.Session(model, threads=threads)
        self.prepared = self.session.prepare(feeds)

    def run(self):
        for handle in self.session.run_prepared(self.prepared):
            kapell_c._lib.kapell_value_release(handle)

    def outputs(self, feeds):
        return self.session.run(feeds)


class Ort:
    name = "ONNX Runtime"

    def __init__(self, model, threads, feeds):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.feeds = feeds

    def run(self):
        self.session.run(None, self.feeds)

    def outputs(self, feeds):
        return self.session.run(None, feeds)


class OpenVino:
    name = "OpenVINO f32"

    def __init__(self, model, threads, feeds):
        core = openvino.Core()
        loaded = core.read_model(model, b"")
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.request = core.compile_model(loaded, "CPU", settings).create_infer_request()
        self.feeds = feeds

    def run(self):
        self.request.infer(self.feeds, share_inputs=True, share_outputs=True)


def flops_of(name, model, feeds):
    """FLOPs of one run, counted on the shapes of that run, of the float model where |model| is a form of one."""
    origin = name.rsplit(" ", 1)[0]
    if origin != name and origin in models.REAL:
        make, inputs = models.REAL[origin]
        model, feeds = make().SerializeToString(), inputs()
    session = kapell_c.Session(model, threads=1, profile_path="/dev/null")
    session.run(feeds)
    events = json.loads(session._text(kapell_c._lib.kapell_session_profile_json))["traceEvents"]
    return sum(e["args"]["flops"] for e in events if e["args"]["op"] != "partition")


CACHED = 32 << 20  # weights below this may stay in a third-level cache from run to run


def ceiling_seconds(name, model, feeds, peaks, threads):
    """The least that a run could take on this machine, and whether memory says so."""
    graph = onnx.load_from_string(model).graph
    tables = {n.input[0] for n in graph.node if n.op_type == "Gather"} - {i for n in graph.node if n.op_type != "Gather" for i in n.input}
    read = sum(len(t.raw_data) for t in graph.initializer if t.name not in tables)
    eight = any(name.endswith(form) for form in (" qdq", " qlinear", " dynamic"))
    counting = flops_of(name, model, feeds) / (peaks["gops8" if eight else "gflops"] * threads * 1e9)
    reading = read / (peaks["read_gbs"][threads - 1] * 1e9) if read > CACHED else 0
    return max(counting, reading), reading > counting


def measure(engines):
    for engine in engines:
        engine.run()
    times = {e.name: [] for e in engines}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times[engines[0].name]) < 5:
        for engine in engines:
            start = time.perf_counter()
            engine.run()
            times[engine.name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def bench(name, peaks):
    make, inputs = MODELS[name]
    model, feeds = make().SerializeToString(), inputs()
    rows = []
    for threads in (1, 2):
        engines = [Kapell(model, threads, feeds), Ort(model, threads, feeds)]
        if openvino:
            try:
                engines.append(OpenVino(model, threads, feeds))
            except RuntimeError:  # an operator that it does not know
                pass
        ours, theirs = engines[0].outputs(feeds), engines[1].outputs(feeds)
        error = max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(ours, theirs))
        medians = measure(engines)
        least, memory = ceiling_seconds(name, model, feeds, peaks, threads)
        rows.append((name, threads, medians, f"{least / medians['Kapell'] * 100:.0f} %{' B' if memory else ''}", error))
        show(rows[-1])
    return rows


def show(row):
    name, threads, medians, share, error = row
    ours = medians["Kapell"]
    cells = [name, str(threads), f"{ours * 1e3:.3f}"]
    for other in ("ONNX Runtime", "OpenVINO f32"):
        cells.append(f"{medians[other] * 1e3:.3f} ({ours / medians[other]:.2f}x)" if other in medians else "not run")
    print("| " + " | ".join(cells + [share, f"{error:.1e}"]) + " |", flush=True)


def geometric(rows, threads, other):
    ratios = [r[2]["Kapell"] / r[2][other] for r in rows if r[1] == threads and other in r[2]]
    return statistics.geometric_mean(ratios) if ratios else float("nan")


def pair(ours, theirs, digits):
    return f"{ours:.{digits}f} | {theirs:.{digits}f} ({ours / theirs:.2f}x)"


def show_openings(names, folder):
    """Session creation and peak memory; a process for each engine and time."""
    print("\n| model | session creation: Kapell ms | ONNX Runtime ms (ratio) | peak memory: Kapell MiB | ONNX Runtime MiB (ratio) |")
    print("| --- | --- | --- | --- | --- |")
    ratios = []
    for name in names:
        make, inputs = MODELS[name]
        (ms, mib), (ort_ms, ort_mib) = engines.openings(folder, make().SerializeToString(), inputs()).values()
        ratios.append((ms / ort_ms, mib / ort_mib))
        print(f"| {name} | {pair(ms, ort_ms, 1)} | {pair(mib, ort_mib, 0)} |", flush=True)
    for what, column in zip(("session creation", "peak memory"), zip(*ratios)):
        print(f"geometric mean of {what}: {statistics.geometric_mean(column):.3f}x ONNX Runtime's")


def show_small(names, folder):
    print("\n| small model, from C | threads | Kapell us | ONNX Runtime us (ratio) |\n| --- | --- | --- | --- |")
    ratios = {1: [], 2: []}
    for name in names:
        for threads, column in ratios.items():
            ours, theirs = engines.latency(folder, *engines.SMALL[name](), threads, SECONDS / 3)
            column.append(ours / theirs)
            print(f"| {name} | {threads} | {pair(ours, theirs, 2)} |", flush=True)
    for threads, column in ratios.items():
        print(f"geometric mean of small models at {threads} thread(s): {statistics.geometric_mean(column):.3f}x ONNX Runtime's time")


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def show_runs(names, peaks):
    print("| model | threads | Kapell ms | ONNX Runtime ms (ratio) | OpenVINO f32 ms (ratio) | peak | error |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for name in names:
        try:
            rows += bench(name, peaks)
        except kapell_c.KapellError as error:
            print(f"| {name} | refused: {str(error).splitlines()[0]} |", flush=True)
    for threads in (1, 2):
        for other in ("ONNX Runtime", "OpenVINO f32"):
            print(f"geometric mean at {threads} thread(s): {geometric(rows, threads, other):.3f}x {other}'s time")


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    names, small = [n for n in MODELS if wanted in n], [n for n in engines.SMALL if wanted in n]
    if not names + small:
        sys.exit(f"no model is called '{wanted}'; there are: {', '.join([*MODELS, *engines.SMALL])}")
    peaks = peak()
    versions = [f"ONNX Runtime {onnxruntime.__version__}"] + ([f"OpenVINO {openvino.__version__}"] if openvino else [])
    print(f"{time.strftime('%Y-%m-%d')}, {cpu_name()} ({kapell_c.cpu_features()}), {os.cpu_count()} cores, {', '.join(versions)}; peak of a core "
          f"{peaks['gflops']} GFLOP/s, in 8 bits {peaks['gops8']} GOP/s, read {' and '.join(map(str, peaks['read_gbs']))} GB/s by 1 and 2 threads, load {os.getloadavg()[0]:.1f}\n")
    if names:
        show_runs(names, peaks)
    with tempfile.TemporaryDirectory() as folder:
        if names:
            show_openings(names, pathlib.Path(folder))
        if small:
            show_small(small, pathlib.Path(folder))


if __name__ == "__main__":
    main()
