"""Filters the file names on standard input to those that the compile_commands.json named on the command line builds."""

import json
import os
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        built = {os.path.relpath(os.path.join(entry["directory"], entry["file"])) for entry in json.load(file)}
    for name in sys.stdin.read().split():
        if name in built:
            print(name)


if __name__ == "__main__":
    main()
