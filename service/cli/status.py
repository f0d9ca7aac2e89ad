"""`simpul status` shows what the cluster has decided and how Redis stands; `simpul adopt` takes over another's data."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from service.cli.node import node_at, node_options
from service.cli.speak import WIDTH, json_option
from service.cli.table import counted, lasting, table, when
from service.limits import LEASE_MS_MAX

_GENERATIONS_SHOWN = 5
_ASTRAY_SHOWN = 8
_LABEL = 12
_SILENT_MS = 5_000
"""From here on a node's silence is worth a colour."""


@click.command()
@node_options
@json_option
def status(url: str | None, data: Path, as_json: bool) -> None:
    """Show the state of the cluster: warnings, leader, generation, fences, quarantine, scripts, nodes and Redis."""
    node = node_at(url, data)
    cluster = node.get("/cluster")
    if as_json:
        click.echo(json.dumps(cluster, indent=2))
        return
    for section in (_warnings(cluster), _decided(cluster, node.url), _nodes(cluster), _redis(cluster)):
        click.echo("\n".join(section))


def _warnings(cluster: Mapping[str, Any]) -> Iterable[str]:
    warnings = list(cluster["warnings"])
    if cluster["leader"] is None:
        warnings.insert(0, "no leader: nothing is decided, and once the nodes' delegation is over no lock is granted")
    nodes = cluster["nodes"].values()
    silent = [one["name"] for one in nodes if one["heard_ms"] is None or one["heard_ms"] > _SILENT_MS]
    if silent and cluster["leader"] is not None:
        warnings.insert(0, f"the leader does not hear {', '.join(silent)}")
    for sentence in warnings:
        yield from _entry("warning", sentence, "yellow")
    if warnings:
        yield ""


def _decided(cluster: Mapping[str, Any], url: str) -> Iterable[str]:
    leader, nodes = cluster["leader"], cluster["nodes"]
    yield from _entry("cluster", f"{cluster['cluster_id']}, as {url} knows it")
    led_by = f"{nodes[leader]['name']} at {leader}" if leader in nodes else leader or "none known"
    yield from _entry("leader", f"{led_by}, term {cluster['term']}", None if leader else "red")
    for at, one in enumerate(cluster["generations"][:_GENERATIONS_SHOWN]):
        label = "before" if at else "generation"
        yield from _entry(label, f"{one['number']} since {when(one['at_ms'])}: {one['why']}")
    if len(cluster["generations"]) > _GENERATIONS_SHOWN:
        yield from _entry("", f"and {len(cluster['generations']) - _GENERATIONS_SHOWN} before that: --json shows them")
    yield from _entry("scripts", f"set {cluster['script_set'] or 'none yet'} is active")
    yield from _fences(cluster["partitions"])
    left_ms = cluster["partitions"]["quarantine_left_ms"]
    quarantine = f"no new lock is granted for {lasting(left_ms)} yet" if left_ms > 0 else "none, locks are granted"
    yield from _entry("quarantine", quarantine, "yellow" if left_ms > 0 else None)


def _fences(partitions: Mapping[str, Any]) -> Iterable[str]:
    found = ", ".join(f"{fence} in {counted(number, 'partition')}" for fence, number in partitions["fences"].items())
    yield from _entry("fences", found or "not seen: no Redis is connected")
    astray = [f"{partition} has {fence}" for partition, fence in sorted(partitions["astray"].items())]
    more = f" and {len(astray) - _ASTRAY_SHOWN} more" if len(astray) > _ASTRAY_SHOWN else ""
    if astray:
        yield from _entry("astray", ", ".join(astray[:_ASTRAY_SHOWN]) + more, "red")


def _nodes(cluster: Mapping[str, Any]) -> Iterable[str]:
    yield ""
    rows = [("node", "heard", "generation", "installed", "leases up to", "duties in", "address")]
    for url, one in sorted(cluster["nodes"].items(), key=lambda item: item[1]["name"]):
        rows.append(
            (
                one["name"],
                "never" if one["heard_ms"] is None else f"{lasting(one['heard_ms'])} ago",
                "-" if one["generation"] is None else str(one["generation"]),
                one["shipped"] or "-",
                lasting(one["lease_cover_ms"]),
                counted(len(one["partitions"]), "partition"),
                url,
            )
        )
    yield from _headed(rows)


def _redis(cluster: Mapping[str, Any]) -> Iterable[str]:
    yield ""
    rows = [("Redis", "role", "holds", "replicas", "appendonly", "appendfsync", "maxmemory-policy")]
    for address, view in cluster["redis"].items():
        if view is None:
            rows.append((address, "not connected", "-", "-", "-", "-", "-"))
            continue
        role = "primary" if view["is_blessed"] else "not accepted"
        durability = (view["appendonly"], view["appendfsync"], view["maxmemory_policy"])
        rows.append((address, role, counted(view["partitions"], "partition"), str(view["replicas"]), *durability))
    yield from _headed(rows)


def _headed(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    head, *lines = table(rows)
    yield click.style(head, bold=True)
    yield from lines


def _entry(label: str, text: str, colour: str | None = None) -> Iterable[str]:
    for at, line in enumerate(wrap(text, WIDTH - _LABEL, break_on_hyphens=False) or [""]):
        yield click.style(f"{'' if at else label:<{_LABEL}}", bold=True) + click.style(line, fg=colour)


@click.command()
@click.argument("cluster_id")
@click.option(
    "--quarantine-ms",
    type=click.IntRange(0, LEASE_MS_MAX),
    required=True,
    help="How long no lock is granted: as long as a lease that the other cluster granted, and that its Redis may have "
    "lost, can still run. 0 if its Redis lost nothing, or if all its clients are gone.",
)
@node_options
@json_option
def adopt(*, cluster_id: str, quarantine_ms: int, url: str | None, data: Path, as_json: bool) -> None:
    """Take over what Redis holds of the cluster CLUSTER_ID, which is gone for good.

    The other cluster must not run any more: both would grant the same locks. A node says the id when it finds such data
    (error cluster_foreign).
    """
    told = node_at(url, data).post("/cluster/adopt", cluster_id=cluster_id, quarantine_ms=quarantine_ms)
    click.echo(json.dumps(told, indent=2) if as_json else f"the data of cluster {told['cluster_id']} is adopted")
