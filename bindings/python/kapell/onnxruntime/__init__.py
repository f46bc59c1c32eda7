"""Kapell in ONNX Runtime's place: programs that `import onnxruntime` run unchanged.

    python -m kapell.onnxruntime SCRIPT          one program
    kapell.onnxruntime.install()                 from here on in this process
    python -m kapell.onnxruntime --install       a whole environment, with metadata; --uninstall takes it out again

The module itself has onnxruntime's names: `import kapell.onnxruntime as onnxruntime` is the change of one line.

What ONNX Runtime's build for CPUs accepts is accepted here and what it refuses is refused; a provider that is listed and not in use is a
warning with the reason and the fix, `get_providers` tells the truth, and KAPELL_STRICT=1 makes it an error (docs/python.md).
"""

import importlib
import os
import sys

__version__ = "1.32.0"  # of ONNX Runtime, whose API this is; kapell.__version__ is Kapell's
__author__ = "Kapell"
STANDIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "standin", "onnxruntime")
__path__.append(STANDIN)  # kapell.onnxruntime.capi and the like

from . import _names  # noqa: E402  # needs the names above

_names.fill(globals(), with_path=False)


def install():
    """From here on `import onnxruntime` in this process is Kapell, with metadata: `importlib.metadata.version("onnxruntime")`.

    Call it before anything imports onnxruntime: RuntimeError when the real one is loaded already. Processes that this one starts are
    not reached; `python -m kapell.onnxruntime SCRIPT` reaches them.

    >>> import kapell.onnxruntime
    >>> kapell.onnxruntime.install()
    >>> import onnxruntime
    >>> onnxruntime.__version__
    '1.32.0'
    >>> kapell.onnxruntime.uninstall()
    """
    loaded = sys.modules.get("onnxruntime")
    if loaded is not None and not is_standin(loaded):
        raise RuntimeError(f"onnxruntime is loaded already ({getattr(loaded, '__file__', 'of unknown origin')}): call "
                           "kapell.onnxruntime.install() before anything imports it, or run the program by 'python -m kapell.onnxruntime'")
    from ._metadata import folder
    for path in (folder(), os.path.dirname(STANDIN)):
        if path not in sys.path:
            sys.path.insert(0, path)
    importlib.invalidate_caches()


def uninstall():
    """Undoes `install`: `import onnxruntime` is again what is installed. Modules that imported it before keep what they have."""
    from ._metadata import folder
    for path in (folder(), os.path.dirname(STANDIN)):
        if path in sys.path:
            sys.path.remove(path)
    if is_standin(sys.modules.get("onnxruntime")):
        for name in [n for n in sys.modules if n == "onnxruntime" or n.startswith("onnxruntime.")]:
            del sys.modules[name]
    importlib.invalidate_caches()


def is_standin(module):
    """Whether a module called onnxruntime is this one."""
    return STANDIN in getattr(module, "__path__", ())
