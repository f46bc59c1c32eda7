"""Hostile models and calls: each ends in a clean error that names the place, or runs rightly, within bounds of time and memory."""

import collections
import importlib
import pathlib
import pkgutil

import pytest

import hostile
from hostile import base

pytestmark = pytest.mark.asan_slice

KINDS = [m.name for m in pkgutil.iter_modules(hostile.__path__) if m.name not in ("base", "wire", "make")]


def cases_of(kind):
    """The cases of one module, in the order of their making."""
    return list(importlib.import_module(f"hostile.{kind}").cases())


@pytest.mark.parametrize("kind", KINDS)
def test_hostile(kind, tmp_path):
    cases = cases_of(kind)
    results = base.run_all(cases, tmp_path)
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
