"""Each way in which a provider of the chain goes wrong, as users of Python read it: an exception where it is required, one warning and a line of
the report where it is optional; in the stand-in, whose names are optional, the warning, and with KAPELL_STRICT the exception. Played by the mock.
"""

import warnings

import numpy as np
import pytest

import kapell
import kapell.onnxruntime
from little import model

pytestmark = pytest.mark.asan_slice

CHAIN = "g (float[N, 3] x) => (float[N, 3] y) { a = Neg(x) w = Constant <value = float[3] {1.0, 2.0, 3.0}> () b = Add(a, w) c = Abs(b) y = Mul(c, x) }"
X = np.float32([[1, 2, 3], [4, 5, 6]])
Y = np.abs(np.float32([1, 2, 3]) - X) * X

# fail -> (exception, what it says, what the warning says, what the report says)
BEFORE = {
    "absent": ("EPFail", ["KAPELL-E0402", "Mock is listed and not available: its runtime is not installed: libmockrt.so.3", "hint: install the package mockrt 3",
                          "write 'Mock?' to go on without it"],
               ["its runtime is not installed", "to fix it: install the package mockrt 3"], ["not available: its runtime is not installed"]),
    "dlerror": ("EPFail", ["libmockrt.so.3: cannot open shared object file", "hint: libmock_provider.so needs it", "LD_LIBRARY_PATH"],
                ["libmockrt.so.3: cannot open shared object file"], ["not available: libmockrt.so.3"]),
    "no_device": ("EPFail", ["the driver reports no device", "hint: check that /dev/mock0 exists"], ["the driver reports no device"], ["but the driver reports no device"]),
    "version": ("EPFail", ["needs a host of interface version 9; this one has version 1", "hint: upgrade Kapell"], ["needs a host of interface version 9"],
                ["libmock_provider.so 3.1.4 needs a host"]),
    "create": ("EPFail", ["the device is held by another process (code 16)", "hint: end the process"], ["held by another process"], ["mockCreateContext failed"]),
    "capability": ("EPFail", ["mockQueryOps failed: the device was lost (code 35)", "asking Mock what it can run"], ["it failed when asked what it can run"],
                   ["runs nothing: it failed when asked what it can run"]),
    "compile": ("EPFail", ["in 256 MiB of workspace (code 10)", "operator Neg", "for Mock", "hint: write 'Mock?'"], ["it failed to compile"],
                ["runs nothing: it failed to compile"]),
    "unused": ("EPFail", ["KAPELL-E0403", "Mock is listed and would run no node of this model", "has no kernels for the device's generation 3"],
               ["Mock? runs no node of this model", "generation 3"], ["runs nothing: it claimed nothing"]),
}


