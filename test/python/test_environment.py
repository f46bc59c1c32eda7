"""The stand-in in a whole environment: metadata, refusals, undoing, and calls that are cut off anywhere."""

import os
import subprocess
import sys
import venv

import pytest

from kapell.onnxruntime import STANDIN, __main__ as program, _borrow, _environment

REAL_INIT = "__version__ = '1.31.0'\nNAME = 'the real one'\n"


def tree(folder):
    """Every file below a folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def install_real(site, name="onnxruntime"):
    """Something that looks as pip leaves a real package: some of its metadata has the same bytes as the stand-in's."""
    package, info = site / "onnxruntime", site / f"{name.replace('-', '_')}-1.31.0.dist-info"
    (package / "capi").mkdir(parents=True)
    (package / "quantization").mkdir()
    info.mkdir()
    files = {
        package / "__init__.py": REAL_INIT,
        package / "capi" / "__init__.py": "raise ImportError('the real extension')\n",
        package / "quantization" / "__init__.py": "import onnxruntime\nfrom .tool import made\nVERSION = onnxruntime.__version__\n",
        package / "quantization" / "tool.py": "from onnxruntime import InferenceSession\nmade = InferenceSession.__name__\n",
        info / "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.31.0\n",
        info / "top_level.txt": "onnxruntime\n", info / "REQUESTED": "",
        info / "RECORD": "onnxruntime/__init__.py,,\nonnxruntime/quantization/tool.py,,\n",
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path):
    """A folder of packages that holds somebody's module."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "mine.py").write_text("x = 1\n", encoding="utf-8")
    return folder


def python(code, *paths, **environment):
    """Runs code in a fresh Python that finds kapell, and |paths| before everything else."""
    found = [*map(str, paths), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *(p for p in sys.path if p)]
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(found), **environment},
                          capture_output=True, text=True, timeout=120, check=False)


def test_installing_gives_metadata_and_undoing_leaves_nothing(site):
    before = tree(site)
    lines = _environment.install(site)
    assert "'import onnxruntime' is Kapell now" in lines[0] and any("metadata: onnxruntime 1.32.0" in line for line in lines)
    done = python("import importlib.metadata as m, onnxruntime; d = m.distribution('onnxruntime');"
                  "print(d.version, [str(f) for f in d.files][0], all(f.locate().exists() for f in d.files), onnxruntime.__version__, onnxruntime.InferenceSession.__module__)", site)
    assert done.stdout.split()[:4] == ["1.32.0", "onnxruntime/__init__.py", "True", "1.32.0"], done.stderr
    assert "kapell" in done.stdout
    assert "is in" in _environment.install(site)[0]  # once more: nothing to do
    assert "stand-in" in _environment.status(site)[0]
    _environment.uninstall(site)
    assert tree(site) == before and sorted(os.listdir(site)) == ["mine.py"]
    assert "nothing was changed" in _environment.uninstall(site)[0]


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_the_real_one_is_kept_and_put_back(site, name):
    install_real(site, name)
    before = tree(site)
    with pytest.raises(_environment.Refused, match=f"{name} installed.*nothing was changed.*--install --replace"):
        _environment.install(site)
    assert tree(site) == before
    lines = _environment.install(site, replace=True)
    assert any("kept aside: onnxruntime" in line for line in lines)
    done = python(f"import importlib.metadata as m, onnxruntime; print(m.version('onnxruntime'), m.version('{name}'), hasattr(onnxruntime, 'NAME'))", site)
    assert done.stdout.split() == ["1.32.0", "1.32.0", "False"], done.stderr
    _environment.uninstall(site)
    assert tree(site) == before
    assert python("import onnxruntime; print(onnxruntime.NAME)", site).stdout.strip() == "the real one"


def test_a_folder_that_nobody_installed_is_refused_too(site):
    (site / "onnxruntime").mkdir()
    (site / "onnxruntime" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(_environment.Refused, match="of unknown origin"):
        _environment.install(site)
    before = tree(site)
    _environment.install(site, replace=True)
    _environment.uninstall(site)
    assert tree(site) == before


@pytest.mark.parametrize("signal", ["KeyboardInterrupt", "OSError"])
@pytest.mark.parametrize("at", range(5))
def test_what_fails_while_installing_is_undone(site, monkeypatch, at, signal):
    install_real(site)
    before, calls, rename = tree(site), [], os.rename
    error = {"KeyboardInterrupt": KeyboardInterrupt, "OSError": OSError}[signal]

    def broken(old, new):
        calls.append(old)
        if len(calls) == at + 1:
            raise error("in the middle")
        rename(old, new)

    monkeypatch.setattr(os, "rename", broken)
    if at < 4:  # two are moved aside, two are put in place
        with pytest.raises(error):
            _environment.install(site, replace=True)
        assert tree(site) == before
    else:
        _environment.install(site, replace=True)


def dies_after(steps, action):
    """Calls |action| in a child process that ends without a word after so many changes to files; whether it came to its end."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def dying(real):
            def call(*arguments, **keywords):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*arguments, **keywords)
            return call

        for name in ("rename", "replace", "unlink", "rmdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_a_process_that_is_killed_anywhere_is_undone_by_the_next_call(site, action):
    install_real(site)
    before, steps, ended = tree(site), 0, False
    while not ended:
        if action == "uninstall":
            _environment.install(site, replace=True)
            ended = dies_after(steps, lambda: _environment.uninstall(site))
        else:
            ended = dies_after(steps, lambda: _environment.install(site, replace=True))
        _environment.uninstall(site)
        assert tree(site) == before, f"after {steps} steps"
        assert not (site / _environment.KEPT).exists()
        steps += 1
    assert 5 < steps < 60


def test_files_of_others_stay(site):
    _environment.install(site)
    (site / "onnxruntime" / "patch.py").write_text("mine", encoding="utf-8")
    assert any("files of others" in line for line in _environment.uninstall(site))
    assert tree(site) == {"mine.py": b"x = 1\n", "onnxruntime/patch.py": b"mine"}


def test_what_pip_puts_over_the_stand_in_stays(site):
    """pip install --upgrade takes the stand-in out by its RECORD and puts the real one there; the one kept aside waits for its place."""
    install_real(site)
    old = tree(site)
    _environment.install(site, replace=True)
    for path in [site / "onnxruntime" / "__init__.py", *(site / "onnxruntime-1.32.0.dist-info").iterdir()]:
        path.unlink()
    (site / "onnxruntime-1.32.0.dist-info").rmdir()
    (site / "onnxruntime" / "__init__.py").write_text("VERSION = 'newer'\n", encoding="utf-8")
    lines = _environment.uninstall(site)
    assert "stands there again" in lines[-1] and "pip uninstall" in lines[-1]
    assert (site / "onnxruntime" / "__init__.py").read_text(encoding="utf-8") == "VERSION = 'newer'\n"
    with pytest.raises(_environment.Refused, match="stands there again"):
        _environment.install(site)
    (site / "onnxruntime" / "__init__.py").unlink()
    (site / "onnxruntime").rmdir()
    _environment.uninstall(site)
    assert tree(site) == old


def test_subpackages_of_the_one_kept_aside_run_on_the_stand_in(site):
    install_real(site)
    _environment.install(site, replace=True)
    done = python("import onnxruntime.quantization as q; print(q.VERSION, q.made, q.__file__)", site)
    assert done.stdout.startswith("1.32.0 InferenceSession "), done.stderr
    assert _environment.KEPT in done.stdout


def test_where_there_is_none_the_error_says_how_to_get_it(site):
    _environment.install(site)
    done = python("import kapell.onnxruntime._borrow as b; b._find = lambda part: None\n"
                  "try: import onnxruntime.quantization\nexcept ImportError as e: print(type(e).__name__, e.name, e)", site)
    assert done.stdout.startswith("ModuleNotFoundError onnxruntime.quantization onnxruntime.quantization is Python code of ONNX Runtime"), done.stdout + done.stderr
    assert "-m pip install --no-deps --target" in done.stdout and "onnxruntime==1.32.0" in done.stdout
    alone = python("import kapell.onnxruntime.quantization")
    assert "call kapell.onnxruntime.install()" in alone.stderr


def test_subpackages_that_pip_put_where_the_error_says(site):
    _environment.install(site)
    (site / _borrow.TOOLS).mkdir()
    install_real(site / _borrow.TOOLS)
    done = python("import onnxruntime.quantization as q; print(q.VERSION, q.made, q.__file__)", site)
    assert done.stdout.startswith("1.32.0 InferenceSession ") and _borrow.TOOLS in done.stdout, done.stderr


def test_without_kapell_the_package_says_what_it_is(site):
    _environment.install(site)
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); import onnxruntime"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is Kapell's stand-in, and kapell cannot be imported" in done.stderr and "pip uninstall onnxruntime" in done.stderr


