"""Writes the backend cases of the onnx package as folders, for test/tools/case_run.c: export_cases.py FOLDER [kind...].

A folder that this version of the package filled is left as it is. Prints nothing; FOLDER/names lists the cases.
"""

import pathlib
import shutil
import sys
import warnings

import onnx

import backend_cases


def to_bytes(value, kind, name):
    """A value as the .pb file of its kind."""
    which = kind.WhichOneof("value")
    if which == "optional_type":
        return onnx.numpy_helper.from_optional(value, name).SerializeToString()
    if which == "sequence_type":
        return onnx.numpy_helper.from_list(value, name).SerializeToString()
    if which == "map_type":
        return onnx.numpy_helper.from_dict(value, name).SerializeToString()
    return onnx.numpy_helper.from_array(value, name).SerializeToString()


def write_case(case, folder):
    model, sets = case.load()
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "tolerance").write_text(f"{case.rtol} {case.atol}\n", encoding="utf-8")
    given = {i.name for i in model.graph.initializer}
    for number, (inputs, outputs) in enumerate(sets):
        data = folder / f"test_data_set_{number}"
        data.mkdir()
        infos = list(model.graph.input) if len(inputs) == len(model.graph.input) else [i for i in model.graph.input if i.name not in given]
        for what, values, types in (("input", inputs, infos), ("output", outputs, model.graph.output)):
            for i, (value, info) in enumerate(zip(values, types)):
                (data / f"{what}_{i}.pb").write_bytes(to_bytes(value, info.type, info.name))


def main():
    warnings.simplefilter("ignore")
    root = pathlib.Path(sys.argv[1])
    stamp = root / "version"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == onnx.__version__:
        return
    shutil.rmtree(root, ignore_errors=True)
    names = []
    for case in backend_cases.all_cases():
        try:
            write_case(case, root / case.name)
            names.append(case.name)
        except TypeError as error:  # a value that no .pb file of the package holds
            print(f"{case.name} is not exported: {error}")
            shutil.rmtree(root / case.name)
    (root / "names").write_text("\n".join(names) + "\n", encoding="utf-8")
    stamp.write_text(onnx.__version__, encoding="utf-8")


if __name__ == "__main__":
    main()
