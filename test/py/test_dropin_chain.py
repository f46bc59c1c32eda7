"""Each way a chain goes wrong, through the C API of libonnxruntime.so.1: a program that knows nothing of Kapell, the chain from the environment.

The list is that of test/chain/failures_test.c (kapell.h) and test_check.py (the command); the mock is the partner. Errors carry what, where, why and
what to try in their message; an optional provider gives the same as one warning and in KAPELL_REPORT, and right numbers.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from dropin_chain_run import X
from test_check import model  # noqa: F401  # the fixture

FAIL, EP_FAIL, NOT_IMPLEMENTED = 1, 11, 9
Y = np.abs(-X + np.float32([1, 2, 3])) * np.float32([1, 2, 3])
HERE = pathlib.Path(__file__).parent

# name -> (the mock's failure, error code, words: what and why; what to try)
BEFORE_THE_FIRST_RUN = {
    "absent": ("absent", EP_FAIL, ["Mock is listed and not available: its runtime is not installed: libmockrt.so.3"], ["install the package mockrt 3"]),
    "wrong version": ("version", EP_FAIL, ["Mock is listed and not available", "libmock_provider.so 3.1.4 needs a host of interface version 9; this one has version 1"],
                      ["upgrade Kapell"]),
    "broken library": ("dlerror", EP_FAIL, ["libmockrt.so.3: cannot open shared object file: No such file"],
                       ["libmock_provider.so needs it: install the package mockrt 3, or add its folder to LD_LIBRARY_PATH"]),
    "no device": ("no_device", EP_FAIL, ["its runtime 3.1.4 loaded, but the driver reports no device"], ["check that /dev/mock0 exists"]),
    "failure when made": ("create", EP_FAIL, ["mockCreateContext failed: the device is held by another process (code 16)"],
                          ["end the process that holds the device"]),
    "failure when asked": ("capability", EP_FAIL, ["mockQueryOps failed: the device was lost (code 35)", "while asking Mock what it can run"], []),
    "failure at compile": ("compile", EP_FAIL, ["Node 'a' (Neg)", "no tactic for layer 'a' in 256 MiB", "while compiling partition 0 (4 nodes) for Mock"], []),
    "loaded but nothing claimed": ("unused", FAIL, ["Mock is listed and would run no node of this model", "1 x Abs: its engine has no kernels for the device's generation 3 (c)"],
                                   []),
}


@pytest.fixture
def client(build_dir, preset, tmp_path, model):  # noqa: F811
    """Runs the client with a provider list and options of the mock: (what it printed, what was logged, lines of the report)."""
    if preset != "release":
        pytest.skip("Python loads a sanitizer's library only when that is preloaded; test/chain/failures_test.c runs under it")

    def run(providers, runs=1, pairs=(), strict=False, log=None, **config):
        path, report = tmp_path / "config.json", tmp_path / "report.json"
        path.write_text(json.dumps(config))
        report.unlink(missing_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KAPELL_")}
        environment |= {"KAPELL_CONFIG": str(path), "KAPELL_REPORT": str(report)}
        environment |= {"KAPELL_PROVIDERS": providers} if providers else {}
        environment |= {"KAPELL_STRICT": "1"} if strict else {}
        environment |= {"KAPELL_LOG": log} if log else {}
        done = subprocess.run([sys.executable, HERE / "dropin_chain_run.py", build_dir / "lib" / "libonnxruntime.so.1", model, str(runs), *pairs],
                              env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        return json.loads(done.stdout), done.stderr, lines

    return run


def mock(failure, **more):
    return {"provider_options": {"Mock.fail": failure}, **more}


def is_right(said):
    return "y" in said and np.array_equal(np.float32(said["y"]), Y)


def reads(text, words):
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_RUN)
def test_before_the_first_run(client, case, model):  # noqa: F811
    failure, code, why, advice = BEFORE_THE_FIRST_RUN[case]
    (opened,), _, report = client("Mock,CPU", **mock(failure))
    assert opened["error"] == code and not report
    reads(opened["message"], [f"Load model from {model} failed", *why, *advice, "write 'Mock?' to go on without it", "[KAPELL-E04"])


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_RUN)
def test_an_optional_provider(client, case):
    failure, _, why, _ = BEFORE_THE_FIRST_RUN[case]
    reason = why[-1].split("while ")[0].removeprefix("Mock is listed and not available: ").strip()
    said, log, report = client("Mock?,CPU", **mock(failure))
    assert said[0] is None and is_right(said[1])
    warnings = [line for line in log.splitlines() if "Mock? " in line]
    assert len(warnings) == 1 and "[W:kapell:client" in warnings[0], log
    if case != "failure at compile":  # there |why| ends with where
        reads(warnings[0], [reason])
    assert report[0]["summary"].startswith("MockExecutionProvider not in use: ") and report[0]["summary"].endswith("CPUExecutionProvider 4 of 4 nodes")


def test_an_unsupported_operator(client):
    (opened,), _, _ = client("Mock; floor=none", provider_options={"Mock.ops": "all,-Abs"})
    assert opened["error"] == NOT_IMPLEMENTED
    reads(opened["message"], ["Could not find an implementation for Abs node with name 'c'", "no provider takes Abs 'c'",
                              "Mock: Abs is not in its list of operators (ops=all,-Abs)", "floor=all", "[KAPELL-E0301]"])
    said, _, report = client("Mock,CPU", provider_options={"Mock.ops": "all,-Abs"})
    assert is_right(said[1])
    assert report[0]["summary"] == "MockExecutionProvider 3 of 4 nodes; CPUExecutionProvider 1 of 4 nodes"
    assert "Abs is not in its list of operators" in json.dumps(report[0]["placement"])


def test_a_broken_clause(client):
    (opened,), _, _ = client("Mock>=90%nodes,CPU", provider_options={"Mock.ops": "all,-Abs"})
    reads(opened["message"], ["'Mock>=90%nodes': Mock would run 75.0 % of the model's nodes", "[KAPELL-E0405]"])


def test_a_failure_at_the_nth_run(client):
    said, _, _ = client("Mock,CPU", runs=3, **mock("run:2"))
    assert is_right(said[1]) and is_right(said[3]) and said[2]["error"] == EP_FAIL
    reads(said[2]["message"], ["Mock: launching partition 0 failed: an illegal memory access was encountered (code 700)",
                               "while running partition 0 (4 nodes) on Mock", "on_failure=continue starts such a run again without Mock", "[KAPELL-E0404]"])
    said, log, _ = client("Mock,CPU", runs=3, **mock("run:2", on_failure="continue"))
    assert all(is_right(run) for run in said[1:])
    assert log.count("Mock failed in a run and is left out from now on: Mock: launching partition 0 failed") == 1


def test_wrong_numbers(client):
    said, log, _ = client("Mock,CPU", runs=3, **mock("wrong:2"))
    assert [is_right(run) for run in said[1:]] == [True, False, True] and "departs" not in log  # nobody looked
    said, log, _ = client("Mock,CPU", runs=3, **mock("wrong:2", shadow_every=1))
    assert [is_right(run) for run in said[1:]] == [True, False, True]
    reads(log, ["shadow check of run 2: output 'y' departs from the CPU's by 1 at the most, 6 of 6 elements are out of tolerance",
                "'kapell check --accuracy' finds the first node"])
    assert log.count("shadow check") == 1


def test_a_hang(client):
    said, _, _ = client("Mock,CPU", runs=3, **mock("hang:2", run_timeout_ns=200000000))
    assert is_right(said[1]) and is_right(said[3]) and said[2]["error"] == FAIL
    reads(said[2]["message"], ["a time limit ran out: partition 0 was stopped", "while running partition 0 (4 nodes) on Mock", "run_timeout_ns", "[KAPELL-E0503]"])


def test_mistakes_in_the_environment(client):
    for providers, config, words in [
        ("Moc,CPU", {}, ["'Moc'", "known are: CPU, CUDA"]), ("CUDDA?,CPU", {}, ["did you mean CUDA?"]),
        ("Mock?,CPU", {"provider_options": {"Mock.opps": "half"}}, ["Mock has no option 'opps'", "did you mean Mock.ops?"]),
        ("Mock?,CPU", {"provider_options": {"Mock.device_id": 7}}, ["Mock.device_id is '7'; it takes a whole number from 0 to 1"]),
    ]:
        (opened,), _, _ = client(providers, **config)
        assert opened["error"] == 2
        reads(opened["message"], [*words, "[KAPELL-E04"])


def test_what_the_program_asks_for_is_optional_unless_strict(client):
    said, log, report = client(None, pairs=["fail=absent"])
    assert is_right(said[1])
    reads(log, ["is not in use: its runtime is not installed: libmockrt.so.3", "install the package mockrt 3"])
    assert report[0]["summary"].startswith("MockExecutionProvider not in use")
    (opened,), _, _ = client(None, pairs=["fail=absent"], strict=True)
    assert opened["error"] == EP_FAIL
    reads(opened["message"], ["Mock is listed and not available", "install the package mockrt 3"])
    said, log, report = client("CPU", pairs=["fail=absent"])
    assert is_right(said[1]) and report[0]["summary"] == "CPUExecutionProvider 4 of 4 nodes"
    reads(log, ["KAPELL_PROVIDERS replaces the provider list", "by 'CPU'"])


def test_the_log_tells_more_when_asked(client):
    _, log, _ = client("Mock,CPU", provider_options={"Mock.ops": "all,-Abs"})
    assert "is ready" not in log
    _, log, _ = client("Mock,CPU", log="info", provider_options={"Mock.ops": "all,-Abs"})
    reads(log, ["is ready: 4 nodes of the model", "Mock,CPU"])
