"""The backend cases that the onnx package carries, and a worker that runs them through kapell.h.

As a program: backend_cases.py FIRST STEP [SKIP...] runs every STEP-th case from FIRST on, save the names in SKIP, and prints a line
"run NAME" before each and "ok NAME" or "bad NAME TEXT" (JSON) after it: a crash is then known by the name that was begun.
"""

import glob
import json
import os
import sys
import traceback
import warnings
from dataclasses import dataclass
from typing import Callable

import numpy as np
import onnx
from onnx import numpy_helper

KINDS = ["node", "simple", "pytorch-converted", "pytorch-operator", "real"]


@dataclass
class Case:
    """|load| gives (model, [(inputs, outputs)])."""
    name: str
    rtol: float
    atol: float
    load: Callable


def as_value(item):
    """A TensorProto, SequenceProto, OptionalProto or array as numpy, list or None."""
    if isinstance(item, onnx.TensorProto):
        return numpy_helper.to_array(item)
    if isinstance(item, onnx.SequenceProto):
        return numpy_helper.to_list(item)
    if isinstance(item, onnx.OptionalProto):
        return numpy_helper.to_optional(item)
    if isinstance(item, np.generic):
        return np.asarray(item)
    return item


def read_pb(path, kind):
    proto = {"sequence_type": onnx.SequenceProto, "optional_type": onnx.OptionalProto}.get(kind.WhichOneof("value"), onnx.TensorProto)()
    with open(path, "rb") as file:
        proto.ParseFromString(file.read())
    return as_value(proto)


def load_folder(folder):
    model = onnx.load(os.path.join(folder, "model.onnx"))
    sets = []
    for data in sorted(glob.glob(os.path.join(folder, "test_data_set*"))):
        def files(what, infos, data=data):
            count = len(glob.glob(os.path.join(data, f"{what}_*.pb")))
            return [read_pb(os.path.join(data, f"{what}_{i}.pb"), infos[i].type) for i in range(count)]
        sets.append((files("input", model.graph.input), files("output", model.graph.output)))
    return model, sets


def load_light(path):
    """A light model: weights that nodes make, its input as the package's own runner draws it, its outputs from the package."""
    from onnx.backend.test.runner import Runner
    model = onnx.load(path)
    given = {i.name for i in model.graph.initializer}
    inputs = [Runner.generate_dummy_data(i, seed=0, name="", random=False) for i in model.graph.input if i.name not in given]
    stem = os.path.splitext(path)[0]
    outputs = [read_pb(f"{stem}_output_{i}.pb", o.type) for i, o in enumerate(model.graph.output)]
    return model, [(inputs, outputs)]


def all_cases():
    """Every case whose data the package carries, by name."""
    from onnx.backend.test.loader import load_model_tests
    found = []
    with warnings.catch_warnings():  # making the cases divides by zero and overflows on purpose
        warnings.simplefilter("ignore", RuntimeWarning)
        tests = [test for kind in KINDS for test in load_model_tests(kind=kind)]
    for test in tests:
        if test.model is not None:
            def load(test=test):
                return test.model, [([as_value(v) for v in i], [as_value(v) for v in o]) for i, o in test.data_sets]
        elif test.model_dir:
            def load(test=test):
                return load_folder(test.model_dir)
        elif test.url and "backend/test/data/light/" in test.url:
            path = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", os.path.basename(test.url))
            def load(path=path):
                return load_light(path)
        else:
            continue
        found.append(Case(test.name, test.rtol, test.atol, load))
    return sorted(found, key=lambda case: case.name)


def run_case(case):
    """None, or what is wrong."""
    import kapell_c
    from onnx.backend.test.runner import Runner
    model, sets = case.load()
    session = kapell_c.Session(model.SerializeToString())
    for inputs, wanted in sets:
        given = {i.name for i in model.graph.initializer} if len(inputs) < len(model.graph.input) else set()
        names = [i.name for i in model.graph.input if i.name not in given]
        got = session.run({n: v for n, v in zip(names, inputs) if v is not None or is_optional(model, n)})
        assert len(got) == len(wanted), f"{len(got)} outputs, not {len(wanted)}"
        for mine, theirs in zip(got, wanted):
            assert_similar(Runner, mine, theirs, case)


def assert_similar(runner, got, wanted, case):
    """By the package's own comparison; sequences item by item, since it takes the length of each item, and a scalar has none."""
    if not isinstance(wanted, (list, tuple)):
        runner.assert_similar_outputs([wanted], [got], rtol=case.rtol, atol=case.atol)
        return
    assert isinstance(got, list) and len(got) == len(wanted), "sequences of different lengths"
    for mine, theirs in zip(got, wanted):
        assert_similar(runner, mine, theirs, case)


def is_optional(model, name):
    return any(i.name == name and i.type.WhichOneof("value") == "optional_type" for i in model.graph.input)


def main():
    first, step, skip = int(sys.argv[1]), int(sys.argv[2]), set(sys.argv[3:])
    warnings.simplefilter("ignore")
    for case in all_cases()[first::step]:
        if case.name in skip:
            continue
        print("run", case.name, flush=True)
        try:
            run_case(case)
            print("ok", case.name, flush=True)
        except Exception as error:  # pylint: disable=broad-except  # whatever is wrong with one, the others are run
            text = str(error) or traceback.format_exc()
            print("bad", case.name, json.dumps(f"{type(error).__name__}: {text}"[:1500]), flush=True)


if __name__ == "__main__":
    main()
