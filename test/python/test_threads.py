"""Threads, signals, cancelling, forks, callbacks that raise, ten thousand sessions."""

import gc
import os
import signal
import threading
import time

import kapell
import numpy as np
import pytest
from little import ADD, ENDLESS, IDENTITY, model, python

pytestmark = pytest.mark.asan_slice
ONE = {"x": np.ones(1, np.float32)}
X, Y = np.ones((1, 2), np.float32), np.ones(1, np.float32)


def resident():
    """Bytes of memory that the process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def endless(**options):
    return kapell.InferenceSession(model(ENDLESS), **options)


def after(seconds, function, *arguments):
    timer = threading.Timer(seconds, function, arguments)
    timer.start()
    return timer


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------------------------
def test_ctrl_c_ends_a_run():
    session = endless()
    for _ in range(2):
        begin = time.monotonic()
        after(0.2, os.kill, os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            session.run(None, ONE)
        assert time.monotonic() - begin < 20
    assert session.counters().cancelled_runs == 2


def test_ctrl_c_at_a_handler_that_was_set_later():
    session, raised = endless(), []

    def handler(*_):
        raised.append(1)
        raise RuntimeError("mine")

    before = signal.signal(signal.SIGINT, handler)
    try:
        after(0.2, os.kill, os.getpid(), signal.SIGINT)
        with pytest.raises(RuntimeError, match="mine"):
            session.run(None, ONE)
    finally:
        signal.signal(signal.SIGINT, before)
    assert raised == [1]


def test_a_handler_that_raises_nothing_lets_the_run_finish():
    """It is made again: the result is whole."""
    session = kapell.InferenceSession(model(ENDLESS.replace("4000000000", "3000000")))
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        timer = after(0.05, os.kill, os.getpid(), signal.SIGINT)
        y = session.run(None, ONE)[0]
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1] and 0 < y[0] < 0.01


def test_ctrl_c_with_options_of_the_run():
    session, options = endless(), kapell.RunOptions()
    after(0.2, os.kill, os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        session.run(None, ONE, options)
    assert not options.terminate
    options.timeout_ns = 1_000_000
    with pytest.raises(kapell.Fail, match="TIMEOUT"):
        session.run(None, ONE, options)


def test_ctrl_c_while_opening():
    done = python("""
import os, signal, threading, time, kapell
from little import model
text = "g (float[1] x) => (float[1] y) { " + " ".join(f"a{i} = Sin({'x' if i == 0 else f'a{i - 1}'})" for i in range(60000)) + " y = Neg(a59999) }"
data = model(text)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    kapell.InferenceSession(data)
    print("opened")
except KeyboardInterrupt:
    print("interrupted")
""")
    assert done.stdout.strip() == "interrupted", done.stdout + done.stderr


def test_the_signal_as_the_system_has_it_stays():
    done = python("""
