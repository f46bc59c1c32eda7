"""The metadata of the distribution `onnxruntime` that the stand-in is: as text, and for one process as a folder for Python's path.

The folder is made when it is needed, since a wheel cannot carry the metadata of another distribution.
"""

import atexit
import os
import pathlib
import shutil
import tempfile

from . import __version__

_made = {}  # process -> folder


def text(name="onnxruntime"):
    """METADATA of a distribution called |name|."""
    return f"""\
Metadata-Version: 2.1
Name: {name}
Version: {__version__}
Summary: Kapell in ONNX Runtime's place: the same Python API, another engine
License: MIT License
Requires-Python: >=3.11
Requires-Dist: numpy>=1.21.6
Requires-Dist: kapell

This is not ONNX Runtime but Kapell's stand-in for it. `python -m kapell.onnxruntime --uninstall` takes it out of the environment.
"""


def folder():
    """A folder with the metadata, which goes when this process ends."""
    process = os.getpid()
    if process not in _made:
        path = pathlib.Path(tempfile.mkdtemp(prefix="kapell-onnxruntime-"))
        info = path / f"onnxruntime-{__version__}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(text(), encoding="utf-8")
        _made[process] = str(path)
        atexit.register(_remove, process)
    return _made[process]


def _remove(process):
    if process == os.getpid():  # a fork's end is not the end of its parent's
        shutil.rmtree(_made.pop(process), ignore_errors=True)
