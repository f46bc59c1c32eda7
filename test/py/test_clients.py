"""Real clients of libonnxruntime.so.1, unchanged: C and C++ on ONNX Runtime's header, npm, Maven, Cargo, Go.

The programs are in test/clients/, whose README says what is pinned where. They are built into build/clients/. KAPELL_CLIENT_LIBRARY:
another library to run them on: a path, or "real" for ONNX Runtime's own (the one that a package brings, else the wheel's), which is
how the programs themselves were checked.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import zipfile

import pytest

import client_models

GO_PACKAGE = "github.com/yalue/onnxruntime_go"
WANTED = os.environ.get("KAPELL_CLIENT_LIBRARY", "")
REAL = WANTED == "real"
# Tests that our library does not pass: (client, test) -> why. One that passes must go from here.
EXCUSED = {}


# --- what is there -------------------------------------------------------------------------------------------------------------------
def need(tool, *version):
    """Skips where |tool| is missing or older than |version|; in CI that is a failure."""
    reason = f"{tool} is not installed"
    if shutil.which(tool):
        said = subprocess.run([tool, "version" if tool == "go" else "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"(\d+)\.(\d+)", said)
        if found and tuple(map(int, found.groups())) >= version:
            return
        reason = f"{tool} {'.'.join(map(str, version))} is needed, there is: {said.strip()[:80]}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def call(*command, cwd=None, timeout=600, **environment):
    """Runs a command that has to succeed, without input."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def wheel_library():
    """ONNX Runtime's own library, of the version that the tests are pinned to."""
    import onnxruntime

    return next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))


@pytest.fixture(scope="module")
def library(build_dir):
    """The library under test: its real path."""
    path = wheel_library() if REAL else pathlib.Path(WANTED) if WANTED else build_dir / "lib" / "libonnxruntime.so.1"
    assert path.exists(), f"{path} is not built"
    return path.resolve()


