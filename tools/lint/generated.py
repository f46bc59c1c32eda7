"""Generated files that are committed are current: tools/lint/generated.txt lists "command that prints the file | path".

`--write` writes what differs instead of complaining. A command runs in the project's root with the Python of the tests first
on the path.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    write = "--write" in sys.argv[1:]
    environment = dict(os.environ, PATH=f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    bad = 0
    for line in (ROOT / "tools/lint/generated.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        command, path = (part.strip() for part in line.rsplit("|", 1))
        made = subprocess.run(command, shell=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=False)
        target = ROOT / path
        if made.returncode:
            print(f"{path}:1: '{command}' failed with status {made.returncode}")
            bad += 1
        elif not target.exists() or target.read_bytes() != made.stdout:
            if write:
                target.write_bytes(made.stdout)
                print(f"{path}: written")
                continue
            print(f"{path}:1: is not what '{command}' prints; run .venv/bin/python tools/lint/generated.py --write")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
