"""Hostile models and calls: each ends in a clean error that names the place, or runs rightly, within bounds of time and memory."""

import collections
import importlib
import pathlib
import pkgutil

import pytest

import hostile
from hostile import base, make

pytestmark = pytest.mark.asan_programs

KINDS = [m.name for m in pkgutil.iter_modules(hostile.__path__) if m.name not in ("base", "wire", "make")]


def cases_of(kind):
    """The cases of one module, in the order of their making."""
    return list(importlib.import_module(f"hostile.{kind}").cases())


@pytest.mark.parametrize("kind", KINDS)
def test_hostile(kind, tmp_path):
    cases = cases_of(kind)
    results = base.run_judged(cases, tmp_path)
    stderr = "".join(results.pop("", []))
    wrong = []
    for case in cases:
        result = results.get(case.name)
        fault = base.judge(case, result, stderr) if result else "has no result"
        if fault:
            wrong.append(f"{case.name}: {fault}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n\n" + "\n\n".join(wrong)


def test_there_are_many():
    """500 distinct ones at least, each with a name of its own."""
    cases = [case for kind in KINDS for case in cases_of(kind)]
    names = collections.Counter(case.name for case in cases)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(cases) >= 500


def command_cases():
    """(name, model bytes, arguments after the model, exit code, words) through the command."""
    relu, digits = make.model([make.node("Relu", ["x"])]), (base.ROOT / "examples/digits/digits.onnx").read_bytes()
    forever = next(case.model for case in cases_of("bombs") if case.name == "loop_forever")
    big = make.model([make.node("Relu", ["x"])], [make.info("x", ("N", 1 << 20))])
    rank = make.model([make.node("Relu", ["x"])], [make.info("x", [1] * 33)])
    for command in ("run", "inspect", "place"):
        yield f"{command}_junk", b"junk", [command], 3, ["no ONNX model"]
        yield f"{command}_empty", b"", [command], 3, ["empty"]
        yield f"{command}_cut", digits[:20000], [command], 3, ["byte"]
        yield f"{command}_limit_nodes", digits, [command, "--limit", "nodes=3"], 3, ["more than 3 nodes"]
        yield f"{command}_limit_memory", digits, [command, "--limit=memory=200K"], 3, ["memory limit of 200 KiB", "conv"]
        yield f"{command}_limit_junk", digits, [command, "--limit", "memory=lots"], 2, ["memory=lots"]
        yield f"{command}_limit_unknown", digits, [command, "--limit", "patience=3"], 2, ["patience", "nodes"]
        yield f"{command}_limit_negative", digits, [command, "--limit", "nodes=-3"], 2, ["nodes=-3"]
        yield f"{command}_limit_zero", digits, [command, "--limit", "nodes=0"], 2, ["nodes=0"]
        yield f"{command}_rank", rank, [command, "--input", "x=random"] if command == "run" else [command], 3, ["x"]
    yield "run_untrusted", digits, ["run", "--untrusted", "--input", "image=random"], 0, ["probabilities"]
    yield "run_no_limit", digits, ["run", "--untrusted", "--limit=memory=none", "--input", "image=random"], 0, ["probabilities"]
    yield "run_missing", relu, ["run"], 2, ["'x'", "missing"]
    yield "run_unknown", relu, ["run", "--input", "z=random"], 2, ["z=random", "x"]
    yield "run_loop", forever, ["run", "--limit", "iterations=50", "--input", "x=random"], 1, ["50 iterations", "the_Loop"]
    yield "run_seconds", forever, ["run", "--limit", "run-seconds=0.1", "--input", "x=random"], 1, ["time limit"]
    yield "run_huge", big, ["run", "--limit", "memory=8M", "--input", "x=random", "--dim", "N=9"], 1, ["memory limit", "'y'"]
    yield "run_dim_junk", big, ["run", "--input", "x=random", "--dim", "N=many"], 2, ["N=many"]
    yield "run_dim_overflow", big, ["run", "--input", "x=random", "--dim", f"N={1 << 62}"], 2, []
    yield "run_file_junk", relu, ["run", "--input", "x=HOME/model.onnx"], 2, []
    yield "run_npy_cut", relu, ["run", "--input", "x=HOME/cut.npy"], 2, ["cut.npy"]
    yield "run_npy_huge", relu, ["run", "--input", "x=HOME/huge.npy"], 2, ["shape"]
    yield "run_npz_junk", relu, ["run", "--input", "x=HOME/junk.npz"], 2, ["junk.npz"]
    yield "run_png_junk", relu, ["run", "--input", "x=HOME/junk.png"], 2, []
    yield "run_pb_junk", relu, ["run", "--input", "x=HOME/junk.pb"], 2, []
    yield "run_fifo", relu, ["run", "--input", "x=HOME"], 2, []
    yield "inspect_shape", digits, ["inspect", "--shape", "image=7,1,8,8"], 0, ["memory", "peak"]
    yield "inspect_dim", digits, ["inspect", "--untrusted", "--dim", "N=100"], 0, ["memory"]
    yield "inspect_shape_wrong", digits, ["inspect", "--shape", "image=1,3,8,8"], 0, ["not known", "image"]
    yield "inspect_shape_junk", digits, ["inspect", "--shape", "image=a,b"], 2, ["image=a,b"]
    yield "inspect_huge", big, ["inspect", "--dim", f"N={1 << 50}"], 0, ["not known"]
    yield "place_untrusted", digits, ["place", "--untrusted"], 0, ["CPU"]


def test_command(kapell, tmp_path):
    """Through the command: its exit code, and words that say what is wrong."""
    npy = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (SHAPE,), }"
    (tmp_path / "cut.npy").write_bytes(npy.replace(b"SHAPE", b"2").ljust(127) + b"\n1234")
    (tmp_path / "huge.npy").write_bytes(npy.replace(b"SHAPE", b"9223372036854775807").ljust(127) + b"\n12345678")
    for name in ("junk.npz", "junk.png", "junk.pb"):
        (tmp_path / name).write_bytes(b"\x89PNG PK\x03\x04 junk" * 9)
    path, wrong = tmp_path / "model.onnx", []
    for name, raw, arguments, code, words in command_cases():
        path.write_bytes(raw)
        done = kapell(arguments[0], path, *(a.replace("HOME", str(tmp_path)) for a in arguments[1:]))
        said = done.stdout + done.stderr
        if done.returncode != code or [w for w in words if w not in said]:
            wrong.append(f"{name}: exit {done.returncode}, not {code} with {words}: {said[-600:]}")
    assert not wrong, "\n\n".join(wrong)


if __name__ == "__main__":  # python test_hostile.py KIND [NAME]: prints what became of each case
    import sys
    import tempfile

    chosen = [c for c in cases_of(sys.argv[1]) if len(sys.argv) < 3 or sys.argv[2] in c.name]
    with tempfile.TemporaryDirectory() as folder:
        outcome = base.run_all(chosen, pathlib.Path(folder))
    errors = "".join(outcome.pop("", []))
    for one in chosen:
        got = outcome.get(one.name)
        verdict = (base.judge(one, got, errors) if got else "has no result") or "fine"
        print(f"--- {one.name}: {verdict.splitlines()[0][:90]}\n    {got}"[:1500])
