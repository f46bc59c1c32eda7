"""Subpackages of ONNX Runtime that are Python alone (quantization, transformers, tools, datasets): those of an installed one, on the stand-in.

They are looked for on Python's path: in packages that the stand-in moved aside, in the folder that the error below names, and in an ONNX
Runtime that the stand-in only hides.
"""

import pathlib
import sys
import sysconfig

from . import STANDIN, __version__
from ._environment import kept_package

TOOLS = "kapell_onnxruntime.tools"
HOW = ("{name} is Python code of ONNX Runtime's package, which Kapell does not carry, and no ONNX Runtime that has it is on Python's path. "
       "To get it, for use on Kapell: {python} -m pip install --no-deps --target {folder} onnxruntime=={version}")


def fill(namespace):
    """Turns the module that calls this into the installed ONNX Runtime's of the same name."""
    name = namespace["__name__"]
    if name.startswith("kapell."):
        raise ImportError(f"{name} speaks of the package 'onnxruntime': call kapell.onnxruntime.install(), then import {name[len('kapell.'):]}", name=name)
    folder = _find(name.rpartition(".")[2])
    if folder is None:
        site = pathlib.Path(sysconfig.get_path("purelib"), TOOLS)
        raise ModuleNotFoundError(HOW.format(name=name, python=sys.executable, folder=site, version=__version__), name=name)
    source = folder / "__init__.py"
    namespace.update(__path__=[str(folder)], __file__=str(source))
    namespace["__spec__"].submodule_search_locations = [str(folder)]
    namespace["__spec__"].origin = str(source)
    exec(compile(source.read_bytes(), str(source), "exec"), namespace)  # pylint: disable=exec-used  # as importing it would


def _find(part):
    """The folder of subpackage |part| of the first ONNX Runtime on the path, those that the stand-in moved aside included."""
    for entry in sys.path:
        site = pathlib.Path(entry or ".")
        for package in (kept_package(site), site / TOOLS / "onnxruntime", site / "onnxruntime"):
            if package and (package / part / "__init__.py").is_file() and package.resolve() != pathlib.Path(STANDIN).resolve():
                return package / part
    return None
