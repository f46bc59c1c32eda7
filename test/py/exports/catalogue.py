"""Networks to export: a name gives a module, what to call it with, and what may vary.

Weights are random. Networks with batch normalization see a few random pictures in training first, so that their statistics are
those of what flows through, and errors mean something.
"""

import dataclasses
from typing import Any, Callable

import torch

NETS = {}


@dataclasses.dataclass
class Net:
    """A module in evaluation mode, and its arguments."""

    module: Any
    args: tuple
    more: tuple = ()  # further argument tuples of other shapes, for what |dynamic| lets vary
    dynamic: Any = None  # {argument number: {dim: name}}


@dataclasses.dataclass
class Entry:
    """How a net is made and exported. An exporter without opsets cannot; |why| says why."""

    build: Callable
    group: str
    opsets: dict  # by exporter
    why: str = ""
    beside: tuple = ("PyTorch", "ONNX Runtime")  # whose numbers are the reference


def net(script=(17,), dynamo=(20,), why="", name=None, **more):
    """Enters a builder under its name, with the opsets of the older exporter (TorchScript) and of the newer one."""
    def enter(function):
        NETS[name or function.__name__] = Entry(function, function.__module__.rpartition(".")[2], {"script": script, "dynamo": dynamo}, why, **more)
        return function
    return enter


def cases(exporter):
    """(group, name, opset), those of one net together."""
    return [(entry.group, name, opset) for name, entry in NETS.items() for opset in entry.opsets[exporter]]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(high, *shape, seed=0):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


def settle(module, *args):
    """Lets the statistics of batch normalization settle on random arguments."""
    torch.manual_seed(0)
    module.train()
    for layer in module.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    with torch.no_grad():
        for _ in range(2):
            module(*args)
    return module.eval()


def build(name):
    torch.manual_seed(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operator is none of the older exporter's
    result = NETS[name].build()
    result.module.eval()
    return result
