"""The package as the build leaves it: build/<preset>/python (KAPELL_PRESET, release if unset) comes first on the path."""

import os
import pathlib
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "build" / os.environ.get("KAPELL_PRESET", "release") / "python"
sys.path.insert(0, str(PACKAGE))
sys.path.insert(1, str(ROOT / "test" / "py"))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))  # of programs that tests start

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell leaves it that put the tests in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root():
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def package_folder():
    """The folder for PYTHONPATH of programs that import kapell."""
    return PACKAGE


@pytest.fixture(scope="session")
def build_dir():
    """build/<preset>, which has bin/ and lib/."""
    return PACKAGE.parent
