"""The stand-in for ONNX Runtime around programs that cannot be changed: `kapell exec` and the environment variables."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"

pytestmark = pytest.mark.asan_programs


@pytest.fixture(scope="module")
def client(build_dir):
    """A program that opens models through whatever libonnxruntime.so.1 it finds (test/tools/ort_open.c)."""
    return build_dir / "test" / "ort_open"


def run(client, build_dir, *arguments, **variables):
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    environment.update(variables, LD_LIBRARY_PATH=str(build_dir / "lib"))
    return subprocess.run([str(client), *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_exec_puts_the_library_in_front(kapell, client, tmp_path):
    report = tmp_path / "placement.json"
    done = kapell("exec", "--report", str(report), "--", str(client), str(DIGITS), str(DIGITS))
    assert done.returncode == 7, done.stderr  # the program's own
    assert "Kapell" in done.stdout
    assert done.stderr.count(f"{DIGITS}: CPUExecutionProvider 11 of 11 nodes (2 sessions)") == 1, done.stderr
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["model"] for line in lines] == [str(DIGITS)] * 2
    assert lines[0]["placement"]["nodes"] and lines[0]["summary"].startswith("CPUExecutionProvider")


def test_exec_without_report_or_session(kapell, client):
    done = kapell("exec", "--", str(client))
    assert done.returncode == 7
    assert "made no session" in done.stderr
    assert kapell("exec", "--quiet", "--", str(client)).stderr == ""


@pytest.mark.parametrize(("arguments", "code", "words"), [
    ((), 2, "the program comes after '--'"),
    (("--no-such", "--", "true"), 2, "is no option"),
    (("--", "/no/such/program"), 127, "No such file"),
])
def test_exec_errors(kapell, arguments, code, words):
    done = kapell("exec", *arguments)
    assert done.returncode == code
    assert words in done.stderr


def test_exec_passes_providers_on(kapell, client):
    done = kapell("exec", "--providers", "CUDA?,CPU", "--", str(client), str(DIGITS))
    assert done.returncode == 7
    assert "KAPELL_PROVIDERS replaces the provider list" in done.stderr
    assert "CUDAExecutionProvider not in use" in done.stderr


def test_java_and_dlopen_variables(kapell):
    done = kapell("exec", "--quiet", "--", "env")
    assert "ORT_DYLIB_PATH=" in done.stdout
    assert "JAVA_TOOL_OPTIONS=-Donnxruntime.native.onnxruntime.path=" in done.stdout


def test_report_of_every_session(client, build_dir, tmp_path):
    report = tmp_path / "report.json"
    done = run(client, build_dir, DIGITS, "/no/such.onnx", DIGITS, KAPELL_REPORT=str(report))
    assert "error 3: Load model from /no/such.onnx failed" in done.stdout
    assert len(report.read_text().splitlines()) == 2


def test_profile_of_every_session(client, build_dir, tmp_path):
    profile = tmp_path / "profile.json"
    run(client, build_dir, DIGITS, DIGITS, KAPELL_PROFILE=str(profile))
    assert "traceEvents" in json.loads(profile.read_text())
    assert "traceEvents" in json.loads((tmp_path / "profile.json.2").read_text())


def test_log_level(client, build_dir):
    assert "is ready" not in run(client, build_dir, DIGITS).stderr
    assert "is ready: 11 nodes" in run(client, build_dir, DIGITS, KAPELL_LOG="info").stderr


def test_absent_providers_are_errors(client, build_dir):
    done = run(client, build_dir, "--provider", "QNN", DIGITS)
    assert "error 2: QNN execution provider is not supported in this build" in done.stdout


@pytest.mark.full
@pytest.mark.parametrize(("build", "seconds", "sessions"), [("release", 10, 10000), ("tsan", 60, 20)])
def test_threads_and_sessions_at_length(root, build, seconds, sessions):
    """One session run from sixteen threads, and sessions made and released without growth (test/dropin/threads_test.c)."""
    program = root / "build" / build / "test" / "test-dropin-threads_test"
    if not program.exists():
        pytest.skip(f"the preset {build} is not built: ./dev test --preset {build} test/dropin/threads")
    environment = {**os.environ, "KAPELL_TEST_SECONDS": str(seconds), "KAPELL_TEST_SESSIONS": str(sessions)}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
