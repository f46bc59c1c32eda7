"""`kapell.doctor`, `check`, `bench` and `place`: what the command of the same name does, with results to look at and to work with.

Each runs the command that came with the package, so that a provider library that crashes or a model that takes all memory does not take this
process with it. Models are paths, bytes, or anything with `SerializeToString` (onnx.ModelProto).
"""

import contextlib
import html
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from . import _core
from .__main__ import find

__all__ = ["Bench", "Check", "CheckFailed", "Doctor", "NotReady", "bench", "check", "doctor", "place"]


class CheckFailed(RuntimeError):
    """`check` found something; `report` is the `Check`."""

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report


class NotReady(RuntimeError):
    """A provider that `doctor` was told to require cannot be used; `report` is the `Doctor`."""

    def __init__(self, report, text):
        super().__init__(text)
        self.report = report


# --- results -------------------------------------------------------------------------------------------------------------------

class Report:
    """What a command says as JSON: `data` is all of it, `str(report)` the text, and notebooks show a table."""

    def __init__(self, data):
        self.data = data

    def to_json(self, indent=None):
        """The report as JSON text."""
        return json.dumps(self.data, indent=indent)

    def __repr__(self):
        return f"<{type(self).__name__}: {str(self).splitlines()[0]}>"

    def _rows(self):
        """Head and rows of the table."""
        raise NotImplementedError

    def _repr_html_(self):
        head, rows = self._rows()
        cells = lambda tag, row: "".join(f"<{tag} style='text-align:left'>{html.escape(str(cell))}</{tag}>" for cell in row)
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
        return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


class Doctor(Report):
    """What is here of each provider known, and what is missing (docs/doctor.md has the keys of `data`)."""

    @property
    def healthy(self):
        """Whether nothing that was found is broken."""
        return self.data["healthy"]

    @property
    def ready(self):
        """Whether every provider that was required can be used."""
        return self.data["ready"]

    @property
    def usable(self):
        """Names of the providers that sessions can use here."""
        return [p["name"] for p in self.data["providers"] if p["usable"]]

    def __getitem__(self, name):
        """What is said of one provider, by its name or its short one.

        >>> kapell.doctor(files_only=True)["CPU"]["state"]
        'built-in'
        """
        for provider in self.data["providers"]:
            if name.casefold() in (provider["name"].casefold(), provider["short_name"].casefold()):
                return provider
        raise KeyError(f"{name}: no such provider; there are {', '.join(p['short_name'] for p in self.data['providers'])}")

    def _rows(self):
        return (["provider", "state", "why", "to fix it"],
                [[p["short_name"], p["state"], p.get("reason") or "", p.get("fix") or ""] for p in self.data["providers"]])

    def __str__(self):
        lines = [f"Kapell {self.data['kapell']} on {self.data['system']}; {self.data['processor']}"]
        for name, state, why, fix in self._rows()[1]:
            lines.append(f"{name:<14} {state}" + (f": {why}" if why else ""))
            lines += [f"{'':<14}   to fix it: {fix}"] if fix else []
        return "\n".join(lines)


class Check(Report):
    """What `check` looked at. True where all is well."""

    @property
    def ok(self):
        """Whether all is well."""
        return self.data["ok"]

    @property
    def checks(self):
        """The single checks: dicts of `check`, `ok` (None: there was nothing to check) and `text`."""
        return self.data["checks"]

    def __bool__(self):
        return self.ok

    def _rows(self):
        return ["", "check", ""], [[{True: "ok", False: "FAILED"}.get(c["ok"], "-"), c["check"], c["text"].strip()] for c in self.checks]

    def __str__(self):
        return "\n".join(f"{word:<7} {check:<15} {text}" for word, check, text in self._rows()[1]) or "nothing was checked"


