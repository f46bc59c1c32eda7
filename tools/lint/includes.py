"""The include rule: includes go down the list of folders, never up, and providers never reach into one another.

A file of folder F under src/ may include "kapell/...", headers of its own folder and of the folders before F in ORDER. The
tools and the stand-in see only what ALONE names. A provider's own folder is closed to everybody else; test sources may also
include test support and the mock provider.
"""

import pathlib
import re
import sys

ORDER = ["base", "onnx", "graph", "ort", "provider", "find", "plan", "exec", "api"]
ALONE = {"cli": {"cli", "ort"}, "dropin": {"dropin", "ort", "base"}, "probe": {"probe", "base", "ort"}}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
ROOT = pathlib.Path(__file__).resolve().parents[2]


def provider_of(path):
    """The provider whose closed folder the include or file path |path| lies in, or None."""
    parts = path.split("/")
    return parts[1] if parts[0] == "provider" and len(parts) > 2 else None


def refusal(source, target):
    """Why |source| (a path under src/) must not include |target|, or None if it may."""
    folder, test = source.split("/")[0], re.search(r"_(test|fuzz|bench)\.[ch]$", source)
    top = target.split("/")[0]
    if "/" not in target:
        return "write the path from src/, as in \"base/status.h\""
    if top == "kapell":
        return None
    if test and (top == "support" or provider_of(target) == "mock"):
        return None
    if folder in ALONE:
        return None if top in ALONE[folder] else f"{folder}/ sees only kapell/ and {', '.join(sorted(ALONE[folder]))}/"
    if folder not in ORDER or top not in ORDER:
        return f"unknown folder: {top if folder in ORDER else folder}/ is not in the list of tools/lint/includes.py"
    if ORDER.index(top) > ORDER.index(folder):
        return f"{folder}/ comes before {top}/ and must not know it"
    provider = provider_of(target)
    if provider and provider != provider_of(source):
        return f"the folder of the provider {provider} is its own"
    return None


def main():
    bad = 0
    source_root = ROOT / "src"
    for path in sorted(source_root.rglob("*")):
        if path.suffix not in {".c", ".h", ".inl"}:
            continue
        name = path.relative_to(source_root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            reason = refusal(name, match.group(1)) if match else None
            if reason:
                print(f"src/{name}:{number}: includes \"{match.group(1)}\": {reason}")
                bad += 1
    for path in sorted((ROOT / "include").rglob("*.h")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if match and not match.group(1).startswith("kapell/"):
                print(f"{path.relative_to(ROOT)}:{number}: a public header includes \"{match.group(1)}\"")
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
