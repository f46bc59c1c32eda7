"""What a session tells of itself: Placement, Counters, MemoryEstimate."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import Session

__all__ = ["Counters", "MemoryEstimate", "Placement"]


def _object(entries: Any) -> Any:
    """A dict as an object, nested ones too."""
    if isinstance(entries, dict):
        return SimpleNamespace(**{key: _object(value) for key, value in entries.items()})
    return [_object(item) for item in entries] if isinstance(entries, list) else entries


class _Facts:
    """Numbers under names, as attributes and as a dict."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no {name!r}; there are {', '.join(self.__dict__)}")

    def as_dict(self) -> dict[str, Any]:
        """All of it as a dict."""
        return dict(self.__dict__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"


class Counters(_Facts):
    """What was done in all runs so far: runs, failed_runs, cancelled_runs, failovers, time_ns, copies, copied_bytes, signature_hits,
    signature_misses, peak_bytes, shadow_runs, shadow_alarms, and `providers`: for each a dict of runs, nodes, time_ns, failures, bytes.
    """


class MemoryEstimate(_Facts):
    """Bytes: mapped_bytes, opening_bytes, session_bytes, arena_bytes, scratch_bytes, output_bytes, peak_bytes; `exact` says whether more may
    be needed (kapell_memory_estimate in kapell.h)."""


class Placement:
    """Who runs what, and why.

    `providers`: those of the list, each with name, asked, available, in_use, reason, fix, nodes, partitions, flops. `nodes`: each node of
    the model's file with name, op, provider, how ("run", "folded", "removed", "executor"), refusals. `totals`: the providers by name.
    str() is for people; `json()`, `lock()` and `edges()` for programs; in a notebook it shows as a page.
    """

    def __init__(self, facts: dict[str, Any], session: Session) -> None:
        self._facts, self._session = facts, session
        self.providers = _object(facts["providers"])
        self.nodes = _object(facts["nodes"])
        self.totals = {provider.name: provider for provider in self.providers}
        self.copies = _object(facts.get("copies", []))

    def json(self) -> str:
        """All of it as JSON."""
        return json.dumps(self._facts)

    def lock(self) -> str:
        """A stable text to keep beside the model and to compare (InferenceSession.check_lock)."""
        return self._session._placement_lock()

    def edges(self) -> list[tuple[int | None, int | None, str]]:
        """(from, to, value) between `nodes`, as indices; None for an input or output of the model."""
        return self._session._placement_edges()

    def __str__(self) -> str:
        return self._session._placement_text()

    def __repr__(self) -> str:
        parts = ", ".join(f"{p.name}: {p.nodes}" for p in self.providers)
        return f"<Placement of {len(self.nodes)} nodes: {parts}>"

    def _repr_html_(self) -> str:
        from ._html import placement_page
        return placement_page(self)
