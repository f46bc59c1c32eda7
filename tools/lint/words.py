"""What must not stand in a committed file: unfinished work, paths of somebody's machine, addresses that are not known to be
documentation, and source files that grew past what a reader can hold."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = {".c", ".h", ".inl", ".py", ".sh", ".cmake", ".txt", ".json", ".cc", ".yml"}
LINE_LIMIT = 900  # of a hand-written C file
ALLOWED_HOSTS = {"github.com", "git-lfs.github.com", "onnx.ai", "www.w3.org", "json.schemastore.org", "ui.perfetto.dev", "semver.org",
                 "keepachangelog.com", "opensource.org"}

# Written so that this file does not contain what it looks for.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|place" r"holder|not yet imple" r"mented|for n" r"ow|st" r"ub(bed)?)\b")
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.$])/(work|root|home)/")
ADDRESS = re.compile(r"https?://([^/\s\"'<>)`\]]+)")
GENERATED = re.compile(r"generated|do not edit", re.IGNORECASE)


def check_lines(name, text, is_code):
    for number, line in enumerate(text.splitlines(), 1):
        if is_code and UNFINISHED.search(line):
            yield f"{name}:{number}: unfinished: {line.strip()[:80]}"
        if MACHINE_PATH.search(line):
            yield f"{name}:{number}: a path of one machine: {line.strip()[:80]}"
        for match in ADDRESS.finditer(line):
            if match.group(1) not in ALLOWED_HOSTS:
                yield f"{name}:{number}: the address {match.group(1)} is not in ALLOWED_HOSTS of tools/lint/words.py"


def check_file(name):
    path = ROOT / name
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    is_code = path.suffix in CODE or path.name in {"dev", "run", "CMakeLists.txt"}
    yield from check_lines(name, text, is_code)
    length = text.count("\n")
    if path.suffix in {".c", ".h"} and length > LINE_LIMIT and not GENERATED.search(text[:2000]):
        yield f"{name}:{length}: {length} lines; split it where a reader would (the limit is {LINE_LIMIT})"


def main():
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True,
                           capture_output=True, check=True).stdout.splitlines()
    complaints = [text for name in names for text in check_file(name)]
    print("\n".join(complaints) or f"{len(names)} files")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
