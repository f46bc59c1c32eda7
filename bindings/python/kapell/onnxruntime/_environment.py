"""The stand-in in a whole environment: put there with metadata, so that packages that require the distribution `onnxruntime` are
satisfied, and taken out again.

What is done stands in a journal before it is done, and each step is one rename: a call that was interrupted, even by a power cut, is
undone by the next one. Nothing is deleted but files that this module wrote and that still are as it wrote them.
"""

import base64
import contextlib
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import sys
import sysconfig

from . import STANDIN, __version__ as ONNXRUNTIME_VERSION
from ._metadata import text as _metadata_text

KEPT = "kapell_onnxruntime.kept"  # beside the packages: the journal, and what stood where the stand-in stands now
PACKAGE = "onnxruntime"


class Refused(Exception):
    """The environment is left as it was; the text says why, and what to try."""


def site_of(target=None):
    """The folder of packages that |target| names, or that of the running Python's environment."""
    if target is not None:
        site = pathlib.Path(target).absolute()
        if not site.is_dir():
            raise Refused(f"{site} is no folder; name the site-packages of the environment that is meant")
        return site
    site = pathlib.Path(sysconfig.get_path("purelib"))
    marker = pathlib.Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and marker.exists():
        raise Refused(f"this Python belongs to the system ({marker} says so): use one of an environment ('python3 -m venv DIR'), or "
                      "name the folder of packages with --target DIR")
    if not site.is_dir():
        raise Refused(f"{site} is not there: this Python has no folder of packages")
    return site


def install(target=None, replace=False):
    """Puts the stand-in into an environment and gives lines that say what was done.

    Refused where an onnxruntime is installed, unless |replace| is true: then that one is moved aside, and `uninstall` puts it back.
    """
    site = site_of(target)
    with _locked(site):
        lines = _recover(site)
        journal = _read_journal(site)
        if journal and journal["state"] != "installed":
            raise Refused("\n".join(lines))
        if journal:
            if all(_is_as_written(site, created) for created in journal["created"]):
                return [*lines, f"the stand-in is in {site} already"]
            raise Refused(f"the stand-in was put into {site}, but files of it have been changed or removed since: take it out first "
                          f"({_command('--uninstall', target)})")
        found = _installed(site)
        if found and not replace:
            raise Refused(f"{site} has {_listed(found)}: nothing was changed. To put the stand-in in its place (the other one is kept "
                          f"beside it, and put back by --uninstall): {_command('--install --replace', target)}")
        names = sorted({PACKAGE, *(name for _, name in found if name)})
        moved = [path for path, _ in found]
        _put(site, names, moved)
        return [*lines, *_told(site, names, moved), *_notes(site)]


def uninstall(target=None):
    """Takes the stand-in out of an environment, puts back what was there before, and gives lines that say what was done."""
    site = site_of(target)
    with _locked(site):
        lines = _recover(site)
        journal = _read_journal(site)
        if not journal:
            return lines or [f"{site} has no stand-in that was put there by this command: nothing was changed"]
        return _undo(site, journal)


def status(target=None):
    """Lines that say what `import onnxruntime` means in an environment."""
    site = site_of(target)
    journal = _read_journal(site)
    if journal and journal["state"] != "installed":
        return [f"{site}: a call that put the stand-in there or took it out was interrupted; any further call puts that right"]
    if journal:
        kept = f"; kept aside: {', '.join(journal['moved'])}" if journal["moved"] else ""
        return [f"{site}: onnxruntime is Kapell's stand-in {ONNXRUNTIME_VERSION}{kept}"]
    found = _installed(site)
    return [f"{site} has {_listed(found)}" if found else f"{site} has no onnxruntime"]


# --- what is there -----------------------------------------------------------------------------------------------------------

def _installed(site):
    """What belongs to an onnxruntime in |site|: pairs of the path's name in it and the distribution's name (None: the package itself)."""
    found = []
    if os.path.lexists(site / PACKAGE):
        found.append((PACKAGE, None))
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        name = distribution.metadata["Name"]
        owns = any(file.parts[:1] == (PACKAGE,) for file in distribution.files or [])
        folder = pathlib.Path(getattr(distribution, "_path", ""))
        if (owns or name == PACKAGE) and folder.parent == site:
            found.append((folder.name, name))
    return found


def _listed(found):
    names = [name for _, name in found if name]
    return f"{' and '.join(names)} installed" if names else f"a package or folder '{PACKAGE}' of unknown origin"


def _command(options, target):
    return f"{sys.executable} -m kapell.onnxruntime {options}" + (f" --target {target}" if target is not None else "")


def kept_package(site):
    """The package folder that was moved aside in |site|, or None."""
    folder = pathlib.Path(site, KEPT, "old", PACKAGE)
    return folder if folder.is_dir() else None


