"""What a hostile case is, and how many of them are run at once through build/<preset>/test/hostile_run."""

import dataclasses
import os
import pathlib
import re
import subprocess
import threading
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[3]
PRESET = os.environ.get("KAPELL_PRESET", "release")

# What a case may take in the release build. The second is the lesser of wall and processor time: the first grows with whatever else runs
# on the machine, the second counts two threads twice. So that waiting is bounded too, wall time has a limit of its own with a margin. The
# memory is the largest the process ever held (VmHWM), the program and its libraries included.
TIME_MS, PEAK_KIB, WALL_MARGIN = 1000, 256 << 10, 10

NAMES = {0: "OK", 1: "INTERNAL", 2: "OUT_OF_MEMORY", 3: "INVALID_ARGUMENT", 4: "NOT_FOUND", 5: "IO", 6: "CANCELLED", 7: "LIMIT",
         101: "NOT_A_MODEL", 102: "INVALID_MODEL", 103: "UNSUPPORTED_MODEL", 104: "EXTERNAL_DATA", 301: "UNSUPPORTED",
         401: "BAD_PROVIDER_LIST", 402: "PROVIDER_UNAVAILABLE", 403: "PROVIDER_UNUSED", 404: "PROVIDER_FAILED",
         405: "CLAUSE_VIOLATED", 501: "INVALID_INPUT", 502: "RUN_FAILED", 503: "TIMEOUT"}


@dataclasses.dataclass
class Case:
    """A model, how it is opened and run, and what must be said.

    |words|: regular expressions that must all occur in the error's text; () with |runs| False: any clean error. |runs|: True: must
    run; None: may run or end in a clean error.
    """

    name: str
    model: bytes | None = None
    words: tuple = ()
    runs: bool | None = False
    code: str | None = None  # name of the status code, or several by "|"
    options: dict = dataclasses.field(default_factory=dict)
    lines: tuple = ()  # further lines of hostile_run: inputs, outputs
    files: dict = dataclasses.field(default_factory=dict)  # beside the model: name -> bytes, or a function of the path
    open: str = "bytes"  # or "file"


@dataclasses.dataclass
class Result:
    """One line of hostile_run."""

    code: str
    stage: str
    wall_ms: float
    cpu_ms: float
    peak_kib: int
    leaked: int
    descriptors: int
    died: int
    text: str


def escape(text):
    """|text| (str or bytes) as one word of hostile_run's lines."""
    return urllib.parse.quote(text, safe=",._/-+")


def prepare(case, folder):
    """Writes the case's files below |folder|; gives its lines."""
    home = folder / re.sub(r"[^A-Za-z0-9_-]", "_", case.name)[:100]
    home.mkdir()
    path = home / "model.onnx"
    if case.model is not None:
        path.write_bytes(case.model)
    for name, content in case.files.items():
        target = home / name
        if callable(content):
            content(target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    lines = [f"case {escape(case.name)}", f"{case.open} {escape(str(path))}"]
    for key, value in case.options.items():
        lines.append(f"option {key} {escape(str(value).replace('HOME', str(home)))}")
    return [*lines, *(line.replace("HOME", str(home)) for line in case.lines), "end"]


def parse(line):
    """(name, Result) of a line of results."""
    name, code, stage, wall, cpu, peak, leaked, descriptors, died, text = line.rstrip("\n").split(" ", 9)
    return urllib.parse.unquote(name), Result(NAMES[int(code)], stage, float(wall), float(cpu), int(peak), int(leaked),
                                              int(descriptors), int(died), urllib.parse.unquote(text, errors="replace"))


def drive(cases, folder, results):
    """Runs |cases| through one hostile_run."""
    program = ROOT / "build" / PRESET / "test" / "hostile_run"
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    environment["ASAN_OPTIONS"] = "allocator_may_return_null=1"
    text = "\n".join(line for case in cases for line in prepare(case, folder)) + "\n"
    done = subprocess.run([str(program)], input=text, capture_output=True, text=True, env=environment, check=False)
    for line in done.stdout.splitlines():
        name, result = parse(line)
        results[name] = result
    results.setdefault("", []).append(done.stderr)


def run_all(cases, folder, width=None):
    """{name: Result} of all |cases|, by a few drivers at once."""
    width = width or min(4, os.cpu_count() or 1)
    results = {}
    threads = [threading.Thread(target=drive, args=(cases[i::width], folder, results)) for i in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def is_slow(result):
    return PRESET == "release" and (min(result.wall_ms, result.cpu_ms) > TIME_MS or result.wall_ms > TIME_MS * WALL_MARGIN)


def run_judged(cases, folder):
    """{name: Result}; what took too long is run again alone, twice at most, since processors differ in speed from moment to moment."""
    results = run_all(cases, folder)
    for again in range(2):
        slow = [c for c in cases if c.name in results and is_slow(results[c.name])]
        for case in slow:
            alone = folder / f"again{again}_{slow.index(case)}"
            alone.mkdir()
            results.update({k: v for k, v in run_all([case], alone, 1).items() if k})
    return results


def judge(case, result, stderr):
    """What is wrong with |result|, or None."""
    if result.died:
        return f"died of {result.died} in {result.stage}\n{stderr[-3000:]}"
    if result.leaked or result.descriptors:
        return f"left {result.leaked} allocations and {result.descriptors} descriptors\n{stderr[-3000:]}"
    if result.code in ("INTERNAL", "PROVIDER_FAILED"):
        return result.text
    if is_slow(result):
        return f"took {result.wall_ms} ms, {result.cpu_ms} of them processor time: {result.text}"
    if PRESET == "release" and result.peak_kib > PEAK_KIB:
        return f"took {result.peak_kib} KiB: {result.text}"
    if result.code == "OK":
        return f"was accepted ({case.words})" if case.runs is False else None
    if case.runs is True:
        return f"was refused: {result.text}"
    if not result.text.startswith("error KAPELL-E"):
        return f"has no words: {result.text!r}"
    # Where the machine or a sanitizer is slow, time may run out before the limit that is meant.
    slow = PRESET != "release" or result.wall_ms > 1.5 * result.cpu_ms
    if slow and result.code == "TIMEOUT" and any(key.endswith("timeout_ns") for key in case.options):
        return None
    if case.code and result.code not in case.code.split("|"):
        return f"has code {result.code}, not {case.code}: {result.text}"
    missing = [w for w in case.words if not re.search(w, result.text)]
    return f"{missing} not in: {result.text}" if missing else None