@pytest.fixture(scope="module")
def work(root):
    """build/clients, where everything is built."""
    folder = root / "build" / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def beside(work, library):
    """A folder with the library under the names that a linker, a loader and Java look for."""
    folder = work / "lib" / hashlib.sha256(str(library).encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(library)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of the models that the clients open."""
    folder = tmp_path_factory.mktemp("models")
    client_models.write(folder)
    return folder


@pytest.fixture(scope="module")
def sources(root):
    """test/clients."""
    return root / "test" / "clients"


# --- running -------------------------------------------------------------------------------------------------------------------------
def check(client, command, library, count, **options):
    """Runs a client: every test is ok or excused, all |count| of them ran, and on |library|."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **options.pop("environment", {})}
    done = subprocess.run([str(c) for c in command], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=200, check=False, **options)
    lines = done.stdout.splitlines()
    bad = {line[4:].split(":")[0]: line for line in lines if line.startswith("bad ")}
    good = [line[3:] for line in lines if line.startswith("ok ")]
    excused = set() if REAL else {name for who, name in EXCUSED if who == client}
    said = f"exit status {done.returncode}; {len(good)} ok\n" + "\n".join(bad.values()) + f"\n{done.stderr[-3000:]}"
    assert bad.keys() <= excused and lines and lines[-1] == f"done {len(good) + len(bad)}", said
    assert bad or done.returncode == 0, said
    assert not excused & set(good), f"these pass, and are excused: {excused & set(good)}"
    assert len(good) + len(bad) == count, f"{len(good) + len(bad)} tests ran, not {count}"
    if library:
        assert f"library {library}" in lines, lines[0]


@pytest.fixture(scope="module")
def go_header(sources):
    """The folder of the C headers that the Go module carries."""
    need("go", 1, 24)
    call("go", "mod", "download", cwd=sources / "go")
    return call("go", "list", "-m", "-f", "{{.Dir}}", GO_PACKAGE, cwd=sources / "go").strip()


@pytest.mark.asan_programs
@pytest.mark.parametrize("language", ["c", "c++"])
def test_c(language, sources, work, beside, library, models, go_header, preset):
    program = work / f"client_{language}"
    compiler = ["gcc", "-std=c11"] if language == "c" else ["g++", "-std=c++17", "-x", "c++"]
    options = ["-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-isystem", go_header]
    options += ["-fsanitize=address,undefined"] if preset == "asan" else []
    files = sorted((sources / "c").glob("*.c"))
    call(*compiler, *options, *files, "-x", "none", "-o", program, f"-L{beside}", "-l:libonnxruntime.so.1", "-ldl", "-lpthread")
    check("c", [program, models], library, 55, environment={"LD_LIBRARY_PATH": str(beside)})


@pytest.fixture(scope="module")
def command(build_dir):
    """The command, whose `exec` puts the library in front by itself."""
    return build_dir / "bin" / "kapell"


def test_node(sources, work, beside, library, models, command):
    need("node", 16, 0)
    need("npm", 8, 0)
    folder = work / "node"
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.js"):
        shutil.copy(sources / "node" / name, folder)
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != lock:
        call("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
        stamp.write_text(lock, encoding="utf-8")
    environment = {} if REAL else {"LD_LIBRARY_PATH": str(beside)}
    check("node", ["node", "client.js", models], None if REAL else library, 13, cwd=folder, environment=environment)
    if not WANTED:
        check("node", [command, "exec", "--", "node", "client.js", models], library, 13, cwd=folder)


def test_java(sources, work, beside, library, models, command):
    need("javac", 11, 0)
    need("java", 11, 0)
    need("mvn", 3, 0)
    folder = work / "java"
    folder.mkdir(exist_ok=True)
    jar = folder / "onnxruntime-1.29.0.jar"
    if not jar.exists():
        call("mvn", "-q", "-B", "-f", sources / "java" / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={folder}")
    wanted = (sources / "java" / "jar.sha256").read_text(encoding="utf-8").split()[0]
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == wanted, f"{jar} is not the file that is pinned"
    natives = folder / "real" if REAL else beside
    natives.mkdir(exist_ok=True)
    with zipfile.ZipFile(jar) as archive:
        for name in ("libonnxruntime4j_jni.so", *(["libonnxruntime.so"] if REAL else [])):
            (natives / name).write_bytes(archive.read(f"ai/onnxruntime/native/linux-x64/{name}"))
    call("javac", "-encoding", "UTF-8", "-cp", jar, "-d", folder, sources / "java" / "Client.java")
    check("java", ["java", f"-Donnxruntime.native.path={natives}", "-cp", f"{folder}:{jar}", "Client", models], None if REAL else library, 16)
    if not WANTED:
        check("java", [command, "exec", "--", "java", "-cp", f"{folder}:{jar}", "Client", models], library, 16)


@pytest.mark.parametrize("api", ["api-24", "api-31"])
def test_rust(api, sources, work, library, models):
    need("cargo", 1, 92)
    call("cargo", "build", "--quiet", "--locked", "--features", api, "--target-dir", work / "rust", cwd=sources / "rust")
    check("rust", [work / "rust" / "debug" / "kapell-client", library, models], library, 19)


def test_go(sources, work, library, models):
    need("go", 1, 24)
    program = work / "go" / "client"
    call("go", "build", "-mod=readonly", "-o", program, ".", cwd=sources / "go", CGO_ENABLED="1")
    check("go", [program, library, models], library, 12)


def test_go_own_tests(sources, work, library, root):
    """The tests that the Go module has for itself; exceptions.txt lists what fails and why."""
    need("go", 1, 24)
    (work / "go").mkdir(exist_ok=True)
    program = work / "go" / "own.test"
    call("go", "test", "-mod=readonly", "-vet=off", "-c", "-o", program, GO_PACKAGE, cwd=sources / "go", CGO_ENABLED="1")
    folder = call("go", "list", "-m", "-f", "{{.Dir}}", GO_PACKAGE, cwd=sources / "go").strip()
    done = subprocess.run([program, "-test.v", "-test.timeout=120s"], cwd=folder, env={**os.environ, "ONNXRUNTIME_SHARED_LIBRARY_PATH": str(library)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    results = dict(reversed(pair) for pair in re.findall(r"^--- (PASS|FAIL|SKIP): (\w+)", done.stdout, re.MULTILINE))
    declared = re.findall(r"^func (Test\w+)\(", (pathlib.Path(folder) / "onnxruntime_test.go").read_text(encoding="utf-8"), re.MULTILINE)
    excused = dict(line.split(": ", 1) for line in (sources / "go" / "exceptions.txt").read_text(encoding="utf-8").splitlines() if line.startswith("Test"))
    if REAL:
        excused["TestStringTensor"] = "its StringNormalizer needs a locale of the system"
    wrong = [f"{name}: {results.get(name, 'did not run')}" for name in declared if results.get(name) not in ("PASS", "SKIP") and name not in excused]
    wrong += [f"{name} passes, but is in exceptions.txt" for name in excused if results.get(name) == "PASS" and not REAL]
    assert not wrong, "\n".join(wrong) + f"\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert len(declared) > 40
