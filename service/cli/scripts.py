"""`simpul scripts`: the script sets of a cluster and of this installation, and the steps of a roll-out."""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.node import Node, NodeAway, Refusal, from_each, node_at, node_options
from service.cli.speak import Failure, json_option, note
from service.cli.table import table, when

if TYPE_CHECKING:
    from service.store.bundle import ScriptSet

_LOOK_S = 2.0
"""How long `list` waits for any one node: a list with a gap is better than none."""
_AGAIN_S = 0.1


class _ListsByDefault(click.Group):
    def parse_args(self, context: click.Context, words: list[str]) -> list[str]:
        asks_for_help = words[:1] in (["-h"], ["--help"])
        if not words or (words[0].startswith("-") and not asks_for_help):
            words = ["list", *words]
        return super().parse_args(context, words)


@click.group(cls=_ListsByDefault)
def scripts() -> None:
    """The Lua scripts of this installation and of the cluster; without a command: list them."""


@scripts.command("list")
@node_options
@json_option
def list_sets(url: str | None, data: Path, as_json: bool) -> None:
    """List this installation's scripts (name, SHA-1 for EVALSHA, what each does) and, if a node answers, the cluster's
    sets: which is active, and where each is loaded."""
    from service.store.bundle import shipped  # noqa: PLC0415

    script_set, node = shipped(), node_at(url, data)
    away, seen = "", None
    try:
        seen = _cluster_sets(node)
    except NodeAway as error:
        away = error.message
    if as_json:
        own = {name: {"sha": one.sha, "summary": one.summary} for name, one in script_set.scripts.items()}
        click.echo(json.dumps({"script_set": script_set.version, "scripts": own, "cluster": seen}, indent=2))
        return
    click.echo("\n".join(table((name, one.sha, one.summary) for name, one in script_set.scripts.items())))
    click.echo(f"script set {script_set.version}")
    if seen is None:
        note(f"only the scripts of this installation are shown, for {away}")
    else:
        click.echo("\n" + "\n".join(_cluster_lines(seen)))


def _cluster_sets(node: Node) -> dict[str, Any]:
    """The sets as `node` knows them, each with what every node of the cluster says of it."""
    page = node.get("/scripts", _LOOK_S)
    names = {one["name"]: url for url, one in node.get("/cluster", _LOOK_S)["nodes"].items()}
    pages = from_each(names.values(), "/scripts", _LOOK_S)
    for version, one in page["sets"].items():
        one["loaded"] = {name: _loaded(version, pages[names[name]]) for name in sorted(names)}
    return {"url": node.url, "fence": page["fence"], "layout": page["layout"], "sets": page["sets"]}


def _loaded(version: str, page: dict[str, Any] | None) -> str:
    """Empty when that node has loaded it on every Redis, else why not."""
    if page is None:
        return "does not answer"
    known = page["sets"].get(version)
    return str(known["loaded"]) if known else "was not told of it yet"


def _cluster_lines(seen: Mapping[str, Any]) -> Iterable[str]:
    yield f"The cluster at {seen['url']} has the fence {seen['fence']} and data of layout {seen['layout']}:"
    rows = [("script set", "state", "staged", "reads layout", "loaded by")]
    excuses = []
    for version, one in seen["sets"].items():
        ready = " ".join(name for name, why in one["loaded"].items() if not why) or "nobody"
        reads = ", ".join(map(str, one["reads"]))
        rows.append((version, one["state"], when(one["staged_at_ms"]), reads, ready))
        excuses += [f"{version}: {name}: {why}" for name, why in one["loaded"].items() if why]
    yield from table(rows)
    yield from excuses


@scripts.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def dump(folder: Path) -> None:
    """Write this installation's flattened scripts into FOLDER, as `redis-cli --ldb --eval` takes them."""
    from service.store.bundle import shipped  # noqa: PLC0415

    write_sources(folder, {name: script.source for name, script in shipped().scripts.items()})


