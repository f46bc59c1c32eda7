"""The examples of README.md print what it says: each line of each block that begins with "$ kapell".

"..." in an expected line stands for any text, a line of its own for any lines. Numbers, and what names the machine, may differ.
"""

import pathlib
import re
import shlex

import pytest

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
NUMBER = r"\d[\d.,]*(?:e[+-]?\d+)?"
MACHINE = {"Debian GNU/Linux 12 (bookworm)": ".+", "(sse41,avx2,fma,f16c,bmi2)": ".*", "AMD EPYC": ".+"}


def examples():
    """(command, expected lines) of each block."""
    for block in re.findall(r"^```\n\$ (kapell .*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S):
        command, *lines = block.splitlines()
        yield command, lines


def pattern(line):
    """A regular expression for what the line allows."""
    parts = re.split("(" + "|".join(map(re.escape, MACHINE)) + r"|\.\.\.|\s+|" + NUMBER + ")", line)
    made = ""
    for part in parts:
        if part in MACHINE:
            made += MACHINE[part]
        elif part == "...":
            made += ".*"
        elif part.isspace():
            made += r"\s+"
        elif re.fullmatch(NUMBER, part):
            made += NUMBER
        else:
            made += re.escape(part)
    return made + r"\s*"


def missing(expected, printed):
    """The first expected line that is not where it should be, or None."""
    at, anywhere = 0, False
    for line in expected:
        if line in ("...", ""):
            anywhere = anywhere or line == "..."
            continue
        while at < len(printed) and anywhere and not re.fullmatch(pattern(line), printed[at]):
            at += 1
        if at == len(printed) or not re.fullmatch(pattern(line), printed[at]):
            return line
        at, anywhere = at + 1, False
    return None if anywhere or at == len(printed) else f"nothing more, but there is: {printed[at]}"


def test_matching():
    assert missing(["a 1.5 ms", "...", "b"], ["a 27 ms", "x", "y", "b"]) is None
    assert missing(["a 1 ms"], ["a x ms"]) == "a 1 ms"
    assert missing(["a"], ["a", "b"]) == "nothing more, but there is: b"
    assert missing(["a", "b"], ["a"]) == "b"


@pytest.mark.parametrize("command, expected", list(examples()), ids=lambda value: value if isinstance(value, str) else "")
def test_example(kapell, root, preset, command, expected):
    if preset != "release":
        pytest.skip("the README speaks of the release build")
    arguments = shlex.split(command)[1:]
    driver = any(pathlib.Path(path).exists() for path in ("/proc/driver/nvidia", "/dev/dri", "/dev/accel", "/dev/kfd"))
    if arguments[0] in ("doctor", "bench") and driver:
        pytest.skip("this machine has a driver of an accelerator, which the README's has not")
    if arguments[0] == "bench":
        arguments += ["--seconds", "1"]
    out = kapell(*arguments, cwd=root)
    wrong = any(line.startswith(("error ", "required: CUDA: NOT READY")) for line in expected)
    assert out.returncode == (3 if wrong else 0), out.stdout + out.stderr
    printed = [line for line in (out.stdout + out.stderr).splitlines() if line.strip() and not line.startswith("kapell warning")]
    assert missing(expected, printed) is None, out.stdout + out.stderr


def test_every_command_has_an_example():
    shown = {shlex.split(command)[1] for command, _ in examples()}
    assert {"place", "check", "doctor", "bench"} <= shown
