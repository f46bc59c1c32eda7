"""What every Python test may ask for: the programs and libraries of the preset under test (KAPELL_PRESET, release if unset)."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root():
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def preset():
    """The CMake preset whose products are under test."""
    return os.environ.get("KAPELL_PRESET", "release")


@pytest.fixture(scope="session")
def build_dir(preset):
    """build/<preset>, which has bin/ and lib/."""
    return ROOT / "build" / preset


@pytest.fixture(scope="session")
def kapell(build_dir):
    """Runs the command: kapell("run", model, ...) gives subprocess's CompletedProcess with text output.

    Keyword arguments go to subprocess.run; the exit status is the caller's to look at.
    """
    program = build_dir / "bin" / "kapell"
    # A Python that loads a sanitizer's library has it preloaded and its leak check off; a program of our own needs neither.
    environment = {key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "ASAN_OPTIONS")}

    def run(*arguments, **options):
        options = {"capture_output": True, "text": True, "timeout": 120, "check": False, "env": environment, **options}
        return subprocess.run([str(program), *map(str, arguments)], **options)

    return run
