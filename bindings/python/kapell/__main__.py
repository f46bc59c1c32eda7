"""``python -m kapell COMMAND ...`` and the script ``kapell``: the command that came with the package.

``kapell run``, ``place``, ``check``, ``bench``, ``doctor`` and the rest are one program written in C; it takes this process's place,
so that signals, exit status and standard streams are its own.
"""

import os
import pathlib
import sys


def find(name="kapell"):
    """The path of a program of this package: in the package itself, or in the build folder that it is imported from."""
    folder = pathlib.Path(__file__).absolute().parent
    for candidate in (folder / "bin" / name, folder.parent.parent / "bin" / name):
        if os.access(candidate, os.X_OK):
            return str(candidate)
    raise FileNotFoundError(f"the program {name} is not in {folder / 'bin'}: this package was installed without it; install it again")


def main():
    """Runs the command with this process's arguments; returns only where it is missing."""
    try:
        program = find()
    except FileNotFoundError as error:
        sys.exit(str(error))
    os.execv(program, ["kapell", *sys.argv[1:]])


if __name__ == "__main__":
    main()
