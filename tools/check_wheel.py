"""check_wheel.py FOLDER --limit BYTES --glibc X.Y: what is promised of the one wheel and the one source distribution in FOLDER.

Prints a line for each; exits with 1 where something is not as promised."""

import argparse
import email
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

PROGRAMS = {"kapell/bin/kapell", "kapell/bin/kapell-probe"}
LIBRARIES = {"kapell/lib/libkapell.so.0", "kapell/lib/libonnxruntime.so.1", "kapell/_core.abi3.so"}
OUTSIDE = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2", "libz.so.1"}  # what a binary may need


def check_binary(name, data, names):
    """A stripped file that finds what it needs in the wheel or in every Linux."""
    elf = ELFFile(io.BytesIO(data))
    if elf.get_section_by_name(".symtab") or elf.get_section_by_name(".debug_info"):
        yield f"{name} is not stripped"
    dynamic = next(section for section in elf.iter_sections() if isinstance(section, DynamicSection))
    paths = []
    for tag in dynamic.iter_tags():
        if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
            paths += (tag.rpath if tag.entry.d_tag == "DT_RPATH" else tag.runpath).split(":")
    for path in paths:
        if not path.startswith("$ORIGIN"):
            yield f"{name} has the run path {path}"
    folder = pathlib.PurePosixPath(name).parent
    beside = {os.path.normpath(str(folder / path.replace("$ORIGIN/", ""))) for path in paths}
    for tag in dynamic.iter_tags():
        if tag.entry.d_tag == "DT_NEEDED" and tag.needed not in OUTSIDE and not any(f"{path}/{tag.needed}" in names for path in beside):
            yield f"{name} needs {tag.needed}, which is not in the wheel"


def check_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {info.filename for info in archive.infolist()}
        for name in sorted((PROGRAMS | LIBRARIES) - names):
            yield f"lacks {name}"
        for path in pathlib.Path("bindings/python/kapell").rglob("*"):
            name = str(path.relative_to("bindings/python"))
            if path.is_file() and "__pycache__" not in name and name not in names:
                yield f"lacks {name}"
        for info in archive.infolist():
            name = info.filename
            if name in PROGRAMS | LIBRARIES:
                yield from check_binary(name, archive.read(name), names)
                if name in PROGRAMS and not info.external_attr >> 16 & 0o111:
                    yield f"{name} is not executable"
            elif not re.fullmatch(r"kapell/[\w/]+\.(py|pyi)|kapell/py\.typed|kapell-[\d.]+\.dist-info/[\w./]+", name):
                yield f"holds {name}, which nobody asked for"
        metadata = email.message_from_bytes(archive.read(next(name for name in names if re.fullmatch(r"kapell-[^/]+\.dist-info/METADATA", name))))
    version = re.search(r'KAPELL_VERSION_STRING "(.*)"', pathlib.Path("include/kapell/kapell.h").read_text()).group(1)
    if metadata["Version"] != version:
        yield f"its version is {metadata['Version']}, the header's is {version}"
    required = [text for text in metadata.get_all("Requires-Dist") if "extra ==" not in text]
    if [re.match(r"\w+", text).group() for text in required] != ["numpy"]:
        yield f"requires {required}"
    if not metadata.get_payload().strip():
        yield "has no description"


def check_tags(wheel, glibc):
    """auditwheel's word on what the symbols need, beside what the name promises."""
    tags = wheel.stem.split("-")[2:]
    platform = f"manylinux_{glibc.replace('.', '_')}_x86_64"
    if tags != ["cp311", "abi3", platform]:
        yield f"its tags are {tags}"
    shown = subprocess.run([sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)], capture_output=True, text=True, check=False)
    report = json.loads(shown.stdout) if shown.returncode == 0 else {}
    consistent = report.get("overall_tag", shown.stderr)
    print(f"  auditwheel: {consistent}")
    allowed = re.fullmatch(r"manylinux_2_(\d+)_x86_64", consistent)
    if not allowed or int(allowed.group(1)) > int(glibc.split(".")[1]):
        yield f"auditwheel says {consistent}"


def check_sdist(sdist):
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[-1] for name in archive.getnames()]
    for name in ("CMakeLists.txt", "pyproject.toml", "LICENSE", "PKG-INFO", "include/kapell/kapell.h"):
        if name not in names:
            yield f"lacks {name}"
    for name in names:
        if re.match(r"(test|fuzz|bench|examples|build|\.git)\b", name) or name.endswith(("_test.c", "_fuzz.c", ".pyc")):
            yield f"holds {name}"


def one(folder, pattern):
    found = sorted(pathlib.Path(folder).glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder} has {len(found)} files {pattern}, not one")
    return found[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--glibc", required=True)
    arguments = parser.parse_args()
    wheel, sdist = one(arguments.folder, "*.whl"), one(arguments.folder, "*.tar.gz")
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size} of {arguments.limit} bytes")
    complaints = [f"{wheel.name} {text}" for text in [*check_contents(wheel), *check_tags(wheel, arguments.glibc)]]
    if size > arguments.limit:
        complaints.append(f"{wheel.name} is {size} bytes, over {arguments.limit}")
    print(f"{sdist.name}: {sdist.stat().st_size} bytes")
    complaints += [f"{sdist.name} {text}" for text in check_sdist(sdist)]
    print("\n".join(complaints) or "as promised")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
