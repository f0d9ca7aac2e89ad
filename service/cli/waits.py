"""`simpul waits` shows who waits for whom, over all nodes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from service.cli.node import node_at, node_options
from service.cli.speak import json_option
from service.cli.table import counted, lasting, table


@click.command()
@node_options
@json_option
def waits(url: str | None, data: Path, as_json: bool) -> None:
    """Show who waits for which lock because of whom, the longest wait first, and how many deadlocks were ended."""
    found = node_at(url, data).get("/locks/waits")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{counted(found['told'], 'wait')} known to the leader, {found['deadlocks']} ended for deadlocks")
    if not found["waits"]:
        return
    rows = [("owner", "waits for", "mode", "since", "place", "because of")]
    rows += [
        (
            one["owner"],
            one["waits_for"],
            one["mode"],
            f"{lasting(one['waits_ms'])} ago",
            str(one["position"]),
            _because(one),
        )
        for one in found["waits"]
    ]
    head, *lines = table(rows)
    click.echo(click.style(head, bold=True))
    for line in lines:
        click.echo(line)
    if found["more"]:
        click.echo("and more: these are the first 100")


def _because(wait: Mapping[str, Any]) -> str:
    reasons = [f"{holder['owner']} holds it" for holder in wait["held_by"]]
    if wait["holder_count"] > len(reasons):
        reasons.append(f"{wait['holder_count'] - len(reasons)} more hold it")
    if wait["behind"] is not None:
        reasons.append(f"{wait['behind']} is ahead")
    return ", ".join(reasons) or "nobody any more"
