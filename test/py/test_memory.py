"""Memory that is stated before a run (`kapell inspect`), against what the process then takes of the system, and as a hard cap."""

import re
import subprocess
import sys

import models
import numpy as np
import onnx
import pytest

ORDINARY = ["dlrm", "keyword_net", "lstm", "shufflenet_v2", "squeezenet"]
FULL = ["bert_base", "densenet121", "efficientnet_b0", "gpt2_cache", "mobilenet_v2", "resnet50", "unet", "whisper_encoder", "yolov8n"]
MIB = 1 << 20
# What the process has besides: the pages of the program and its library, libc, malloc's own, results as they are printed.
BESIDES = 12 * MIB


def write(folder, name):
    """The model's path, options that state its inputs' shapes, options that give its inputs."""
    build, feeds = models.REAL[name]
    path, shapes, inputs = folder / f"{name}.onnx", [], []
    onnx.save(build(), path)
    for key, value in feeds().items():
        np.save(folder / f"{key}.npy", value)
        shapes += ["--shape", f"{key}={','.join(map(str, value.shape))}"]
        inputs += ["--input", f"{key}={folder / key}.npy"]
    return path, shapes, inputs


def stated(kapell, path, shapes):
    """(bytes of the heap at the most, bytes of mapped files) as inspect prints them."""
    said = kapell("inspect", path, "--threads", "2", "--no-ops", *shapes).stdout
    run = re.search(r"memory +([\d.]+) MiB at the peak of a run", said)
    opening = re.search(r"([\d.]+) MiB at the peak of opening; mapped files ([\d.]+) MiB", said)
    assert run and opening, said
    return max(float(run[1]), float(opening[1])) * MIB, float(opening[2]) * MIB


# What a process of its own measures of a child, since a child counts the memory of the process that it was split off from.
MEASURE = """import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)"""


def peak(build_dir, *arguments):
    """The exit status of the command and the most memory that it held."""
    words = [build_dir / "bin" / "kapell", *arguments]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", MEASURE, *map(str, words)], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("name", ORDINARY + [pytest.param(n, marks=pytest.mark.full) for n in FULL])
def test_stated_memory_holds(kapell, build_dir, tmp_path, name):
    path, shapes, inputs = write(tmp_path, name)
    heap, mapped = stated(kapell, path, shapes)
    code, most = peak(build_dir, "run", path, "--threads", "2", *inputs)
    assert code == 0
    print(f"{name}: stated {heap / MIB:.1f} MiB and {mapped / MIB:.1f} mapped, measured {most / MIB:.1f}")
    assert most <= heap + mapped + BESIDES
    assert most >= 0.6 * heap  # what is stated is not far above what is needed
    # The inputs are values of the caller's and count too; inspect prints one digit behind the point. A file larger than the limit is refused.
    enough = max(int(heap * 1.02 + MIB / 5) + sum(file.stat().st_size for file in tmp_path.glob("*.npy")), path.stat().st_size + 1024)
    assert kapell("run", path, "--threads", "2", "--limit", f"memory={enough // 1024}K", *inputs).returncode == 0
    refused = kapell("run", path, "--threads", "2", "--limit", f"memory={int(heap * 0.6) // 1024}K", *inputs)
    assert refused.returncode == 3 and "memory limit" in refused.stderr, refused.stderr