import signal, kapell, os
from little import ADD, model
signal.signal(signal.SIGINT, signal.SIG_DFL)
import numpy as np
kapell.InferenceSession(model(ADD)).run(None, {"x": np.ones((1, 2), "f"), "y": np.ones(1, "f")})
assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
os.kill(os.getpid(), signal.SIGINT)
print("not reached")
""")
    assert done.returncode == -signal.SIGINT and not done.stdout, done.stderr


# --- cancelling and callbacks --------------------------------------------------------------------------------------------------------------
def test_terminate_ends_runs_on_other_threads():
    session, options, errors = endless(), kapell.RunOptions(), []

    def work():
        try:
            session.run(None, ONE, options)
        except kapell.Fail as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    options.terminate = True
    for thread in threads:
        thread.join(60)
    assert len(errors) == 4 and "CANCELLED" in str(errors[0])
    with pytest.raises(kapell.Fail):
        session.run(None, ONE, options)  # it stays so


def test_progress_sees_the_opening_and_may_end_it():
    seen = []
    kapell.InferenceSession(model(ADD), progress=lambda done, what: seen.append((done, what)))
    assert seen and all(0 <= done <= 1 and isinstance(what, str) for done, what in seen) and sorted(d for d, _ in seen) == [d for d, _ in seen]
    with pytest.raises(kapell.ModelLoadCanceled):
        kapell.InferenceSession(model(ADD), progress=lambda done, what: True)


def test_what_progress_raises_comes_out():
    def progress(done, what):
        raise KeyError("mine")

    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            kapell.InferenceSession(model(ADD), progress=progress)
    with pytest.raises(TypeError):
        kapell.InferenceSession(model(ADD), progress=lambda: None)
    with pytest.raises(TypeError):
        kapell.InferenceSession(model(ADD), progress=3)


def test_an_opening_that_is_cancelled():
    cancel = kapell.Cancel()
    kapell.InferenceSession(model(ADD), cancel=cancel)
    cancel.request()
    with pytest.raises(kapell.ModelLoadCanceled):
        kapell.InferenceSession(model(ADD), cancel=cancel)
    options = kapell.SessionOptions()
    options.set_load_cancellation_flag(True)
    with pytest.raises(kapell.ModelLoadCanceled):
        kapell.InferenceSession(model(ADD), options)
    options.set_load_cancellation_flag(False)
    kapell.InferenceSession(model(ADD), options)


def test_what_a_shadow_function_raises_is_reported(monkeypatch):
    import sys
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_type))
    session = kapell.InferenceSession(model(ADD), shadow_every=1, shadow=lambda report: 1 / 0)
    assert session.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]
    assert seen == [ZeroDivisionError]


def test_a_session_that_its_own_function_holds_is_collected():
    import weakref
    holder = []
    session = kapell.InferenceSession(model(ADD), shadow_every=1, shadow=lambda report, holder=holder: holder.append(report))
    holder.append(session)
    session.run(None, {"x": X, "y": Y})
    gone = weakref.ref(session)
    del session, holder
    gc.collect()
    assert gone() is None


def test_sessions_inside_of_callbacks():
    inner = kapell.InferenceSession(model(ADD))
    seen = []
    session = kapell.InferenceSession(model(IDENTITY), shadow_every=1, shadow=lambda _: seen.append(inner.run(None, {"x": X, "y": Y})[0].tolist()),
                                      progress=lambda *_: bool(kapell.InferenceSession(model(ADD)) is None))
    assert session.run(None, {"x": X})[0].tolist() == [[1, 1]] and seen == [[[2, 2]]]


# --- threads and processes ------------------------------------------------------------------------------------------------------------------
def test_a_hundred_threads_run_one_session():
    session = kapell.InferenceSession(model("g (float[a, 64] x) => (float[a, 64] y) { w = MatMul(x, m) y = Relu(w) m = ConstantOfShape<value = float[1] {1}>(s) s = Constant<value = int64[2] {64, 64}>() }"))
    wrong, barrier = [], threading.Barrier(100)

    def work(number):
        barrier.wait()
        for turn in range(20):
            x = np.full((1 + (number + turn) % 7, 64), number, np.float32)
            y = session.run(None, {"x": x})[0]
            if y.shape != x.shape or not (y == 64 * number).all():
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and session.counters().runs == 2000


def test_the_lock_of_the_interpreter_is_free_in_runs():
    """Other threads go on while a long run is on the way, and so do they while a session is opened."""
    session, options, ticks = endless(), kapell.RunOptions(), []
    thread = threading.Thread(target=lambda: pytest.raises(kapell.Fail, session.run, None, ONE, options))
    thread.start()
    for _ in range(20):
        time.sleep(0.005)
        ticks.append(time.monotonic())
    options.terminate = True
    thread.join(60)
    assert len(ticks) == 20 and not thread.is_alive()


def test_a_session_is_replaced_while_threads_run_it():
    session, stop, failed = kapell.InferenceSession(model(ADD)), threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                assert session.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        session.set_providers(["CPU"])
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed


def test_after_a_fork_it_works():
    done = python("""
