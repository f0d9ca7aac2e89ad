"""`simpul cache audit`: the near caches of all nodes, held against Redis."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from service.cli.node import from_each, node_at, node_options
from service.cli.speak import Failure, json_option, note
from service.cli.table import counted, lasting, table
from service.limits import AUDIT_DEFAULT, AUDIT_MAX

_MOST_S = 75.0
"""How long a node may take: an overwritten copy is followed for up to SIMPUL_NEAR_STALE_MS, a minute at the most."""


@click.group()
def cache() -> None:
    """The near caches of the nodes."""


@cache.command()
@click.option(
    "--sample",
    type=click.IntRange(1, AUDIT_MAX),
    default=AUDIT_DEFAULT,
    show_default=True,
    help="Copies to look at on each node, at most.",
)
@node_options
@json_option
def audit(*, sample: int, url: str | None, data: Path, as_json: bool) -> None:
    """Hold copies that each node may serve now against Redis, and watch those that were overwritten until they go.

    Exit code 1 if one could be served for longer than its node's bound, or if a node did not answer.
    """
    nodes = node_at(url, data).get("/cluster")["nodes"]
    found = from_each(nodes, f"/caches/audit?sample={sample}", _MOST_S)
    audits = {nodes[at]["name"]: told for at, told in sorted(found.items(), key=lambda item: nodes[item[0]]["name"])}
    click.echo(json.dumps(audits, indent=2) if as_json else "\n".join(_lines(audits)))
    silent = [name for name, told in audits.items() if told is None]
    broken = [name for name, told in audits.items() if told and told["broken"]]
    if broken and silent:
        note(_unanswered(silent))
    if broken:
        raise Failure(f"the bound is broken: {', '.join(broken)} could serve a value overwritten longer ago than that")
    if silent:
        raise Failure(_unanswered(silent))


def _unanswered(names: list[str]) -> str:
    return f"{counted(len(names), 'node')} did not answer: {', '.join(names)}. See `simpul status`"


def _lines(audits: Mapping[str, Any]) -> list[str]:
    rows = [("node", "entries", "sampled", "stale", "oldest", "bound", "longer than that")]
    for name, told in audits.items():
        if told is None:
            rows.append((name, *("-",) * 6))
            continue
        oldest = lasting(told["oldest_stale_ms"]) if told["stale"] else "-"
        counts = (str(told["entries"]), str(told["sampled"]), str(told["stale"]))
        rows.append((name, *counts, oldest, lasting(told["bound_ms"]), str(told["broken"])))
    head, *lines = table(rows)
    return [click.style(head, bold=True), *lines]
