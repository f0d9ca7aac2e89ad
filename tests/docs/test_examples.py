"""Every fenced example of README and docs runs, against three real nodes, and prints what the page shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from service.store import bundle
from tests.cluster.releases import STEP_OF_TWO, release
from tests.docs.pages import Block, Page, all_pages, steps
from tests.docs.shell import COMMAND_S, Shell, fill, matches
from tests.support import ROOT, RedisServer, cluster, free_port, redis_server

PAGES = [one for one in all_pages() if one.blocks]
KEPT = (":fence", ":tokens", ":versions", ":quarantine", ":cluster", ":duty")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where examples run: the addresses of the docs mean the test's own servers."""

    server: RedisServer
    ports: Mapping[str, str]
    folder: Path
    env: Mapping[str, str]

    def to_test(self, text: str) -> str:
        return _swap(text, self.ports)

    def to_docs(self, text: str) -> str:
        return _swap(text, {real: shown for shown, real in self.ports.items()})

    def sweep(self) -> None:
        """Take away what an earlier page left, but not what the cluster keeps: its loss would raise the generation."""
        client = self.server.client()
        for key in client.scan_iter("simpul:*", count=1000):
            if not key.decode().endswith(KEPT):
                client.unlink(key)
        client.close()


def _swap(text: str, names: Mapping[str, str]) -> str:
    return re.sub(rf"(?<![\w.])({'|'.join(names)})(?!\w)", lambda found: names[found[0]], text)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine, so no example was run")
    folder = tmp_path_factory.mktemp("docs")
    env = _environment(folder)
    with redis_server(folder / "redis") as server, cluster(folder, server.url) as nodes:
        ports = {str(8000 + number): str(node.port) for number, node in enumerate(nodes, 1)}
        ports |= {port: str(free_port()) for port in ("8004", "8005", "8006")} | {"6379": str(server.port)}
        (folder / ".simpul").mkdir()
        (folder / ".simpul" / "redis-url").write_text(server.url)
        (folder / ".simpul" / "node-url").write_text(nodes[0].url)
        yield Stage(server, ports, folder, env)


