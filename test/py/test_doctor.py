"""Finding provider libraries, and the doctor's report: made-up libraries with every fault that people meet, in made-up environments."""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.asan_programs

WEBGPU = "libonnxruntime_providers_webgpu.so"
CUDA = "libonnxruntime_providers_cuda.so"
PLUGIN = "int CreateEpFactories(void) { return 0; }\n"
FILE_OPTION = "library"  # the option that names a provider's file


def build(path, source, *options):
    """A shared object from C source."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = path.with_suffix(".c")
    code.write_text(source, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", str(path), str(code), *map(str, options)], check=True)
    code.unlink()
    return path


class Doctor:
    """Runs `kapell doctor` in an environment of its own."""

    def __init__(self, kapell, tmp_path):
        self.kapell = kapell
        self.folder = tmp_path
        self.venv = tmp_path / "venv"
        self.packages = self.venv / "lib" / "python3.11" / "site-packages"
        self.packages.mkdir(parents=True)
        (self.venv / "bin").mkdir()
        (self.venv / "bin" / "python3").symlink_to(sys.executable)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "VIRTUAL_ENV": str(self.venv)}

    def __call__(self, *arguments, **environment):
        self.result = self.kapell("doctor", "--json", *arguments, env={**self.environment, **environment})
        assert "Sanitizer" not in self.result.stderr and "runtime error" not in self.result.stderr, self.result.stderr
        return json.loads(self.result.stdout)

    def provider(self, name, *arguments, **environment):
        report = self(*arguments, **environment)
        return next(p for p in report["providers"] if p["short_name"] == name)

    def install(self, package, version, *files):
        """Pretends that pip installed it."""
        (self.packages / f"{package.replace('-', '_')}-{version}.dist-info").mkdir(parents=True)
        for file in files:
            (self.packages / file).parent.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def doctor(kapell, tmp_path):
    return Doctor(kapell, tmp_path)


def dependency(provider, name):
    return next(d for d in provider["dependencies"] if d["name"] == name)


# --- finding -----------------------------------------------------------------------------------------------------------------
def test_nothing_is_installed(doctor):
    report = doctor()
    assert doctor.result.returncode == 0 and report["healthy"]
    states = {p["short_name"]: p["state"] for p in report["providers"]}
    assert states["CPU"] == "built-in" and states["OpenVINO"] == "missing" and states["CoreML"] == "not-here"
    cpu, openvino, coreml = (next(p for p in report["providers"] if p["short_name"] == n) for n in ("CPU", "OpenVINO", "CoreML"))
    assert cpu["usable"] and cpu["devices"][0]["name"] and cpu["devices"][0]["memory_bytes"] > 2**28
    assert openvino["fix"] == f"{doctor.venv}/bin/python3 -m pip install onnxruntime-ep-openvino"
    assert "macOS" in coreml["reason"]


def test_a_pip_package(doctor):
    doctor.install("onnxruntime-ep-webgpu", "0.4.0")
    build(doctor.packages / "onnxruntime_ep_webgpu" / WEBGPU, PLUGIN)
    found = doctor.provider("WebGPU")
    assert found["state"] == "found" and found["loads"] and found["version"] == "0.4.0"
    assert "onnxruntime-ep-webgpu" in found["how"] and ("no device that it could use" in found["reason"]) != found["usable"]
    assert doctor.result.returncode == 0


def test_named_paths_come_first_and_relative_ones_are_refused(doctor, tmp_path):
    doctor.install("onnxruntime-ep-webgpu", "0.4.0")
    build(doctor.packages / "onnxruntime_ep_webgpu" / WEBGPU, PLUGIN)
    mine = build(tmp_path / "mine" / WEBGPU, PLUGIN)
    assert doctor.provider("WebGPU", KAPELL_PROVIDER_PATH=str(mine))["file"] == str(mine)
    assert doctor.provider("WebGPU", KAPELL_PROVIDER_PATH=str(mine.parent))["file"] == str(mine)
    other = build(tmp_path / "other" / WEBGPU, PLUGIN)
    assert doctor.provider("WebGPU", "--path", other, KAPELL_PROVIDER_PATH=str(mine))["file"] == str(other)
    report = doctor(KAPELL_PROVIDER_PATH=f"mine::/no/such/folder:{mine}")
    assert [r["path"] for r in report["places"]["refused"]] == ["mine", "/no/such/folder"]
    assert "absolute" in report["places"]["refused"][0]["how"]


def test_paths_in_the_configuration_file(doctor, tmp_path, root):
    mine, other = build(tmp_path / "mine" / WEBGPU, PLUGIN), build(tmp_path / "other" / WEBGPU, PLUGIN)
    for keys in ({"provider_path": str(mine.parent)}, {"provider_path": str(mine)}, {"provider_options": {f"WebGPU.{FILE_OPTION}": str(mine)}}):
        (tmp_path / "c.json").write_text(json.dumps(keys), encoding="utf-8")
        variables = {"KAPELL_CONFIG": str(tmp_path / "c.json")}
        run = doctor.kapell("place", root / "examples/digits/digits.onnx", "--providers", "WebGPU?,CPU", env={**doctor.environment, **variables})
        assert run.returncode == 0 and str(mine) in run.stderr, run.stderr
        if "provider_path" in keys:
            assert doctor.provider("WebGPU", **variables)["file"] == str(mine)
            assert doctor.provider("WebGPU", "--path", other, **variables)["file"] == str(other)


def test_never_the_working_folder(doctor, tmp_path, build_dir):
    build(tmp_path / "here" / WEBGPU, PLUGIN)
    for variables in ({}, {"KAPELL_PROVIDER_PATH": "."}, {"KAPELL_PROVIDER_PATH": ""}, {"LD_LIBRARY_PATH": ""}):
        run = subprocess.run([build_dir / "bin" / "kapell", "doctor", "--json"], cwd=tmp_path / "here", check=True, capture_output=True,
                             text=True, env={**doctor.environment, **variables})
        webgpu = next(p for p in json.loads(run.stdout)["providers"] if p["short_name"] == "WebGPU")
        assert webgpu["state"] == "missing", variables


def test_a_system_in_a_folder(doctor, tmp_path):
    root = tmp_path / "image"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('PRETTY_NAME="Fedora Linux 42"\nID=fedora\n', encoding="utf-8")
    build(root / "usr/lib64" / WEBGPU, PLUGIN, "-nostdlib")
    report = doctor("--root", root)
    webgpu = next(p for p in report["providers"] if p["short_name"] == "WebGPU")
    assert report["system"] == "Fedora Linux 42"
    assert webgpu["file"] == f"{root}/usr/lib64/{WEBGPU}" and not webgpu["loads"]
    assert "dnf install -y vulkan-loader" in dependency(webgpu, "libvulkan.so.1")["fix"]
    assert "dnf install" in next(p for p in report["providers"] if p["short_name"] == "OpenVINO")["fix"]


# --- libraries at fault --------------------------------------------------------------------------------------------------------
def examine(doctor, path, *arguments):
    return doctor("--library", path, *arguments)["providers"][0]


def test_a_missing_dependency_is_named_with_who_wants_it_and_how_to_get_it(doctor, tmp_path):
    gone = build(tmp_path / "gone" / "libcudnn.so.9", "int cudnn(void) { return 9; }", "-Wl,-soname,libcudnn.so.9")
    middle = build(tmp_path / "libmiddle.so", "int cudnn(void); int middle(void) { return cudnn(); }", gone)
    top = build(tmp_path / "libtop.so", "int middle(void); int CreateEpFactories(void) { return middle(); }", middle,
                "-Wl,-rpath,$ORIGIN")
    shutil.rmtree(tmp_path / "gone")
    found = examine(doctor, top)
    missing = dependency(found, "libcudnn.so.9")
    assert found["state"] == "broken" and doctor.result.returncode == 1
    assert missing["wanted_by"] == "libmiddle.so" and missing["path"] is None and missing["problem"] == "not found"
    assert missing["fix"] == f"{doctor.venv}/bin/python3 -m pip install 'nvidia-cudnn-cu13==9.*'" == found["fix"]
    assert dependency(found, "libmiddle.so")["how"] == "RUNPATH"


def test_another_version_of_a_dependency_is_pointed_out(doctor, tmp_path):
    thirteen = build(tmp_path / "gone" / "libcublas.so.13", "int blas(void) { return 13; }", "-Wl,-soname,libcublas.so.13")
    top = build(tmp_path / "libtop.so", "int blas(void); int CreateEpFactories(void) { return blas(); }", thirteen)
    shutil.rmtree(tmp_path / "gone")
    twelve = build(doctor.packages / "nvidia" / "cublas" / "lib" / "libcublas.so.12", "int blas(void) { return 12; }", "-Wl,-soname,libcublas.so.12")
    missing = dependency(examine(doctor, top), "libcublas.so.13")
    assert str(twelve) in missing["problem"] and "another version" in missing["problem"]
    assert "'nvidia-cublas==13.*'" in missing["fix"]


def test_what_pip_has_is_found_and_loaded_first(doctor):
    doctor.install("nvidia-cublas", "13.1.2")
    doctor.install("onnxruntime-gpu", "1.31.1")
    blas = build(doctor.packages / "nvidia" / "cu13" / "lib" / "libcublas.so.13", "int blas(void) { return 13; }", "-Wl,-soname,libcublas.so.13")
    build(doctor.packages / "onnxruntime" / "capi" / CUDA, "int blas(void); int CreateEpFactories(void) { return blas(); }", blas)
    found = doctor.provider("CUDA")
    blas_found = dependency(found, "libcublas.so.13")
    assert blas_found["path"] == str(blas) and blas_found["how"] == "pip" and blas_found["version"] == "13.1.2"
    assert found["state"] == "found" and found["loads"], found["reason"]


def test_a_version_of_symbols_that_is_not_there(doctor, tmp_path):
    for version in ("1.2", "1.10"):
        script = tmp_path / "versions.map"
        script.write_text("DEEP_1.2 { global: old; };\n" + ("DEEP_1.10 { global: deep; } DEEP_1.2;\n" if version == "1.10" else ""), encoding="utf-8")
        source = "int old(void) { return 2; } int deep(void) { return 10; }"
        build(tmp_path / version / "libdeep.so.1", source, "-Wl,-soname,libdeep.so.1", f"-Wl,--version-script={script}")
    top = build(tmp_path / "libtop.so", "int deep(void); int old(void); int CreateEpFactories(void) { return deep() + old(); }",
                tmp_path / "1.10" / "libdeep.so.1", "-Wl,-rpath,$ORIGIN/lib")
    (tmp_path / "lib").symlink_to(tmp_path / "1.10")
    assert examine(doctor, top)["state"] == "found"
    (tmp_path / "lib").unlink()
    (tmp_path / "lib").symlink_to(tmp_path / "1.2")
    found = examine(doctor, top)
    deep = dependency(found, "libdeep.so.1")
    assert found["state"] == "broken" and deep["wants"] == "DEEP_1.10" and deep["has"] == "DEEP_1.2"
    assert "libtop.so wants DEEP_1.10 of it; it has up to DEEP_1.2" in deep["problem"]


def test_a_library_for_a_newer_glibc(doctor, tmp_path):
    top = build(tmp_path / "libtop.so", "#include <stdio.h>\nint CreateEpFactories(void) { return puts(\"\"); }")
    text = top.read_bytes()
    assert b"GLIBC_2.2.5\0" in text, "this system's first version of glibc is another one"
    top.write_bytes(text.replace(b"GLIBC_2.2.5\0", b"GLIBC_2.999\0"))
    found = examine(doctor, top)
    assert found["state"] == "broken" and "GLIBC_2.999" in found["reason"] and "newer system" in found["fix"]


@pytest.mark.parametrize("body, words", [
    ("*(volatile int*)0 = 1;", ["SIGSEGV", "constructors"]),
    ("__builtin_trap();", ["SIG", "constructors"]),
    ("abort();", ["SIGABRT", "last words: giving up now"]),
    ("exit(7);", ["code 7", "constructors"]),
    ("for (;;) pause();", ["1 s", "hangs"]),
    ("if (fork() == 0) for (;;) pause(); for (;;) pause();", ["hangs"]),
])
def test_a_constructor_that_fails(doctor, tmp_path, body, words):
    source = ("#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
              f"__attribute__((constructor)) static void begin(void) {{ fputs(\"hello\\ngiving up now\\n\", stderr); {body} }}\n{PLUGIN}")
    found = examine(doctor, build(tmp_path / "libtop.so", source), "--seconds", "1")
    assert found["state"] == "broken" and not found["loads"]
    for word in words:
        assert word in found["reason"], found["reason"]


def test_a_constructor_that_prints_to_standard_output(doctor, tmp_path):
    source = f"#include <stdio.h>\n__attribute__((constructor)) static void begin(void) {{ puts(\"{{}} hello\"); fflush(stdout); }}\n{PLUGIN}"
    assert examine(doctor, build(tmp_path / "libtop.so", source))["loads"]


def test_an_undefined_symbol(doctor, tmp_path):
    found = examine(doctor, build(tmp_path / "libtop.so", "int nobody_has_this(void); int CreateEpFactories(void) { return nobody_has_this(); }"))
    assert found["state"] == "broken" and "nobody_has_this" in found["reason"]


def test_onnx_runtimes_own_bridge(doctor, tmp_path):
    source = "void* Provider_GetHost(void); int GetProvider(void) { return Provider_GetHost() != 0; }"
    found = examine(doctor, build(tmp_path / "libtop.so", source))
    assert found["loads"] and "bridge" in found["reason"]


def test_files_that_are_no_libraries(doctor, tmp_path):
    top = build(tmp_path / "libtop.so", PLUGIN)
    whole = top.read_bytes()
    for name, content, word in [("text", b"hello\n", "does not begin"), ("empty", b"", "empty"), ("cut", whole[:len(whole) // 2], "cut off"),
                                ("head", whole[:40], "cut off"), ("arm", whole[:18] + b"\xf3\x00" + whole[20:], "RISC-V"),
                                ("windows", b"MZ" + whole, "Windows"), ("no_entry", None, "neither CreateEpFactories")]:
        path = tmp_path / f"lib{name}.so"
        if content is None:
            build(path, "int nothing(void) { return 0; }")
        else:
            path.write_bytes(content)
        found = examine(doctor, path)
        assert found["state"] == "broken" and word in found["reason"], found["reason"]
    assert doctor.kapell("doctor", "--library", tmp_path / "nowhere.so").returncode == 2
    assert examine(doctor, tmp_path)["state"] == "broken"


# --- drivers -----------------------------------------------------------------------------------------------------------------------
DRIVER = """
#include <stdio.h>
#include <string.h>
int cuInit(unsigned flags) { return FAIL; }
int cuDriverGetVersion(int* version) { *version = 13020; return 0; }
int cuDeviceGetCount(int* count) { *count = 2; return 0; }
int cuDeviceGetName(char* name, int size, int id) { snprintf(name, size, "NVIDIA \\"T%d\\"", id); return 0; }
int cuDeviceTotalMem_v2(size_t* bytes, int id) { *bytes = (size_t)8 << (30 + id); return 0; }
int cuDeviceGetPCIBusId(char* place, int size, int id) { snprintf(place, size, "0000:%02x:00.0", 0x41 - id); return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int id) { *value = attribute == 75 ? 9 : 0; return 0; }
"""
MANAGEMENT = """
#include <stdio.h>
#include <string.h>
int nvmlInit_v2(void) { return 0; }
int nvmlSystemGetDriverVersion(char* text, unsigned size) { snprintf(text, size, "%s", VERSION); return 0; }
int nvmlDeviceGetHandleByPciBusId_v2(const char* place, void** handle) { *handle = (void*)place; return 0; }
int nvmlDeviceGetIndex(void* handle, unsigned* index) { *index = strstr(handle, ":40:") ? 0 : 1; return 0; }
"""


def install_cuda(doctor, version="580.65.06", fail=0):
    driver = doctor.folder / "driver"
    build(driver / "libcuda.so.1", DRIVER, f"-DFAIL={fail}", "-Wl,-soname,libcuda.so.1")
    build(driver / "libnvidia-ml.so.1", MANAGEMENT, f'-DVERSION="{version}"')
    doctor.install("onnxruntime-gpu", "1.31.1")
    runtime = build(doctor.packages / "nvidia" / "cu13" / "lib" / "libcudart.so.13", "int cudart(void) { return 13; }", "-Wl,-soname,libcudart.so.13")
    build(doctor.packages / "onnxruntime" / "capi" / CUDA, "int cudart(void); int CreateEpFactories(void) { return cudart(); }", runtime,
          driver / "libcuda.so.1")
    return {"LD_LIBRARY_PATH": str(driver)}


def test_devices_of_nvidias_driver(doctor):
    variables = install_cuda(doctor)
    report = doctor(**variables)
    assert report["nvidia"]["driver"] == "580.65.06"
    first, second = report["nvidia"]["devices"]
    assert first == {"id": 0, "name": 'NVIDIA "T0"', "memory_bytes": 8 << 30, "place": "0000:41:00.0",
                     "detail": "compute capability 9.0; number 1 in nvidia-smi"}
    assert second["memory_bytes"] == 16 << 30 and "number 0 in nvidia-smi" in second["detail"]
    text = doctor.kapell("doctor", env={**doctor.environment, **variables}).stdout
    assert 'CUDA.device_id=0       NVIDIA "T0", 8.0 GiB (0000:41:00.0; compute capability 9.0; number 1 in nvidia-smi)' in text


def test_a_driver_that_is_too_old(doctor):
    variables = install_cuda(doctor, version="550.54.15")
    found = doctor.provider("CUDA", **variables)
    assert found["state"] == "broken"
    assert "CUDA 13, which needs NVIDIA's driver 580 or newer; the driver here is 550.54.15" in found["reason"]


def test_a_driver_without_devices(doctor):
    variables = install_cuda(doctor, fail=100)
    report = doctor(**variables)
    assert "cuInit: error 100: the driver sees no device" in report["nvidia"]["reason"] and not report["nvidia"]["devices"]


def test_devices_of_a_system(doctor, tmp_path):
    root = tmp_path / "image"
    for name, vendor, device, more in [("renderD128", "0x1002", "0x744c", {"mem_info_vram_total": "25753026560"}), ("renderD129", "0x8086", "0x56a0", {})]:
        folder = root / "sys/class/drm" / name / "device"
        folder.mkdir(parents=True)
        for file, text in {"vendor": vendor, "device": device, **more}.items():
            (folder / file).write_text(text + "\n", encoding="utf-8")
    (root / "usr/share/misc").mkdir(parents=True)
    (root / "usr/share/misc/pci.ids").write_text("# ids\n1002  Advanced Micro Devices\n\t744c  Navi 31 [Radeon RX 7900]\n\t\t1002 0e3b  Sub\n8086  Intel\n", encoding="utf-8")
    gpus = root / "proc/driver/nvidia/gpus/0000:01:00.0"
    gpus.mkdir(parents=True)
    (gpus / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 7\n", encoding="utf-8")
    (root / "proc/driver/nvidia/version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\nGCC version: 12\n", encoding="utf-8")
    report = doctor("--root", root)
    assert report["nvidia"]["driver"] == "550.54.15"
    names = {d["name"]: d for d in report["devices"]}
    assert names["AMD Navi 31 [Radeon RX 7900]"]["memory_bytes"] == 25753026560
    assert "NVIDIA H200" in names and "Intel GPU of PCI id 8086:56a0" in names


# --- what is asked for -----------------------------------------------------------------------------------------------------------------
def test_readiness(doctor):
    run = doctor.kapell("doctor", "--require", "cpu", "--quiet", env=doctor.environment)
    assert run.returncode == 0 and run.stdout == run.stderr == ""
    run = doctor.kapell("doctor", "--require", "CPU,CUDA", "--quiet", env=doctor.environment)
    assert run.returncode == 3 and "CUDA: NOT READY" in run.stderr and "pip install onnxruntime-gpu" in run.stderr
    run = doctor.kapell("doctor", "--require", "CUDDA", env=doctor.environment)
    assert run.returncode == 2 and "did you mean CUDA?" in run.stderr


def test_a_session_says_what_the_doctor_knows(doctor, root):
    model = root / "examples/digits/digits.onnx"
    doctor.install("onnxruntime-ep-webgpu", "0.4.0")
    build(doctor.packages / "onnxruntime_ep_webgpu" / WEBGPU, PLUGIN)
    run = doctor.kapell("place", model, "--providers", "WebGPU,CPU", env=doctor.environment)
    assert run.returncode == 3 and "does not export ReleaseEpFactory" in run.stderr and WEBGPU in run.stderr
    run = doctor.kapell("place", model, "--providers", "CUDA?,CPU", env=doctor.environment)
    assert run.returncode == 0 and "pip package onnxruntime-gpu" in run.stderr


def test_a_session_says_what_is_wrong_with_a_library(doctor, tmp_path, root):
    gone = build(tmp_path / "gone" / "libvulkan.so.1", "int vulkan(void) { return 1; }")
    build(tmp_path / "broken" / WEBGPU, "int vulkan(void); int CreateEpFactories(void) { return vulkan(); }", gone)
    shutil.rmtree(tmp_path / "gone")
    whole = build(tmp_path / "whole" / WEBGPU, PLUGIN).read_bytes()
    newer = build(tmp_path / "newer" / WEBGPU, "#include <stdio.h>\nint CreateEpFactories(void) { return puts(\"\"); }")
    newer.write_bytes(newer.read_bytes().replace(b"GLIBC_2.2.5\0", b"GLIBC_2.999\0"))
    for name, content, words in [("broken", None, ["libvulkan.so.1 (not found)"]), ("newer", None, ["GLIBC_2.999"]), ("cut", whole[:200], ["cut off"]),
                                 ("other", whole[:18] + b"\xf3\x00" + whole[20:], ["RISC-V"])]:
        if content:
            (tmp_path / name).mkdir()
            (tmp_path / name / WEBGPU).write_bytes(content)
        for providers, code in (("WebGPU,CPU", 3), ("WebGPU?,CPU", 0)):
            run = doctor.kapell("place", root / "examples/digits/digits.onnx", "--providers", providers, env={**doctor.environment, "KAPELL_PROVIDER_PATH": str(tmp_path / name)})
            assert run.returncode == code and "broken" in run.stderr, run.stderr
            for word in [*words, str(tmp_path / name / WEBGPU), "kapell doctor"]:
                assert word in run.stderr, run.stderr


def test_without_the_helper_files_alone_are_looked_at(doctor, tmp_path, build_dir):
    (tmp_path / "alone" / "bin").mkdir(parents=True)
    shutil.copy(build_dir / "bin" / "kapell", tmp_path / "alone" / "bin")
    shutil.copytree(build_dir / "lib", tmp_path / "alone" / "lib", symlinks=True)
    top = build(tmp_path / "libtop.so", PLUGIN)
    run = subprocess.run([tmp_path / "alone" / "bin" / "kapell", "doctor", "--library", top], capture_output=True, text=True, check=False,
                         env={**doctor.environment, "PATH": "/nowhere"})
    assert run.returncode == 0, run.stderr
    assert "the helper kapell-probe is neither beside this library" in run.stdout


# --- options ----------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("option, words", [
    ("CUDA.devise_id=1", ["has no option 'devise_id'", "gpu_mem_limit", "did you mean CUDA.device_id?"]),
    ("CUDA.device_id=-1", ["whole number from 0 to 255"]),
    ("CUDA.gpu_mem_limit=2GB", ["'2GB'", "whole number"]),
    ("CUDA.enable_cuda_graph=maybe", ["0 or 1"]),
    ("CUDA.arena_extend_strategy=kNextPowerOfThree", ["kNextPowerOfTwo, kSameAsRequested", "did you mean 'kNextPowerOfTwo'?"]),
    (f"CUDA.{FILE_OPTION}=lib.so", ["absolute path"]),
    ("TensorRT.trt_fp16_enabled=1", ["did you mean TensorRT.trt_fp16_enable?"]),
    ("TensorRT.trt_builder_optimization_level=9", ["from 0 to 5"]),
    ("OpenVINO.device_type=AUTO:GPU.1,CPX", ["CPU, GPU, NPU", "did you mean 'CPU'?"]),
    ("QNN.backend_type=dsp", ["cpu, gpu, htp"]),
    ("WebGPU.powerPreference=high", ["high-performance, low-power"]),
    ("CoreML.ModelFormat=MLprogramme", ["NeuralNetwork, MLProgram"]),
    ("MIGraphX.migraphx_fp16_enable=2", ["0 or 1"]),
    ("XNNPACK.threads=1", ["intra_op_num_threads"]),
])
def test_a_wrong_option_is_an_error_even_of_an_optional_provider(doctor, root, option, words):
    provider = option.split(".", maxsplit=1)[0]
    run = doctor.kapell("place", root / "examples/digits/digits.onnx", "--providers", f"{provider}?,CPU", "--option", option, env=doctor.environment)
    assert run.returncode == 3 and "BAD_PROVIDER_LIST" in run.stderr
    for word in words:
        assert word in run.stderr, run.stderr


@pytest.mark.parametrize("option", ["CUDA.device_id=1", "CUDA.gpu_mem_limit=2147483648", "TensorRT.trt_engine_cache_enable=True", "TensorRT.trt_max_workspace_size=1",
                                    "OpenVINO.device_type=auto:gpu.1,CPU", "OpenVINO.device_type=GPU", "DML.device_id=0", "ROCm.device_id=0"])
def test_a_right_option_is_taken(doctor, root, option):
    provider = option.split(".", maxsplit=1)[0]
    run = doctor.kapell("place", root / "examples/digits/digits.onnx", "--providers", f"{provider}?,CPU", "--option", option, env=doctor.environment)
    assert run.returncode == 0 and f"{provider}? is not in use" in run.stderr


def test_options_are_listed(doctor):
    text = doctor.kapell("providers", "--options", "trt").stdout
    assert "trt_max_workspace_size" in text and "trt_engine_cache_enable" in text and "int from 0 to 5; default 3" in text
    assert doctor.kapell("providers", "--options", "Azure").returncode == 2


def test_the_library_can_be_named(doctor, tmp_path, root):
    mine = build(tmp_path / "mine" / "libmine.so", PLUGIN)
    run = doctor.kapell("place", root / "examples/digits/digits.onnx", "--providers", "WebGPU?,CPU", "--option", f"WebGPU.{FILE_OPTION}={mine}", env=doctor.environment)
    assert run.returncode == 0 and str(mine) in run.stderr


# --- packages as their makers ship them ---------------------------------------------------------------------------------------------------
def test_real_packages(doctor):
    """The two small ones, which test/requirements.txt installs."""
    import importlib.metadata
    for package in ("onnxruntime-ep-webgpu", "onnxruntime-ggml"):
        distribution = importlib.metadata.distribution(package)
        for file in distribution.files:
            if ".." in file.parts:
                continue
            target = doctor.packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(distribution.locate_file(file))
    report = doctor()
    states = {p["short_name"]: p for p in report["providers"]}
    for name, version in (("WebGPU", "0.4.0"), ("GGML", "0.2.0")):
        assert states[name]["state"] == "found" and states[name]["loads"], states[name]["reason"]
        assert states[name]["version"] == version
    assert any(d["name"].startswith("libgomp-") and d["how"] == "RPATH" for d in states["GGML"]["dependencies"])


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_large_real_packages(doctor):
    """Every package of the list, as pip installs it (600 MB)."""
    packages = ["onnxruntime-ep-openvino==1.8.1", "onnxruntime-qnn==2.7.0", "onnxruntime-gpu==1.31.1", "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0",
                "nvidia-cuda-runtime==13.5.37"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", doctor.packages, *packages], check=True, timeout=1000)
    report = doctor()
    states = {p["short_name"]: p for p in report["providers"]}
    for name in ("OpenVINO", "QNN"):
        assert states[name]["state"] == "found" and states[name]["loads"], states[name]["reason"]
    assert dependency(states["OpenVINO"], "libopenvino.so.2641")["how"] == "RUNPATH"
    cuda = states["CUDA"]
    assert dependency(cuda, "libcudart.so.13")["version"] == "13.5.37"
    assert "'nvidia-cublas==13.*'" in cuda["fix"] and "'nvidia-curand==10.*'" in cuda["fix"]
    assert dependency(cuda, "libcuda.so.1")["problem"]
    assert "'tensorrt-cu13==10.*'" in dependency(states["TensorRT"], "libnvinfer.so.10")["fix"]
    longer = dependency(states["NvTensorRTRTX"], "libtensorrt_rtx.so.1")
    assert longer["path"].endswith("libtensorrt_rtx.so.1.7.1") and longer["problem"] is None