class Bench(Report):
    """Times of one model over several configurations (docs/benchmarking.md)."""

    COLUMNS = (("p50", 1e3), ("p90", 1e3), ("p99", 1e3), ("inferences_per_second", 1), ("first_run", 1e3), ("open", 1e3), ("error", 1), ("ratio", 1))

    @property
    def rows(self):
        """One dict a configuration: `label`, `p50`, ... in seconds, `times` of every round, `ratio` to the first."""
        return self.data["rows"]

    @property
    def best(self):
        """The configuration with the most inferences a second."""
        measured = [row for row in self.rows if row["measured"]]
        return max(measured, key=lambda row: row["inferences_per_second"])

    @property
    def advice(self):
        """Which row of docs/choosing-a-provider.md applies, and why."""
        return self.data["advice"]

    def _rows(self):
        def cell(row, key, scale):
            return f"{row[key] * scale:.4g}" if row.get(key) is not None else "-"
        head = ["", "p50 ms", "p90 ms", "p99 ms", "inferences/s", "first ms", "open ms", "error", "ratio"]
        return head, [[row["label"], *(cell(row, key, scale) for key, scale in self.COLUMNS)] if row["measured"]
                      else [row["label"], "not measured: " + row["text"].splitlines()[0]] for row in self.rows]

    def __str__(self):
        head, rows = self._rows()
        width = max(len(row[0]) for row in rows)
        lines = [f"{head[0]:<{width}}" + "".join(f" {cell:>12}" for cell in head[1:])]
        lines += [f"{row[0]:<{width}}" + "".join(f" {cell:>12}" for cell in row[1:]) for row in rows]
        return "\n".join([*lines, *filter(None, [self.data.get("noise"), self.advice])])


# --- running the command -------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def _files(model):
    """A folder for scratch files, and the path of |model| in it or where it is."""
    with tempfile.TemporaryDirectory(prefix="kapell-") as folder:
        if isinstance(model, (str, os.PathLike)):
            path = os.fspath(model)
            yield pathlib.Path(folder), os.path.join(".", path) if path.startswith("-") else path
            return
        data = model if isinstance(model, (bytes, bytearray, memoryview)) else model.SerializeToString()
        path = pathlib.Path(folder, "model.onnx")
        path.write_bytes(data)
        yield pathlib.Path(folder), str(path)