def test_the_command(site, capsys):
    def command(*arguments):
        code = program.main([str(a) for a in arguments])
        return (code, *capsys.readouterr())

    code, out, err = command("--install", "--target", site)
    assert code == 0 and "to undo it" in out, err
    assert "stand-in 1.32.0" in command("--status", "--target", site)[1]
    assert command("--uninstall", "--target", site)[0] == 0
    assert "has no onnxruntime" in command("--status", "--target", site)[1]
    install_real(site)
    code, out, err = command("--install", "--target", site)
    assert code == 1 and "nothing was changed" in err and "--replace" in err
    assert command("--install", "--replace", "--target", site)[0] == 0
    for wrong in (["--install", "--nonsense"], ["--nonsense"], ["--status", "--target"], ["--uninstall", "--replace"], ["-m"], []):
        assert command(*wrong)[0] == 2
    assert command("--status", "--target", site / "absent")[0] == 1
    assert "SCRIPT" in command("--help")[1]


def test_pip_is_satisfied_and_takes_it_out_too(tmp_path):
    """In a real environment: a package that requires onnxruntime passes pip's check, and pip uninstall removes the stand-in whole."""
    venv.create(tmp_path / "env", with_pip=False)
    interpreter = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python3*")) / "site-packages"
    for name, needs in (("needs-ort", "onnxruntime>=1.20"), ("kapell", ""), ("numpy", "")):
        info = site / f"{name.replace('-', '_')}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n" + (f"Requires-Dist: {needs}\n" if needs else ""), encoding="utf-8")

    def pip(*words):
        return subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(interpreter), *words],
                              capture_output=True, text=True, timeout=120, check=False)

    _environment.install(site)
    checked = pip("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (site / "numpy-2.0.dist-info" / "METADATA").unlink()  # it does look
    assert "onnxruntime 1.32.0 requires numpy" in pip("check").stdout
    assert pip("uninstall", "-y", "onnxruntime").returncode == 0
    assert not (site / "onnxruntime").exists() and not (site / "onnxruntime-1.32.0.dist-info").exists()
    _environment.uninstall(site)
    assert not (site / _environment.KEPT).exists()


def test_the_version_is_one(root):
    """The stand-ins say one version of ONNX Runtime's: metadata, the package and libonnxruntime.so.1."""
    from kapell.onnxruntime import __version__, _metadata
    assert f"\nVersion: {__version__}\n" in _metadata.text()
    found = subprocess.run(["grep", "-rhn", f'"{__version__}"', str(root / "src" / "ort"), "--include=*.h", "--include=*.c"], capture_output=True, text=True, check=False)
    assert found.stdout.count(__version__) >= 1
    assert os.path.isdir(STANDIN)