import os, kapell, numpy as np
from little import model
session = kapell.InferenceSession(model("g (float[a, b] x) => (float[a, c] y) { y = MatMul(x, t) t = Transpose(x) }"))
x = np.ones((300, 300), np.float32)
session.run(None, {"x": x})
child = os.fork()
y = session.run(None, {"x": x})[0]
assert y[0, 0] == 300 and kapell.InferenceSession(model("g (float[1] x) => (float[1] y) { y = Neg(x) }")).run(None, {"x": x[0, :1]})[0] == -1
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1]) == [1]
done = []
session.run_async(None, {"x": x}, lambda r, d, e: done.append(e), None)
child = os.fork()
if child == 0:
    import time
    mine = []
    session.run_async(None, {"x": x}, lambda r, d, e: mine.append(e), None)
    while not mine: time.sleep(0.01)
    os._exit(0 if mine == [""] else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("fine")
""")
    assert done.stdout.strip() == "fine", done.stdout + done.stderr


# --- many ------------------------------------------------------------------------------------------------------------------------------------
def test_ten_thousand_sessions():
    count = 10000 if os.environ.get("KAPELL_PRESET", "release") == "release" else 500
    data, feed = model(ADD), {"x": X, "y": Y}
    for _ in range(count // 10):
        kapell.InferenceSession(data).run(None, feed)
    gc.collect()
    before = resident()
    for _ in range(count):
        kapell.InferenceSession(data).run(None, feed)
    gc.collect()
    grown = resident() - before
    print(f"{count} sessions: {grown / 1024:.0f} KiB more")
    assert grown < 2 << 20 or os.environ.get("KAPELL_PRESET") == "asan"


@pytest.mark.parametrize("what", ["wrong inputs", "wrong models", "callbacks that raise", "values", "texts", "async"])
def test_failures_leak_nothing(what):
    session, texts = kapell.InferenceSession(model(ADD)), kapell.InferenceSession(model("g (string[n] x) => (string[n] y) { y = Identity(x) }"))
    big = np.ones((1000, 2), np.float64)
    some = np.array(["text " * 20] * 50, object)
    done = threading.Semaphore(0)

    def once():
        if what == "wrong inputs":
            pytest.raises(kapell.InvalidArgument, session.run, None, {"x": big, "y": Y})
            pytest.raises(kapell.InvalidArgument, session.run, None, {"x": X, "y": Y, "q": big})
            pytest.raises(ValueError, session.run, None, {"x": X})
        elif what == "wrong models":
            pytest.raises(kapell.InvalidGraph, kapell.InferenceSession, model(ADD).replace(b"Add", b"Adx"))
            pytest.raises(kapell.EPFail, kapell.InferenceSession, model(ADD), providers=["CUDA"])
        elif what == "callbacks that raise":
            pytest.raises(ZeroDivisionError, kapell.InferenceSession, model(ADD), progress=lambda *_: 1 / 0)
        elif what == "values":
            value = kapell._core.Value.from_object([big, big], 11)
            pytest.raises(kapell.KapellError, session.run_values, None, {"x": value, "y": value})
            session.run_bound(["x", "y"], [kapell._core.Value.from_object(X), kapell._core.Value.from_object(Y)], ["z"], [None])
        elif what == "texts":
            assert texts.run(None, {"x": some})[0].tolist() == some.tolist()
            pytest.raises(UnicodeError, texts.run, None, {"x": np.array(["fine " * 100, "\ud800"], object)})
        else:
            session.run_async(None, {"x": X, "y": Y}, lambda *_: done.release(), object())
            done.acquire()

    turns = 60 if what in ("wrong models", "callbacks that raise") else 300
    for _ in range(turns):
        once()
    gc.collect()
    before = resident()
    for _ in range(4 * turns):
        once()
    gc.collect()
    assert resident() - before < 1 << 20 or os.environ.get("KAPELL_PRESET") == "asan"
