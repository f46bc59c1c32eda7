"""A placement as HTML for notebooks: shares of the providers, then nodes with their reasons."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .placement import Placement

_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#9c755f")
_MOST_NODES = 500


def _row(cells: Iterable[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag} style='text-align:left;padding:2px 8px'>{cell}</{tag}>" for cell in cells) + "</tr>"


def _bar(placement: Placement, colours: dict[str, str]) -> str:
    """One strip, each provider as wide as its share of the nodes."""
    total = sum(p.nodes for p in placement.providers) or 1
    parts = "".join(
        f"<div title='{escape(p.name)}: {p.nodes}' style='background:{colours[p.name]};width:{100 * p.nodes / total:.2f}%'></div>"
        for p in placement.providers if p.nodes)
    return f"<div style='display:flex;height:12px;max-width:640px;margin:4px 0'>{parts}</div>"


def _providers(placement: Placement, colours: dict[str, str]) -> str:
    rows = [_row(("provider", "asked", "nodes", "partitions", "in use", "reason", "fix"), "th")]
    for p in placement.providers:
        mark = f"<span style='color:{colours[p.name]}'>&#9632;</span> {escape(p.name)}"
        said = (getattr(p, "asked", ""), p.nodes, p.partitions, "yes" if p.in_use else "no", getattr(p, "reason", ""), getattr(p, "fix", ""))
        rows.append(_row((mark, *(escape(str(x if x is not None else "")) for x in said))))
    return f"<table>{''.join(rows)}</table>"


def _reasons(node: Any) -> str:
    return "; ".join(f"{r.provider}: {r.reason}" for r in getattr(node, "refusals", None) or [])


def _nodes(placement: Placement) -> str:
    rows = [_row(("node", "op", "provider", "how", "why not another"), "th")]
    for node in placement.nodes[:_MOST_NODES]:
        rows.append(_row(escape(str(x or "")) for x in (node.name, node.op, node.provider, node.how, _reasons(node))))
    rest = len(placement.nodes) - _MOST_NODES
    more = f"<p>and {rest} nodes more: kapell place --html shows all</p>" if rest > 0 else ""
    return f"<details><summary>{len(placement.nodes)} nodes</summary><table>{''.join(rows)}</table>{more}</details>"


def placement_page(placement: Placement) -> str:
    """HTML of the placement, without scripts."""
    colours = {p.name: _COLOURS[i % len(_COLOURS)] for i, p in enumerate(placement.providers)}
    return f"<div class='kapell-placement'>{_bar(placement, colours)}{_providers(placement, colours)}{_nodes(placement)}</div>"