def _environment(folder: Path) -> dict[str, str]:
    """A terminal: progress bars and colours as they are there, `simpul` and `python3` of this very checkout."""
    programs, newer = folder / "bin", release(folder / "newer", STEP_OF_TWO)
    redis_cli = shutil.which("redis-cli") or "redis-cli"
    for path, line in {
        programs / "simpul": f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m service.cli "$@"',
        programs / "python3": f'exec "{sys.executable}" "$@"',
        programs / "redis-cli": f'exec "{redis_cli}" --no-raw "$@"',
        folder / "new/bin/simpul": f'PYTHONPATH="{newer}" exec "{sys.executable}" -P -m service.cli "$@"',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    (folder / ".curlrc").write_text("silent\nshow-error\n")
    return {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "dumb"}


@pytest.mark.parametrize("page", PAGES, ids=lambda one: one.name)
def test_the_examples_of_a_page_do_what_it_shows(page: Page, stage: Stage) -> None:
    if _lacks_redis_cli(page):
        pytest.skip("no redis-cli on this machine (see README, Development)")
    stage.sweep()
    shell = Shell(stage.folder, stage.env)
    known: dict[str, str] = {}
    before: str = ""
    try:
        for block in page.blocks:
            if block.language and not block.reason:
                before = _RUN[block.language](block, stage, shell, known, before)
    finally:
        shell.close()


def _lacks_redis_cli(page: Page) -> bool:
    """A page is skipped as a whole: its later examples need what the earlier ones did."""
    commands = "".join(block.text for block in page.blocks if block.language in ("console", "sh") and not block.reason)
    return ("redis-cli" in commands or "evalsha" in commands) and shutil.which("redis-cli") is None


def _console(block: Block, stage: Stage, shell: Shell, known: dict[str, str], _: str) -> str:
    for step in steps(block):
        command = fill(step.command, known)
        printed, exit_code = shell.run(stage.to_test(command))
        text = stage.to_docs(printed)
        assert matches(step.shown, text, known), (
            f"{block}: $ {command}\n--- the page shows\n{step.shown}\n--- it printed\n{text}\n---"
        )
        assert exit_code == 0 or step.shown, f"{block}: $ {command}\nends with exit code {exit_code}"
    return ""


def _sh(block: Block, stage: Stage, shell: Shell, known: dict[str, str], _: str) -> str:
    script = f'( set -e; curl() {{ command curl --fail-with-body "$@"; }}\n{stage.to_test(fill(block.text, known))} )'
    printed, exit_code = shell.run(script)
    assert exit_code == 0, f"{block} ends with exit code {exit_code} and printed:\n{printed}"
    return stage.to_docs(printed)


def _python(block: Block, stage: Stage, _shell: Shell, _known: dict[str, str], _: str) -> str:
    """As a reader runs it: a file of its own, Python's standard library, warnings as errors."""
    program = stage.folder / "example.py"
    program.write_text(stage.to_test(block.text))
    command = [sys.executable, "-W", "error", "-I", str(program)]
    done = subprocess.run(
        command, cwd=stage.folder, env=dict(stage.env), capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0, f"{block} failed:\n{done.stderr}"
    return stage.to_docs(done.stdout.strip("\n"))


def _output(block: Block, _stage: Stage, _shell: Shell, known: dict[str, str], before: str) -> str:
    """What the block before this one printed."""
    shown = block.text.strip("\n")
    assert matches(shown, before, known), f"{block}\n--- the page shows\n{shown}\n--- it printed\n{before}\n---"
    return ""


def _json(block: Block, _stage: Stage, _shell: Shell, _known: dict[str, str], _: str) -> str:
    json.loads(block.text)
    return ""


def _yaml(block: Block, _stage: Stage, _shell: Shell, _known: dict[str, str], _: str) -> str:
    yaml.safe_load(block.text)
    return ""


def _lua(block: Block, stage: Stage, _shell: Shell, _known: dict[str, str], _: str) -> str:
    """A whole script, from its header on, must be one that the bundle takes; other Lua is quoted from the sources."""
    header = re.match(r"--- (\w+)\.(\w+): ", block.text)
    if header is None:
        quoted = any(block.text in path.read_text(encoding="utf-8") for path in (ROOT / "lua").rglob("*.lua"))
        assert quoted, f"{block} is not a part of any file in lua/"
        return ""
    root = stage.folder / "lua"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(ROOT / "lua" / "lib", root / "lib")
    shutil.copy(ROOT / "lua" / "layout.toml", root)
    path = root / header[1] / f"{header[2]}.lua"
    path.parent.mkdir()
    path.write_text(block.text)
    bundle.build(root)
    return ""


def _shown_only(_block: Block, _stage: Stage, _shell: Shell, _known: dict[str, str], _: str) -> str:
    return ""


_Runner = Callable[[Block, Stage, Shell, dict[str, str], str], str]
_RUN: Mapping[str, _Runner] = {
    "console": _console,
    "sh": _sh,
    "python": _python,
    "output": _output,
    "json": _json,
    "yaml": _yaml,
    "lua": _lua,
    "text": _shown_only,
    "mermaid": _shown_only,
}


def test_every_block_says_what_it_is_and_every_one_that_is_not_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [block for one in PAGES for block in one.blocks]
    for block in blocks:
        assert block.language in ("", *_RUN), f"{block}: '{block.language}' is none of {', '.join(_RUN)}"
    not_run = [f"{block}: {block.reason}" for block in blocks if block.reason]
    not_run += [f"{block}: it does not say what it is" for block in blocks if not block.language]
    not_run += [f"{one.name}: no redis-cli on this machine" for one in PAGES if _lacks_redis_cli(one)]
    commands = sum(len(steps(block)) for block in blocks if block.language == "console" and not block.reason)
    with capsys.disabled():
        print(f"\n{len(blocks)} examples, {commands} commands with their output; not run:")
        print("".join(f"    {line}\n" for line in not_run), end="")
