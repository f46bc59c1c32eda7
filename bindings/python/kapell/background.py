"""Runs on other threads, for run_async: one pool for the process, made at the first call and anew after a fork."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import RunOptions
    from .session import InferenceSession

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_process: int | None = None


def _workers() -> ThreadPoolExecutor:
    global _pool, _process
    with _lock:
        if _pool is None or _process != os.getpid():
            _pool, _process = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="kapell-run"), os.getpid()
        return _pool


def _run(session: InferenceSession, output_names: Sequence[str] | None, input_feed: dict[str, Any],
         callback: Callable[[list[Any], Any, str], object], user_data: Any, run_options: RunOptions | None) -> None:
    results: list[Any] = []
    error = ""
    try:
        results = session.run(output_names, input_feed, run_options)
    except Exception as failure:
        error = str(failure) or type(failure).__name__
    try:
        callback(results, user_data, error)
    except BaseException:  # nobody waits for it: said as for a thread of the program's own
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


def submit(session: InferenceSession, output_names: Sequence[str] | None, input_feed: Mapping[str, Any],
           callback: Callable[[list[Any], Any, str], object], user_data: Any, run_options: RunOptions | None) -> None:
    """Names and types are checked here already, on the caller's thread."""
    if not callable(callback):
        raise TypeError(f"callback is a function, not {callback!r}")
    known = set(output.name for output in session.get_outputs())
    for name in output_names or ():
        if name not in known:
            from ._core import InvalidArgument
            raise InvalidArgument(f"Invalid output name: {name}; the model has {sorted(known)}")
    _workers().submit(_run, session, output_names, dict(input_feed), callback, user_data, run_options)