def write_sources(folder: Path, sources: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in sources.items():
            (folder / f"{name}.lua").write_text(source, encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write scripts into {folder}: {error.strerror}") from error


@scripts.command()
@node_options
@json_option
def stage(url: str | None, data: Path, as_json: bool) -> None:
    """Make this installation's script set known to the cluster. Every node loads it; nothing runs it yet."""
    from service.store.bundle import pack, shipped  # noqa: PLC0415

    told = node_at(url, data).post("/scripts/stage", packed=b64encode(pack(shipped())).decode())
    _tell(told, as_json, f"script set {told['version']} is staged; next: simpul scripts activate {told['version']}")


_wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=3.0,
    show_default=True,
    help="Seconds to wait until every live node has loaded it.",
)


@scripts.command()
@click.argument("version")
@node_options
@_wait_option
@json_option
def activate(*, version: str, url: str | None, data: Path, wait_s: float, as_json: bool) -> None:
    """Let every node call the scripts of VERSION from now on."""
    node = node_at(url, data)
    told = _once_loaded(lambda: node.post("/scripts/activate", version=version), wait_s)
    _tell(told, as_json, f"script set {told['version']} is active; back: simpul scripts rollback")


@scripts.command()
@node_options
@_wait_option
@json_option
def rollback(*, url: str | None, data: Path, wait_s: float, as_json: bool) -> None:
    """Go back to the script set that was active before."""
    node = node_at(url, data)
    told = _once_loaded(lambda: node.post("/scripts/rollback"), wait_s)
    _tell(told, as_json, f"script set {told['version']} is active again")


def _once_loaded(act: Callable[[], Any], wait_s: float) -> Any:
    """A node that has just loaded a set says so to the leader within a second."""
    ends_at = time.monotonic() + wait_s
    while True:
        try:
            return act()
        except Refusal as refusal:
            if refusal.code != "script_set_not_loaded" or time.monotonic() > ends_at:
                raise
        time.sleep(_AGAIN_S)


def _tell(told: Any, as_json: bool, sentence: str) -> None:
    click.echo(json.dumps(told, indent=2) if as_json else sentence)


@scripts.command()
@click.argument("a", required=False)
@click.argument("b", required=False)
@node_options
def diff(*, a: str | None, b: str | None, url: str | None, data: Path) -> None:
    """Show what changes in the flattened sources from script set A to B: from the active one to this installation's,
    unless named."""
    from service.store.bundle import shipped  # noqa: PLC0415

    node, own = node_at(url, data), shipped()
    before = _sources(node, a or node.get("/scripts")["version"], own)
    after = _sources(node, b or own.version, own)
    lines = list(_diff_lines(before, after))
    if not lines:
        note(f"{before['version']} and {after['version']} are the same scripts")
    for line in lines:
        click.echo(click.style(line, fg={"+": "green", "-": "red"}.get(line[:1])))


def _sources(node: Node, version: str, own: "ScriptSet") -> dict[str, Any]:
    if version != own.version:
        page: dict[str, Any] = node.get(f"/scripts/{version}")
        return page
    scripts = {name: {"source": script.source} for name, script in own.scripts.items()}
    return {"version": version, "layout": own.layout, "reads": own.reads, "scripts": scripts}


def _diff_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    for name in sorted({*before["scripts"], *after["scripts"]}):
        old, new = before["scripts"].get(name), after["scripts"].get(name)
        yield from unified_diff(
            old["source"].splitlines() if old else [],
            new["source"].splitlines() if new else [],
            f"{before['version']}/{name}.lua" if old else "/dev/null",
            f"{after['version']}/{name}.lua" if new else "/dev/null",
            lineterm="",
        )
    layouts = [f"writes layout {one['layout']}, reads {', '.join(map(str, one['reads']))}" for one in (before, after)]
    if layouts[0] != layouts[1]:
        yield from (f"-{before['version']} {layouts[0]}", f"+{after['version']} {layouts[1]}")
