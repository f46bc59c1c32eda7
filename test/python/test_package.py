"""Packaging: the source distribution, a wheel made of it, that wheel in an environment of its own.

The wheel of the ordinary tier takes the library and the programs from the build under test (KAPELL_PREBUILT) and compiles the extension
alone: it shows that the sources are complete for that, the layout, the metadata, the run paths and the two ways to the command. That
the whole library builds this way, and against an old glibc, is what the full tier's ./dev wheel shows.
"""

import os
import pathlib
import subprocess
import sys
import tarfile
import textwrap
import zipfile

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
SMOKE = textwrap.dedent("""
    import sys
    import numpy as np
    import kapell
    assert kapell.__file__.startswith(sys.prefix), kapell.__file__
    session = kapell.InferenceSession(sys.argv[1])
    one = np.array([[c == "#" for c in "  ###   "]] * 8, np.float32)[None, None]
    print(kapell.__version__, session.run(None, {"image": one})[0].argmax(), session.get_providers())
    """)


def call(*command, **options):
    """Runs a command without what the tests' own Python needs; its output, or a failure with it."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LD_PRELOAD")}
    environment.update(options.pop("env", {}))
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, env=environment, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def backend(what, folder, **options):
    """One hook of the build back end, called as pip calls it."""
    code = f"import scikit_build_core.build as b; print(b.build_{what}({str(folder)!r}))"
    return folder / call(sys.executable, "-c", code, **options).split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return backend("sdist", tmp_path_factory.mktemp("sdist"), cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(sdist, build_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source")
    return backend("wheel", folder, cwd=next((folder / "source").iterdir()),
                   env={"SKBUILD_CMAKE_DEFINE": f"KAPELL_PREBUILT={build_dir}"})


def make_environment(folder, wheel):
    """A fresh environment with the wheel and the tests' numpy; the path of its Python."""
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", "--disable-pip-version-check", wheel)
    packages = pathlib.Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for path in pathlib.Path(np.__file__).parents[1].glob("numpy*"):
        (packages / path.name).symlink_to(path)
    return python


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    return make_environment(tmp_path_factory.mktemp("environment"), wheel)


def test_sdist_has_what_a_build_needs_and_no_more(sdist):
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[-1] for name in archive.getnames()]
    for needed in ("pyproject.toml", "CMakeLists.txt", "LICENSE", "include/kapell/kapell.h", "bindings/python/CMakeLists.txt"):
        assert needed in names
    assert not [name for name in names if name.endswith(("_test.c", "_fuzz.c", ".pyc"))]
    assert {name.split("/")[0] for name in names} <= {
        "CMakeLists.txt", "pyproject.toml", "PKG-INFO", "LICENSE", "README.md", "CHANGELOG.md", "cmake", "include", "src", "bindings"}
    tracked = subprocess.run(["git", "ls-files", "src/*.[ch]", "src/*.inl", "include", "bindings/python"], cwd=ROOT, capture_output=True,
                             text=True, check=False).stdout.split()
    missing = [name for name in tracked if name not in names and not name.endswith(("_test.c", "_fuzz.c", "_bench.c"))]
    assert not missing


def test_wheel(wheel):
    assert wheel.name.startswith("kapell-") and "-cp311-abi3-" in wheel.name
    assert wheel.stat().st_size < (6_000_000 if os.environ.get("KAPELL_PRESET") == "debug" else 4_000_000)
    with zipfile.ZipFile(wheel) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        metadata = archive.read(next(name for name in modes if name.startswith("kapell-") and name.endswith("METADATA"))).decode()
    for name in ("kapell/__init__.py", "kapell/_core.abi3.so", "kapell/lib/libkapell.so.0", "kapell/lib/libonnxruntime.so.1"):
        assert name in modes
    package = ROOT / "bindings" / "python"
    files = {str(path.relative_to(package)) for path in (package / "kapell").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert not files - modes.keys()
    for name in ("kapell/bin/kapell", "kapell/bin/kapell-probe"):
        assert modes[name] & 0o111
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra" not in line] == ["Requires-Dist: numpy>=1.23.5"]
    assert "License-Expression: MIT" in metadata and "# Kapell" in metadata


def test_a_model_runs(python):
    version, digit, providers = call(python, "-I", "-c", SMOKE, DIGITS / "digits.onnx").split(maxsplit=2)
    assert version == call(python, "-c", "import importlib.metadata as m; print(m.version('kapell'))").strip()
    assert (digit, providers.strip()) == ("1", "['CPUExecutionProvider']")


@pytest.mark.parametrize("command", [("bin/kapell",), ("bin/python", "-m", "kapell")], ids=["script", "module"])
def test_the_command(python, command):
    prefix = python.parents[1]
    command = [prefix / command[0], *command[1:]]
    assert "11 of 11 nodes" in call(*command, "place", DIGITS / "digits.onnx")
    done = subprocess.run([*command, "run", "nowhere.onnx"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "NOT_FOUND" in done.stderr


def test_the_command_has_the_stand_in(python):
    """kapell exec finds libonnxruntime.so.1 in the package."""
    shown = call(python.parent / "kapell", "exec", "--quiet", "--", "sh", "-c", "echo $ORT_DYLIB_PATH").strip()
    assert pathlib.Path(shown).is_file() and shown.startswith(str(python.parents[1]))


@pytest.mark.full
def test_portable_wheel(tmp_path):
    """What ./dev wheel left in build/wheel."""
    wheels = list((ROOT / "build" / "wheel").glob("kapell-*.whl"))
    assert len(wheels) == 1, "./dev wheel makes it"
    python = make_environment(tmp_path / "environment", wheels[0])
    assert call(python, "-I", "-c", SMOKE, DIGITS / "digits.onnx").split()[1] == "1"
    assert "11 of 11 nodes" in call(python, "-m", "kapell", "place", DIGITS / "digits.onnx")


def test_the_stand_in_satisfies_what_requires_onnxruntime(python):
    code = "import importlib.metadata as m, onnxruntime; print(m.version('onnxruntime'), onnxruntime.InferenceSession.__module__)"
    assert call(python, "-m", "kapell.onnxruntime", "-c", code).split()[0] == "1.32.0"


def test_uninstall_leaves_nothing(wheel, tmp_path):
    python = make_environment(tmp_path / "environment", wheel)
    call(python, "-c", "import kapell")
    call(sys.executable, "-m", "pip", "--python", python, "uninstall", "-y", "kapell")
    packages = next((tmp_path / "environment" / "lib").glob("python3*/site-packages"))
    assert not list(packages.glob("kapell*")) and not (python.parent / "kapell").exists()
