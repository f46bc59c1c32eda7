"""Runs on other threads, for run_async: one pool for the process, made at the first call and anew after a fork."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

_lock = threading.Lock()
_pool = None
_process = None


def _workers():
    global _pool, _process
    with _lock:
        if _pool is None or _process != os.getpid():
            _pool, _process = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="kapell-run"), os.getpid()
        return _pool


def _run(session, output_names, input_feed, callback, user_data, run_options):
    results, error = [], ""
    try:
        results = session.run(output_names, input_feed, run_options)
    except Exception as failure:
        error = str(failure) or type(failure).__name__
    try:
        callback(results, user_data, error)
    except BaseException:  # nobody waits for it: said as for a thread of the program's own
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


def submit(session, output_names, input_feed, callback, user_data, run_options):
    """Names and types are checked here already, on the caller's thread."""
    if not callable(callback):
        raise TypeError(f"callback is a function, not {callback!r}")
    known = set(output.name for output in session.get_outputs())
    for name in output_names or ():
        if name not in known:
            from ._core import InvalidArgument
            raise InvalidArgument(f"Invalid output name: {name}; the model has {sorted(known)}")
    _workers().submit(_run, session, output_names, dict(input_feed), callback, user_data, run_options)
