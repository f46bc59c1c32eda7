"""The backend cases through the C API of libonnxruntime.so.1, and of ONNX Runtime's own library beside it.

ort_case_run opens either by its path. Ours has to pass all cases but those with a reason, and every case that ONNX Runtime passes.
"""

import os
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend_exceptions import BY_CHANCE, EXCEPTIONS

# Not the library's doing: name -> why.
UNREACHABLE = {"test_optional_has_element_empty_optional_input": "the C API makes no optional without an element"}


@pytest.fixture(scope="module")
def cases(root):
    """Names of the cases, and the folder where they lie."""
    folder = root / "build" / "cases"
    subprocess.run([sys.executable, root / "test/py/export_cases.py", folder], check=True)
    return folder, (folder / "names").read_text(encoding="utf-8").split()


def real_library():
    """ONNX Runtime's own library, from the wheel."""
    import onnxruntime

    return next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))


def run_some(program, library, folder, names):
    """name -> None where it passes, else what was wrong; a crash counts for the case at which it came, the others go on."""
    results, todo = {}, list(names)
    while todo:
        done = subprocess.run([program, library, *[folder / n for n in todo]], capture_output=True, text=True, errors="replace", timeout=1500, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "bad "))]
        results |= {name: None if line.startswith("ok ") else line[:600] for name, line in zip(todo, lines)}
        if len(lines) < len(todo):
            results[todo[len(lines)]] = f"the process died ({done.returncode}): {done.stderr[-1500:]}"
        else:
            assert done.returncode in (0, 1), f"after all cases: exit status {done.returncode}: {done.stderr[-3000:]}"
        todo = todo[len(lines) + 1 :]
    return results


def run_all(build_dir, library, folder, names):
    program, count = build_dir / "test" / "ort_case_run", os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        parts = pool.map(lambda i: run_some(program, library, folder, names[i::count]), range(count))
        return {name: said for part in parts for name, said in part.items()}


def check(results, real):
    """|real|: what ONNX Runtime makes of some of the cases."""
    wrong = {name: said for name, said in results.items() if said and name not in EXCEPTIONS and name not in UNREACHABLE}
    wrong |= {name: "passes, but is listed as an exception" for name, said in results.items() if not said and name in {**EXCEPTIONS, **UNREACHABLE} and name not in BY_CHANCE}
    assert not wrong, f"{len(wrong)} of {len(results)}:\n" + "\n".join(f"{name}: {said}" for name, said in list(wrong.items())[:20])
    behind = [name for name, said in real.items() if not said and results[name] and name not in EXCEPTIONS]
    assert not behind, f"ONNX Runtime passes these: {behind}"


@pytest.mark.asan_programs
@pytest.mark.timeout(1500)
def test_cases(cases, build_dir, preset):
    folder, names = cases
    if preset == "asan":
        names = names[::20]
    results = run_all(build_dir, build_dir / "lib" / "libonnxruntime.so.1", folder, names)
    check(results, {} if preset == "asan" else run_all(build_dir, real_library(), folder, names[::5]))
    passed = sum(said is None for said in results.values())
    if len(names) > 2000:
        assert passed >= 0.995 * len(names), f"{passed} of {len(names)}"


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_cases_beside_onnx_runtime(cases, build_dir):
    folder, names = cases
    results = run_all(build_dir, build_dir / "lib" / "libonnxruntime.so.1", folder, names)
    check(results, run_all(build_dir, real_library(), folder, names))
