"""Whole models on the CPU beside ONNX Runtime (and OpenVINO, when it is installed), interleaved, at 1 and 2 threads.

    ./dev bench cpu [NAME]

Each round runs every engine once, in turn, so that what disturbs the machine disturbs all alike; the table has medians and
their ratios. "peak" is the share of the machine's measured multiply-add peak (bench/peak_bench.c) that Kapell reaches.
Engines that spin after a run would disturb the next one: ONNX Runtime's spinning is turned off.
"""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "py"))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402

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
    out = subprocess.run([ROOT / "build/release/bench/bench-peak_bench"], capture_output=True, text=True, check=True)
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


def flops_of(model, feeds):
    """FLOPs of one run, counted on the shapes of that run."""
    session = kapell_c.Session(model, threads=1, profile_path="/dev/null")
    session.run(feeds)
    events = json.loads(session._text(kapell_c._lib.kapell_session_profile_json))["traceEvents"]
    return sum(e["args"]["flops"] for e in events if e["args"]["op"] != "partition")


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


def bench(name, ceiling):
    make, inputs = MODELS[name]
    model, feeds = make().SerializeToString(), inputs()
    flops = flops_of(model, feeds)
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
        share = flops / medians["Kapell"] / (ceiling * threads) / 1e9
        rows.append((name, threads, medians, share, error))
        show(rows[-1])
    return rows


def show(row):
    name, threads, medians, share, error = row
    ours = medians["Kapell"]
    cells = [name, str(threads), f"{ours * 1e3:.3f}"]
    for other in ("ONNX Runtime", "OpenVINO f32"):
        cells.append(f"{medians[other] * 1e3:.3f} ({ours / medians[other]:.2f}x)" if other in medians else "not run")
    print("| " + " | ".join(cells + [f"{share * 100:.0f} %", f"{error:.1e}"]) + " |", flush=True)


def geometric(rows, threads, other):
    ratios = [r[2]["Kapell"] / r[2][other] for r in rows if r[1] == threads and other in r[2]]
    return statistics.geometric_mean(ratios) if ratios else float("nan")


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    names = [n for n in MODELS if len(sys.argv) < 2 or sys.argv[1] in n]
    if not names:
        sys.exit(f"no model is called '{sys.argv[1]}'; there are: {', '.join(MODELS)}")
    ceiling = peak()
    versions = [f"ONNX Runtime {onnxruntime.__version__}"] + ([f"OpenVINO {openvino.__version__}"] if openvino else [])
    print(f"{time.strftime('%Y-%m-%d')}, {cpu_name()} ({kapell_c.cpu_features()}), {os.cpu_count()} cores, "
          f"{', '.join(versions)}; peak of a core {ceiling['gflops']} GFLOP/s, read {ceiling['read_gbs']} GB/s, "
          f"load {os.getloadavg()[0]:.1f}\n")
    print("| model | threads | Kapell ms | ONNX Runtime ms (ratio) | OpenVINO f32 ms (ratio) | peak | error |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for name in names:
        try:
            rows += bench(name, ceiling["gflops"])
        except kapell_c.KapellError as error:
            print(f"| {name} | refused: {str(error).splitlines()[0]} |", flush=True)
    for threads in (1, 2):
        for other in ("ONNX Runtime", "OpenVINO f32"):
            print(f"geometric mean at {threads} thread(s): {geometric(rows, threads, other):.3f}x {other}'s time")


if __name__ == "__main__":
    main()