# --- the journal ---------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def _locked(site):
    """One call at a time; says so where the folder cannot be written."""
    try:
        import fcntl
    except ImportError:  # elsewhere than on POSIX two calls at once are the caller's to avoid
        yield
        return
    try:
        handle = os.open(site, os.O_RDONLY)
    except OSError as error:
        raise Refused(f"{site} cannot be opened: {error.strerror}") from error
    try:
        if not os.access(site, os.W_OK):
            raise Refused(f"{site} cannot be written by this user: nothing was changed")
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read_journal(site):
    try:
        with open(site / KEPT / "journal.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def _write_journal(site, journal):
    path = site / KEPT / "journal.json"
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_suffix(".new")
    with open(scratch, "w", encoding="utf-8") as file:
        json.dump(journal, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
    _sync(path.parent)


def _sync(folder):
    """Makes renames in |folder| last, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _recover(site):
    """Undoes what an interrupted call began. Lines that say so."""
    journal = _read_journal(site)
    if journal and journal["state"] != "installed":
        return ["an earlier call was interrupted: what it had begun is undone", *_undo(site, journal)]
    if not journal and (site / KEPT).is_dir() and not any((site / KEPT).glob("old/*")):
        shutil.rmtree(site / KEPT)  # nothing but files of ours that were being prepared, or an end that was cut off
    return []


# --- doing -----------------------------------------------------------------------------------------------------------------------

def _put(site, names, moved):
    kept = site / KEPT
    kept.mkdir(exist_ok=True)
    created = _stage(kept / "new", names)
    journal = {"format": 1, "state": "installing", "created": created, "moved": moved}
    _write_journal(site, journal)
    try:
        for name in moved:
            (kept / "old").mkdir(exist_ok=True)
            os.rename(site / name, kept / "old" / name)
        for entry in created:
            os.rename(kept / "new" / entry["path"], site / entry["path"])
        (kept / "new").rmdir()
        _sync(site)
        _write_journal(site, {**journal, "state": "installed"})
    except BaseException:  # Ctrl-C too: all or nothing
        _undo(site, journal)
        raise


def _stage(folder, names):
    """Writes the stand-in's files into |folder|; gives what the journal needs to know of them."""
    if folder.exists():
        shutil.rmtree(folder)
    packages = {PACKAGE: {"__init__.py": (pathlib.Path(STANDIN) / "__init__.py").read_bytes()}}
    for name in names:
        info = f"{name.replace('-', '_').lower()}-{ONNXRUNTIME_VERSION}.dist-info"
        owned = {f"{PACKAGE}/{file}": data for file, data in packages[PACKAGE].items()} if name == PACKAGE else {}
        packages[info] = _metadata(name, info, owned)
    for package, files in packages.items():
        (folder / package).mkdir(parents=True)
        for file, data in files.items():
            (folder / package / file).write_bytes(data)
    return [{"path": package, "files": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}}
            for package, files in packages.items()]


def _metadata(name, info, owned):
    """Files of the .dist-info of distribution |name|; RECORD lists them and what else it owns, as pip wants it."""
    files = {
        "METADATA": _metadata_text(name).encode(),
        "INSTALLER": b"kapell\n",
        "REQUESTED": b"",
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: kapell\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "top_level.txt": f"{PACKAGE}\n".encode(),
    }
    lines = []
    for path, data in [*owned.items(), *((f"{info}/{file}", data) for file, data in files.items())]:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}")
    return {**files, "RECORD": "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()}


def _told(site, names, moved):
    """What was done, for people."""
    lines = [f"{site}: 'import onnxruntime' is Kapell now"]
    lines += [f"  metadata: {name} {ONNXRUNTIME_VERSION}" for name in names]
    lines += [f"  kept aside: {name} (in {KEPT})" for name in moved]
    return [*lines, f"  to undo it: {sys.executable} -m kapell.onnxruntime --uninstall"]


def _notes(site):
    home = pathlib.Path(STANDIN).parents[3]
    if home.resolve() == site.resolve():
        return []
    return [f"  note: kapell itself lies in {home}: where Python does not look there, importing onnxruntime fails and says so"]


# --- undoing -----------------------------------------------------------------------------------------------------------------------

def _is_as_written(site, created):
    """Whether each file of an entry of the journal is there as it was written."""
    return all(_matches(site / created["path"] / file, digest) for file, digest in created["files"].items())


def _matches(path, digest):
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _undo(site, journal):
    """Takes out what is still ours and puts back what was moved, from whatever state a call was left in."""
    _write_journal(site, {**journal, "state": "removing"})
    lines = []
    for created in reversed(journal["created"]):
        lines += _take_out(site, created)
    waiting = [name for name in reversed(journal["moved"]) if os.path.lexists(site / KEPT / "old" / name)]
    taken = [name for name in waiting if os.path.lexists(site / name)]
    for name in [] if taken else waiting:
        os.rename(site / KEPT / "old" / name, site / name)
        lines.append(f"{site}: put back: {name}")
    if taken:
        _write_journal(site, {**journal, "created": [], "state": "removing"})
        return [*lines, f"{site}: {', '.join(taken)} stands there again, and is not the stand-in's: left alone. What was there before stays in "
                        f"{site / KEPT / 'old'}; take the new one away (pip uninstall) and call --uninstall again, and it is put back"]
    shutil.rmtree(site / KEPT)
    _sync(site)
    return lines


def _take_out(site, created):
    """Removes the files of an entry of the journal that are as written, and their folder if nothing else is in it. Lines that say so.

    The first file tells whether the folder is ours at all, and goes last: others may have files of the same contents.
    """
    folder, first, lines = site / created["path"], next(iter(created["files"])), []
    if not _matches(folder / first, created["files"][first]):
        with contextlib.suppress(OSError):
            folder.rmdir()  # if nothing is in it: a call that was cut off had got as far as that
        return []
    for file in reversed(created["files"]):
        if _matches(folder / file, created["files"][file]):
            _take_out_compiled(folder, file)
            (folder / file).unlink()
    try:
        folder.rmdir()
        lines.append(f"{site}: taken out: {created['path']}")
    except OSError:
        lines.append(f"{site}: {created['path']} has files of others: they were left alone")
    return lines


def _take_out_compiled(folder, file):
    cache = folder / "__pycache__"
    if not file.endswith(".py") or not cache.is_dir():
        return
    for compiled in cache.glob(f"{file[:-3]}.*.pyc"):
        compiled.unlink()
    with contextlib.suppress(OSError):
        cache.rmdir()
