"""What reports and counters, which are always on, cost: instructions counted by callgrind, in opening the digits model and in runs of it.

The cost of a function is what callgrind counts on its lines and in the calls made from them, so that inlined functions count as well.
"""

import collections
import re
import shutil
import subprocess

import pytest

MOST = 0.01  # of all instructions

# file, function: who does nothing but report or count. A call of kp_clock_ns in a run is for the counters alone.
OPENING = [("src/plan/report.c", "kp_report_build"), ("src/provider/claims.c", "kp_claims_refuse")]
RUNNING = [("src/exec/step.c", "count_unit"), ("src/exec/step.c", "bytes_of"), ("src/api/run.c", "add_totals")]


class Profile:
    """Costs of a callgrind file with names and positions written out."""

    def __init__(self, path):
        self.total = 0
        self.lines = collections.Counter()  # (file, line): own instructions and those of calls made there
        self.called = collections.Counter()  # function: instructions of the calls of it
        file = callee = None
        is_call = False
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if text.startswith("summary:"):
                self.total = int(text.split()[1])
            elif match := re.match(r"(fl|fi|fe)=(.*)", text):
                file = match.group(2)
            elif text.startswith("cfn="):
                callee = text[4:]
            elif text.startswith("calls="):
                is_call = True
            elif match := re.match(r"(\d+) (\d+)$", text):
                cost = int(match.group(2))
                self.lines[self.short(file), int(match.group(1))] += cost
                if is_call:
                    self.called[callee] += cost
                is_call = False

    @staticmethod
    def short(file):
        return "src/" + file.split("src/")[-1] if file else ""

    def of(self, root, file, function):
        """Instructions of a function, by the lines of its definition."""
        source = (root / file).read_text(encoding="utf-8").splitlines()
        begin = next(i for i, line in enumerate(source, 1) if re.match(rf"\S.*\b{function}\(", line) and not line.rstrip().endswith(";"))
        end = next(i for i in range(begin, len(source) + 1) if source[i - 1] == "}")
        return sum(self.lines[file, line] for line in range(begin, end + 1))


def count(tmp_path, root, build_dir, function):
    pictures = [f"--input=image={p}" for p in sorted((root / "examples/digits/pictures").glob("*.png"))]
    out = tmp_path / "callgrind.out"
    subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no", f"--toggle-collect={function}", "--dump-line=yes",
                    "--compress-strings=no", "--compress-pos=no", build_dir / "bin" / "kapell", "run", root / "examples/digits/digits.onnx", *pictures, "--threads", "1"],
                   check=True, capture_output=True, timeout=250)
    return Profile(out)


@pytest.fixture(autouse=True)
def callgrind(preset):
    if preset != "release":
        pytest.skip("instructions are counted in the release build")
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")


@pytest.mark.full
def test_opening(tmp_path, root, build_dir):
    profile = count(tmp_path, root, build_dir, "kapell_session_open_file")
    cost = sum(profile.called[function] for _, function in OPENING)
    print(f"opening: {profile.total} instructions, {cost} for the report: {100 * cost / profile.total:.2f} %")
    assert profile.called["kp_report_build"] > 1000, "the report was not found in the profile"
    assert cost < MOST * profile.total


@pytest.mark.full
def test_running(tmp_path, root, build_dir):
    profile = count(tmp_path, root, build_dir, "kapell_session_run")
    cost = sum(profile.of(root, file, function) for file, function in RUNNING)
    clock = profile.called["kp_clock_ns"]
    print(f"12 runs: {profile.total} instructions, {cost + clock} for counters: {100 * (cost + clock) / profile.total:.2f} %")
    assert cost > 1000, "the counters were not found in the profile"
    assert cost + clock < MOST * profile.total