def caught(open_session):
    """The session and the texts of the warnings while it was opened."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        session = open_session()
    assert all(issubclass(w.category, kapell.KapellWarning) for w in seen)
    return session, [str(w.message) for w in seen]


def says(text, words):
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"


@pytest.mark.parametrize("fail", BEFORE)
def test_required(fail):
    name, words, _, _ = BEFORE[fail]
    with pytest.raises(getattr(kapell, name)) as error:
        kapell.InferenceSession(model(CHAIN), providers=[("Mock", {"fail": fail}), "CPU"])
    says(str(error.value), words)
    assert error.value.code_name.startswith("PROVIDER_") and error.value.hint


@pytest.mark.parametrize("fail", BEFORE)
def test_optional(fail):
    _, _, words, report = BEFORE[fail]
    session, (text,) = caught(lambda: kapell.InferenceSession(model(CHAIN), providers=[("Mock?", {"fail": fail}), "CPU"]))
    says(text, ["Mock?", *words])
    assert "\n" not in text
    says(str(session.placement()), report)
    assert session.get_providers() == ["CPUExecutionProvider"]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], Y)


@pytest.mark.parametrize("fail", BEFORE)
def test_in_the_stand_in(fail, monkeypatch):
    name, words, warning, report = BEFORE[fail]
    options = kapell.onnxruntime.SessionOptions()
    options.log_severity_level = 4  # says nothing of the log, and a provider that is not in use is said all the same
    providers = [("MockExecutionProvider", {"fail": fail}), "CPUExecutionProvider"]
    session, (text,) = caught(lambda: kapell.onnxruntime.InferenceSession(model(CHAIN), options, providers=providers))
    says(text, warning)
    says(str(session.placement()), report)
    assert session.get_providers() == ["CPUExecutionProvider"]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], Y)
    monkeypatch.setenv("KAPELL_STRICT", "1")
    with pytest.raises(getattr(kapell, name)) as error:
        kapell.onnxruntime.InferenceSession(model(CHAIN), providers=providers)
    says(str(error.value), words)


def test_warnings_are_of_the_programs_own_line():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        session = kapell.InferenceSession(model(CHAIN), providers=["CUDA?"])
        session.set_providers(["CUDA?"])
        kapell.onnxruntime.InferenceSession(model(CHAIN), providers=["CUDAExecutionProvider"])
        kapell.onnxruntime.InferenceSession(model(CHAIN), providers=["FooExecutionProvider"])
    assert len(seen) == 4 and {w.filename for w in seen} == {__file__}


MISTAKES = [
    (["Moc", "CPU"], None, ["KAPELL-E0401", "'Moc'", "known are: CPU, CUDA, TensorRT"]),
    (["CUDDA?", "CPU"], None, ["'CUDDA'", "did you mean CUDA?"]),
    ([("Mock?", {"opps": "half"})], None, ["Mock has no option 'opps'; it has: ops, atomic", "did you mean Mock.ops?"]),
    ([("Mock?", {"device_id": 7})], None, ["Mock.device_id is '7'; it takes a whole number from 0 to 1"]),
    (["Mock?", "CPU"], [{"fail": "rum"}, {}], ["Mock.fail is 'rum'; it takes one of: none, absent"]),
    ("Mock>=,CPU", None, ["KAPELL-E0401"]),
]


@pytest.mark.parametrize("providers, options, words", MISTAKES)
def test_mistakes_of_the_user(providers, options, words):
    with pytest.raises(kapell.InvalidArgument) as error:
        kapell.InferenceSession(model(CHAIN), providers=providers, provider_options=options)
    says(str(error.value), words)


def test_an_operator_that_nobody_takes():
    with pytest.raises(kapell.NotImplemented) as error:
        kapell.InferenceSession(model(CHAIN), providers="Mock; floor=none", provider_options=[{"ops": "all,-Abs"}])
    says(str(error.value), ["KAPELL-E0301", "no provider takes Abs", "Abs is not in its list of operators (ops=all,-Abs)", "hint: floor=all"])
    assert error.value.op == "Abs"


def test_a_broken_clause():
    with pytest.raises(kapell.KapellError) as error:
        kapell.InferenceSession(model(CHAIN), providers=[("Mock>=90%nodes", {"ops": "all,-Abs,-Neg"}), "CPU"])
    says(str(error.value), ["KAPELL-E0405", "Mock", "1 x Abs: Abs is not in its list of operators"])


# --- in runs ---------------------------------------------------------------------------------------------------------------------------
def test_the_third_run_fails():
    session = kapell.InferenceSession(model(CHAIN), providers=[("Mock", {"fail": "run:3"}), "CPU"])
    for run in range(1, 5):
        if run == 3:
            with pytest.raises(kapell.EPFail) as error:
                session.run(None, {"x": X})
            says(str(error.value), ["KAPELL-E0404", "Mock: launching partition 0 failed: an illegal memory access was encountered (code 700)", "starts such a run again without Mock"])
        else:
            np.testing.assert_array_equal(session.run(None, {"x": X})[0], Y)
    counters = session.counters()
    assert counters.runs == 3 and counters.failed_runs == 1 and counters.providers["MockExecutionProvider"]["failures"] == 1


def test_the_stand_in_goes_on_without_it():
    """As onnxruntime does, which opens the session anew on the CPU when a run's provider fails."""
    lines = []
    session = kapell.onnxruntime.InferenceSession(model(CHAIN), providers=[("MockExecutionProvider", {"fail": "run:2"}), "CPUExecutionProvider"])
    assert session.get_providers() == ["MockExecutionProvider", "CPUExecutionProvider"]
    kapell.set_default_logger_callback(lambda *line: lines.append(line[4]))
    try:
        for _ in range(3):
            np.testing.assert_array_equal(session.run(None, {"x": X})[0], Y)
    finally:
        kapell.set_default_logger_callback(None)
    assert len(lines) == 1 and "Mock failed in a run and is left out from now on" in lines[0]
    assert session.counters().failovers == 1


def test_a_run_that_hangs_ends_at_its_time_limit():
    session = kapell.InferenceSession(model(CHAIN), providers=[("Mock", {"fail": "hang:1"}), "CPU"], run_timeout_ns=100_000_000)
    with pytest.raises(kapell.Fail, match="KAPELL-E0503 TIMEOUT"):
        session.run(None, {"x": X})
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], Y)


def test_wrong_numbers_are_told_by_a_shadow_check():
    seen = []
    session = kapell.InferenceSession(model(CHAIN), providers=[("Mock", {"fail": "wrong"}), "CPU"], shadow_every=1, shadow=seen.append)
    session.run(None, {"x": X})
    assert len(seen) == 1 and session.counters().shadow_alarms == 1
