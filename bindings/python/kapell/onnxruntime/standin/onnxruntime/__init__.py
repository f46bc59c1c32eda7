"""ONNX Runtime's Python package, on Kapell: what `import onnxruntime` gives where Kapell stands in for it.

`python -m kapell.onnxruntime --status` says where this comes from, `--uninstall` takes it out of an environment again.
"""

try:
    from kapell.onnxruntime import _names
except ImportError as error:
    raise ImportError(
        "the package 'onnxruntime' of this environment is Kapell's stand-in, and kapell cannot be imported "
        f"({error}). Install kapell here, or take the stand-in out: pip uninstall onnxruntime"
    ) from error

_names.fill(globals())
del _names
