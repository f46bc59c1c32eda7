"""The backend cases once more, by the C program case_run: in builds that Python does not load (sanitizers, other processors).

KAPELL_LAUNCHER: an emulator that runs it ("qemu-aarch64-static"). KAPELL_CASES: every n-th case only.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend_exceptions import BY_CHANCE, EXCEPTIONS

STEP = int(os.environ.get("KAPELL_CASES", "1"))
LAUNCHER = os.environ.get("KAPELL_LAUNCHER", "").split()
SLOW = ("alexnet", "vgg19", "inception", "resnet50", "densenet", "zfnet", "squeezenet", "shufflenet")  # light, but whole networks


@pytest.fixture(scope="module")
def cases(root):
    """Names of the cases, and the folder where they lie."""
    folder = root / "build" / "cases"
    subprocess.run([sys.executable, root / "test/py/export_cases.py", folder], check=True)
    names = (folder / "names").read_text(encoding="utf-8").split()
    if LAUNCHER or os.environ.get("KAPELL_PRESET", "release") != "release":
        names = [n for n in names if not any(s in n for s in SLOW)]
    return folder, names[::STEP]


def run_some(program, folder, names):
    """Lines about |names| that are not as they should be; a crash counts for the case at which it came, the others go on."""
    wrong, todo = [], list(names)
    while todo:
        done = subprocess.run([*LAUNCHER, program, *[folder / n for n in todo]], capture_output=True, text=True, errors="replace", timeout=1500, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "bad "))]
        for name, line in zip(todo, lines):
            if name not in BY_CHANCE and line.startswith("bad") != (name in EXCEPTIONS):
                wrong.append(f"{name}: {line[:600] if line.startswith('bad') else 'passes, but is listed in backend_exceptions.py'}")
        if len(lines) < len(todo):
            wrong.append(f"{todo[len(lines)]}: the process died ({done.returncode}): {done.stderr[-1500:]}")
        elif done.returncode not in (0, 1):
            wrong.append(f"after all cases: exit status {done.returncode}: {done.stderr[-1500:]}")
        todo = todo[len(lines) + 1 :]
    return wrong


@pytest.mark.asan_programs
@pytest.mark.timeout(3000)
def test_cases(cases, build_dir):
    folder, names = cases
    program = build_dir / "test" / "case_run"
    count = os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        wrong = [w for part in pool.map(lambda i: run_some(program, folder, names[i::count]), range(count)) for w in part]
    assert not wrong, f"{len(wrong)} of {len(names)} cases:\n" + "\n".join(wrong[:20])
