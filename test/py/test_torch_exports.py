"""PyTorch's own exports, by both exporters and at several opsets, beside ONNX Runtime and PyTorch: the full tier, in a Python of its own.

One session of each runs every set of shapes in turn. Without PyTorch there is nothing to collect: ./dev test --full makes a Python
that has it, from test/requirements-torch.txt.
"""

import contextlib
import functools
import importlib.util
import inspect
import os
import sys
import warnings

import kapell_c
import numpy as np
import onnxruntime as ort
import pytest

if importlib.util.find_spec("torch"):
    import torch

    from exports import GROUPS, catalogue
    for group in GROUPS:
        importlib.import_module(f"exports.{group}")

pytestmark = [pytest.mark.full, pytest.mark.torch]


def cases(exporter):
    if "torch" not in sys.modules:
        return []
    return [pytest.param(name, opset, id=f"{group}-{name}-{opset}") for group, name, opset in catalogue.cases(exporter)]


@contextlib.contextmanager
def silence():
    """Exporters print graphs from C++: what is written to the process's own outputs goes nowhere."""
    kept = [os.dup(1), os.dup(2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1), os.dup2(nothing, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept[0], 1), os.dup2(kept[1], 2)
        for descriptor in (*kept, nothing):
            os.close(descriptor)


@functools.lru_cache(maxsize=1)
def built(name):
    """The net and, for each set of arguments, what PyTorch gives."""
    net = catalogue.build(name)
    with torch.no_grad():
        return net, [(args, flat(net.module(*args))) for args in (net.args, *net.more)]


def flat(results):
    """Tensors in any nesting, as arrays in order."""
    if isinstance(results, (list, tuple)):
        return [array for result in results for array in flat(result)]
    return [np.asarray(results)]


def export_script(net, opset, path):
    names = [f"in{i}" for i in range(len(net.args))]
    free = {f"in{i}": dims for i, dims in (net.dynamic or {}).items()}
    torch.onnx.export(net.module, net.args, path, dynamo=False, opset_version=opset, input_names=names, dynamic_axes=free)


def export_dynamo(net, opset, path):
    shapes = None
    if net.dynamic:
        free = [{d: torch.export.Dim.DYNAMIC for d in net.dynamic.get(i, {})} or None for i in range(len(net.args))]
        last = list(inspect.signature(net.module.forward).parameters.values())[-1]
        fixed = len(inspect.signature(net.module.forward).parameters) - 1
        rest = [tuple(free[fixed:])] if last.kind == last.VAR_POSITIONAL and len(free) > fixed else free[fixed:]
        shapes = (*free[:fixed], *rest)
    torch.onnx.export(net.module, net.args, path, dynamo=True, opset_version=opset, external_data=False, verbose=False, dynamic_shapes=shapes)


def assert_near(got, want, whose):
    """Integers equal; floats within 1e-4 of the largest output."""
    assert len(got) == len(want)
    for number, (mine, theirs) in enumerate(zip(got, want)):
        assert mine.shape == theirs.shape, f"output {number} beside {whose}"
        if mine.dtype.kind != "f":
            np.testing.assert_array_equal(mine, theirs, f"output {number} beside {whose}")
        elif mine.size:
            finite = np.isfinite(theirs)
            np.testing.assert_array_equal(np.isfinite(mine), finite, f"output {number} beside {whose}")
            error = np.abs(mine - theirs)[finite].max(initial=0)
            assert error <= 1e-4 * np.abs(theirs[finite]).max(initial=0), f"output {number} beside {whose}"


def check(export, name, opset, folder):
    net, expected = built(name)
    path = folder / "model.onnx"
    with silence():
        export(net, opset, str(path))
    session = kapell_c.Session(path, threads=2)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    reference = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in reference.get_inputs()]
    for args, want in expected:
        values = [np.asarray(a) for a in args]
        if len(names) != len(values):  # inputs that only give shapes are left out of the graph
            values = [values[int(n.removeprefix("in"))] for n in names]
        feeds = dict(zip(names, values))
        results = {"PyTorch": want, "ONNX Runtime": reference.run(None, feeds)}
        got = session.run(feeds)
        for whose in catalogue.NETS[name].beside:
            assert_near(got, results[whose], whose)
    path.unlink()


@pytest.mark.parametrize("name, opset", cases("script"))
def test_script(name, opset, tmp_path):
    check(export_script, name, opset, tmp_path)


@pytest.mark.parametrize("name, opset", cases("dynamo"))
def test_dynamo(name, opset, tmp_path):
    check(export_dynamo, name, opset, tmp_path)