def _command(arguments, quiet=True):
    """Exit code, standard output and standard error of `kapell ARGUMENTS`."""
    environment = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        environment.setdefault("VIRTUAL_ENV", sys.prefix)  # this Python's packages are where providers are looked for
    done = subprocess.run([find(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, text=True,
                          env=environment, check=False)
    return done.returncode, done.stdout, done.stderr or ""


def _json(code, out, err):
    """The report that a command printed; ValueError for a call that was wrong, RuntimeError for a command that ended otherwise."""
    if code == 2:
        raise ValueError(err.strip() or out.strip())
    try:
        return json.loads(out)
    except ValueError:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise RuntimeError(f"the command {how}: {(err or out).strip()}") from None


def _list(name, items):
    """--name item, for each."""
    return [word for item in items for word in (f"--{name}", item)]


def _providers(providers):
    """A provider list as one text: "CUDA?,CPU"; the items of a list joined."""
    if providers is None or isinstance(providers, str):
        return providers
    return ",".join(p if isinstance(p, str) else p[0] for p in providers)


def _options(options):
    """--option for each of {"CUDA.device_id": 1}."""
    return _list("option", [f"{key}={value}" for key, value in (options or {}).items()])


def _pairs(name, pairs, text=str):
    """--name KEY=VALUE for each of a dict."""
    return _list(name, [f"{key}={text(value)}" for key, value in (pairs or {}).items()])


# --- the tools -----------------------------------------------------------------------------------------------------------------

def doctor(require=None, *, library=None, path=None, root=None, files_only=False, seconds=20):
    """Which providers are here, what each lacks, and how to get it: a `Doctor`.

    `require` names providers ("CUDA", or a list) that have to be usable: `NotReady` if one is not. `library`: look at this file instead;
    `path`: files and folders to look at first; `root`: a system in a folder; `files_only`: load nothing, not even in a helper process.

    >>> report = kapell.doctor(files_only=True)
    >>> report.usable[0]
    'CPUExecutionProvider'
    >>> kapell.doctor(require="CUDA", files_only=True)  # doctest: +IGNORE_EXCEPTION_DETAIL, +ELLIPSIS
    Traceback (most recent call last):
    kapell.tools.NotReady: CUDA: ...
    """
    words = ["doctor", "--json", "--seconds", seconds]
    names = [require] if isinstance(require, str) else list(require or [])
    for name, value in (("require", ",".join(names)), ("library", library), ("path", path), ("root", root)):
        words += [f"--{name}", value] if value else []
    report = Doctor(_json(*_command(words + ["--files-only"] * bool(files_only))))
    if not report.ready:
        lacking = [report[name] for name in ",".join(names).split(",") if not report[name.strip()]["usable"]]
        raise NotReady(report, "; ".join(f"{p['short_name']}: {p.get('reason') or p['state']}" + (f" (to fix it: {p['fix']})" if p.get("fix") else "")
                                         for p in lacking))
    return report


def check(model, providers=None, *, lock=None, data=None, accuracy=False, atol=1e-5, rtol=1e-3, dims=None, shapes=None, provider_options=None):
    """Does the model do here what it should? Opens it, compares its placement with a `lock` file, runs its test data, and with
    `accuracy` runs everything on the CPU too. `CheckFailed` where something is wrong; else a `Check`.

    >>> print(kapell.check(digits, "CPU", accuracy=True))  # doctest: +ELLIPSIS
    ok      opened          CPUExecutionProvider 11 of 11 nodes
    ...
    """
    with _files(model) as (_, path):
        words = ["check", path, "--json", "--atol", atol, "--rtol", rtol, *_options(provider_options), *_pairs("dim", dims), *_pairs("shape", shapes, _shape)]
        for name, value in (("providers", _providers(providers)), ("lock", lock), ("data", data)):
            words += [f"--{name}", value] if value else []
        code, out, err = _command(words + ["--accuracy"] * bool(accuracy))
        report = Check(_json(code, out, err))
    if code:
        raise CheckFailed(report)
    return report


def bench(model, providers=None, *, threads=None, batch=None, also=(), guests=None, inputs=None, dims=None, shapes=None, provider_options=None,
          seconds=10, percent=1, warm_up=3, html_path=None, csv_path=None, progress=False):
    """Times a model over several configurations in one interleaved run: a `Bench`.

    `providers`: one list ("CUDA?,CPU") or a list of such texts; `threads`, `batch`: numbers to try; `also`: the same model in other forms;
    `guests`: {"onnxruntime": path of its library}; `inputs`: {name: array, file, or folder}; `progress`: a bar on standard error.

    >>> report = kapell.bench(digits, threads=[1], seconds=0.2)
    >>> report.best["label"], report.best["p50"] > 0
    ('CPU, 1 thread', True)
    """
    with _files(model) as (folder, path):
        words = ["bench", path, "--json", "-", "--seconds", seconds, "--percent", percent, "--warm-up", warm_up]
        words += _list("providers", [providers] if isinstance(providers, str) else map(_providers, providers or []))
        for name, numbers in (("threads", threads), ("batch", batch)):
            words += [f"--{name}", ",".join(map(str, np.atleast_1d(numbers)))] if numbers is not None else []
        for name, value in (("html", html_path), ("csv", csv_path)):
            words += [f"--{name}", value] if value else []
        words += [*_list("also", also), *_pairs("guest", guests), *_pairs("dim", dims), *_pairs("shape", shapes, _shape), *_options(provider_options)]
        for name, value in (inputs or {}).items():
            if not isinstance(value, (str, os.PathLike)):
                value, array = folder / f"{len(words)}.npy", value
                np.save(value, array)
            words += ["--input", f"{name}={value}"]
        report = Bench(_json(*_command(words, quiet=not progress)))
    if not any(row["measured"] for row in report.rows):
        raise RuntimeError("no configuration could be measured: " + "; ".join(row["text"] for row in report.rows))
    return report


def place(model, providers=None, **options):
    """Which provider runs which node, and why not another: the `kapell.Placement` of a session that is opened for it and closed again.

    `options` are those of `kapell.InferenceSession`.

    >>> kapell.place(digits).totals["CPUExecutionProvider"].partitions
    1
    """
    from . import InferenceSession
    if not isinstance(model, (str, os.PathLike, bytes)):
        model = model.SerializeToString()
    return InferenceSession(model, providers=providers, **options).placement()


def _shape(dims):
    return ",".join(map(str, dims))
