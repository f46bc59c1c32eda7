"""python -m kapell.onnxruntime: runs a program whose `import onnxruntime` is Kapell, or puts the stand-in into a whole environment."""

import os
import runpy
import sys
import types

from . import STANDIN, _environment, _metadata

USAGE = """\
python -m kapell.onnxruntime runs programs written for onnxruntime on Kapell.

  SCRIPT [ARGUMENTS]        run a script; its own Python processes find Kapell too
  -m MODULE [ARGUMENTS]     run a module
  -c CODE [ARGUMENTS]       run code

  --install [--replace]     put the stand-in into this environment, with metadata for pip; refused where an onnxruntime is
                            installed, unless --replace: that one is then kept aside
  --uninstall               take it out again, and put back what was kept
  --status                  what 'import onnxruntime' is in this environment
  --target DIR              with these: the folder of packages (site-packages) of another environment

KAPELL_STRICT=1 makes providers that a program lists required; KAPELL_PROVIDERS, KAPELL_REPORT: docs/environment.md.
"""


def main(arguments):
    """Exit code: 0 done, 1 refused, 2 the call was wrong; of a program: its own."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0].startswith("--"):
        return _manage(arguments)
    return _run(arguments)


def _manage(arguments):
    actions = {"--install": _environment.install, "--uninstall": _environment.uninstall, "--status": _environment.status}
    action, rest, options = arguments[0], list(arguments[1:]), {}
    while rest:
        word = rest.pop(0)
        if word == "--replace" and action == "--install":
            options["replace"] = True
        elif word == "--target" and rest:
            options["target"] = rest.pop(0)
        else:
            return _wrong(word)
    if action not in actions:
        return _wrong(action)
    try:
        print("\n".join(actions[action](**options)))
    except (_environment.Refused, OSError) as error:
        print(f"kapell.onnxruntime: {error}", file=sys.stderr)
        return 1
    return 0


def _wrong(word):
    print(f"kapell.onnxruntime: '{word}' is not understood here; see --help", file=sys.stderr)
    return 2


def _run(arguments):
    """As `python ARGUMENTS` would, with the stand-in in front, here and in Python processes that this one starts."""
    kind, rest = (arguments[0], arguments[1:]) if arguments[0] in ("-m", "-c") else ("", arguments)
    if not rest:
        return _wrong(kind)
    folders = [os.path.dirname(STANDIN), _metadata.folder()]
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path[0] = "" if kind == "-c" else os.getcwd() if kind == "-m" else os.path.dirname(os.path.realpath(rest[0]))
    sys.path[1:1] = folders
    sys.argv = ["-c", *rest[1:]] if kind == "-c" else rest
    if kind == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "" and not os.path.isfile(rest[0]):
        runpy.run_path(rest[0], run_name="__main__")  # a folder with a __main__.py, or what it says of a file that is not there
    else:
        _run_code(rest[0], is_file=kind == "")
    return 0


def _run_code(text, is_file):
    """Runs a file or text as the program: a module '__main__' of its own, which stays until the process ends, as Python's would."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=__builtins__)
    if is_file:
        module.__dict__.update(__file__=text, __cached__=None)
        with open(text, "rb") as file:
            code = compile(file.read(), text, "exec")
    else:
        code = compile(text, "<string>", "exec")
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # pylint: disable=exec-used  # that is what was asked for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
