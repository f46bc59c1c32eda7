"""The C ABI of ONNX Runtime as declared in src/ort/: the lists against the measured facts, the declarations against a client's own header."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import gen_onnxruntime_abi as abi  # noqa: E402

# Structs that others fill: offsets of their members are compared as well.
STRUCTS = ["OrtAllocator", "OrtCustomOp", "OrtEp", "OrtEpFactory", "OrtNodeComputeInfo", "OrtKernelImpl", "OrtDataTransferImpl", "OrtSyncStreamImpl",
           "OrtSyncNotificationImpl", "OrtExternalResourceImporterImpl", "OrtLoopKernelHelper", "OrtScanKernelHelper", "OrtNodeFusionOptions",
           "OrtEnvCreationOptions", "OrtCUDAProviderOptions", "OrtROCMProviderOptions", "OrtTensorRTProviderOptions", "OrtMIGraphXProviderOptions",
           "OrtOpenVINOProviderOptions", "OrtExternalMemoryDescriptor", "OrtExternalSemaphoreDescriptor", "OrtExternalTensorDescriptor",
           "OrtExternalMemoryHandle", "OrtExternalSemaphoreHandle", "OrtApiBase"]
TABLES = [table for table, _, _ in abi.TABLES if table != "OrtModelPackageApi"]


def facts():
    """(struct or table) -> [(name, since)], measured on ONNX Runtime 1.29 to 1.32."""
    found = {}
    for line in (ROOT / "test/dropin/slots.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        table, index, name, since = line.split("\t")
        assert int(index) == len(found.setdefault(table, []))
        found[table].append((name, since))
    return found


@pytest.mark.parametrize("table, name", [(table, name) for table, name, _ in abi.TABLES])
def test_slots_are_the_measured_ones(table, name):
    assert [(row[2], row[3]) for row in abi.slots(name)] == facts()[table]


@pytest.mark.parametrize("struct", ["OrtAllocator", "OrtEp", "OrtEpFactory", "OrtNodeComputeInfo", "OrtKernelImpl", "OrtDataTransferImpl", "OrtSyncStreamImpl",
                                    "OrtSyncNotificationImpl"])
def test_members_of_structs_are_the_measured_ones(struct):
    assert [name for name, _, _ in members((ROOT / "src/ort/abi_structs.h").read_text(encoding="utf-8"), struct)
            if name not in ("version", "ort_version_supported", "flags")] == [name for name, _ in facts()[struct]]


def test_document_is_current():
    made = subprocess.run([sys.executable, ROOT / "tools/gen_onnxruntime_abi.py"], capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs/onnxruntime-abi.md").read_text(encoding="utf-8"), "run .venv/bin/python tools/lint/generated.py --write"


def split(text, separator):
    """|text| at each |separator| outside brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "({") - (char in ")}")
        if char == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def members(text, struct):
    """(name, result, parameters) of the members of |struct| as declared in |text|, which is preprocessed C; (name, None, None) for no function."""
    body = re.search(r"\bstruct " + struct + r"\s*\{(.*?)\n\s*\}", text, re.S)
    if not body:
        return []
    found = []
    for member in split(re.sub(r"//[^\n]*|^\s*#[^\n]*", "", body.group(1), flags=re.M), ";"):
        function = re.match(r"(.*?)\(\s*\*\s*(\w+)\s*\)\s*\((.*)\)", member, re.S)
        if function:
            found.append((function.group(2), function.group(1), split(function.group(3), ",")))
        else:
            found.append((re.search(r"(\w+)(\[\w+\])?$", member).group(1), None, None))
    return found


def client_header():
    """The folder of the C header that the Go client carries, or None."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not pathlib.Path(go).exists():
        return None
    cache = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    found = sorted(pathlib.Path(cache).glob("github.com/yalue/onnxruntime_go@v1.27.0/onnxruntime_c_api.h"))
    if not found:
        work = ROOT / "build/go_header"
        work.mkdir(parents=True, exist_ok=True)
        (work / "go.mod").write_text("module header\n\ngo 1.21\n", encoding="utf-8")
        subprocess.run([go, "mod", "download", "github.com/yalue/onnxruntime_go@v1.27.0"], cwd=work, check=False, timeout=300)
        found = sorted(pathlib.Path(cache).glob("github.com/yalue/onnxruntime_go@v1.27.0/onnxruntime_c_api.h"))
    return found[0].parent if found else None


@pytest.fixture(scope="module")
def header():
    folder = client_header()
    if folder is None:
        message = "no header to compare with: neither Go nor its module onnxruntime_go v1.27.0 is at hand"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


def answer(tmp_path, name, include, flags, body):
    """What a program of |body| prints, compiled against one of the two declarations."""
    source = tmp_path / f"{name}.c"
    source.write_text(f'#include <stddef.h>\n#include <stdio.h>\n{include}\nint main(void) {{\n{body}\nreturn 0; }}\n', encoding="utf-8")
    program = tmp_path / name
    subprocess.run(["cc", "-std=c17", "-w", *flags, str(source), "-o", str(program)], check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()


def preprocessed(include, flags):
    return subprocess.run(["cc", "-std=c17", "-E", "-P", *flags, "-x", "c", "-"], input=include, capture_output=True, text=True, check=True).stdout


THEIRS, OURS = '#include "onnxruntime_c_api.h"\n', '#include "ort/abi.h"\n'


def test_offsets_and_numbers_are_those_of_a_client(header, tmp_path):
    text = preprocessed(THEIRS, [f"-I{header}"])
    lines = [f'printf("{struct}.{name} %zu\\n", offsetof(struct {struct}, {name}));'
             for struct in TABLES + STRUCTS for name, _, _ in members(text, struct)]
    assert len(lines) > 700
    enums = re.findall(r"enum \w+\s*\{(.*?)\}", text, re.S)
    names = [re.match(r"\w+", part).group(0) for enum in enums for part in split(enum, ",")]
    assert len(names) > 100
    lines += [f'printf("{name} %d\\n", (int){name});' for name in names if not name.startswith("_")]
    body = "\n".join(lines)
    theirs = answer(tmp_path, "theirs", THEIRS, [f"-I{header}"], body)
    ours = answer(tmp_path, "ours", OURS, [f"-I{ROOT / 'src'}"], body)
    assert [pair for pair in zip(theirs, ours) if pair[0] != pair[1]] == [] and len(theirs) == len(ours)


def test_signatures_are_those_of_a_client(header, tmp_path):
    """Each function of the lists and each member of the structs has the type that the client's compiler gives it."""
    theirs, ours = preprocessed(THEIRS, [f"-I{header}"]), preprocessed(OURS, [f"-I{ROOT / 'src'}"])
    checks = []
    for struct in TABLES + STRUCTS:
        known = {name for name, _, _ in members(theirs, struct)}
        checks += [f'_Static_assert(__builtin_types_compatible_p(__typeof__(((struct {struct}*)0)->{name}), {result} (*)({", ".join(parameters)})), '
                   f'"{struct}.{name}");' for name, result, parameters in members(ours, struct) if name in known and result]
    assert len(checks) > 600
    source = tmp_path / "types.c"
    source.write_text(THEIRS + "typedef enum OrtSparseIndicesFormat OrtSparseIndicesFormat;\n" + "\n".join(checks), encoding="utf-8")
    made = subprocess.run(["cc", "-std=c17", "-w", "-fsyntax-only", f"-I{header}", str(source)], capture_output=True, text=True, check=False)
    assert re.findall(r"static assertion failed: \"(.*)\"", made.stderr) == [], made.stderr
    assert made.returncode == 0, made.stderr
