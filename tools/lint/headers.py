"""Every header of src/ and include/ compiles alone, so that no file depends on the order of its includes."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ["-std=c17", "-D_GNU_SOURCE=1", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-Isrc", "-Iinclude", "-Itest",
         '-DKAPELL_BINARY_DIR="build"', '-DKAPELL_SOURCE_DIR="."']


def isa_flags(path):
    """What the build adds for kernel headers: the template's scalar pass, or the instruction set that the name says."""
    if "avx512" in path.stem:
        return ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c", "-DKP_ISA=avx512", "-DKP_ISA_AVX512=1"]
    if "avx2" in path.stem:
        return ["-mavx2", "-mfma", "-mf16c", "-DKP_ISA=avx2", "-DKP_ISA_AVX2=1"]
    if {"kernel", "simd"} & set(path.parts):
        return ["-DKP_ISA=scalar", "-DKP_ISA_SCALAR=1"]
    return []


def check(path):
    name = path.relative_to(ROOT).as_posix()
    if "neon" in path.stem or re.search(r"simd/.*_(scalar|avx2|avx512|emulated)\.h$", name):
        return ""  # another machine's, or one of the bodies that f32.h chooses from
    if name.startswith("test/clients/"):
        return ""  # on ONNX Runtime's header, which is not the project's
    source = f'#include "{name.split("/", 1)[1]}"\nextern int kp_header_is_alone;\n'
    command = ["clang", *FLAGS, *isa_flags(path), "-x", "c", "-"]
    result = subprocess.run(command, cwd=ROOT, input=source, text=True, capture_output=True, check=False)
    return f"{name}:1: does not compile alone\n{result.stderr}" if result.returncode else ""


def main():
    headers = sorted(path for folder in ("src", "include", "test") for path in (ROOT / folder).rglob("*.h"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = [text for text in pool.map(check, headers) if text]
    print("\n".join(complaints) or f"{len(headers)} headers")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
