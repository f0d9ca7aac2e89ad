"""`simpul cache audit` says what each node found, and fails when a bound is broken or a node does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service import cli

FINE = {"entries": 20, "sampled": 10, "stale": 0, "oldest_stale_ms": 0, "broken": 0, "bound_ms": 1000}
LATE = {**FINE, "stale": 2, "oldest_stale_ms": 12}
BROKEN = {**FINE, "stale": 3, "oldest_stale_ms": 1400, "broken": 1}


@contextmanager
def node_that_found(audit: Mapping[str, Any] | None) -> Iterator[ThreadingHTTPServer]:
    """Stands for a node, for a real one breaks no bound; None: it has stopped."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            told = {"nodes": nodes} if self.path == "/cluster" else audit
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, *_: Any) -> None:
            pass

    asked: list[str] = []
    nodes: dict[str, Any] = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.nodes, server.asked = nodes, asked  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def audit(*words: str, **found: Mapping[str, Any] | None) -> Result:
    """What the command does with nodes that found this, asked through the first."""
    with node_that_found(found.get("n1")) as one, node_that_found(found.get("n2")) as two:
        urls = {name: f"http://127.0.0.1:{server.server_address[1]}" for name, server in (("n1", one), ("n2", two))}
        for name, told in found.items():
            one.nodes[urls[name] if told else "http://127.0.0.1:1"] = {"name": name}  # type: ignore[attr-defined]
        result = CliRunner().invoke(cli.cli, ["cache", "audit", "--url", urls["n1"], *words])
        for server, told in ((one, found.get("n1")), (two, found.get("n2"))):
            wanted = f"/caches/audit?sample={words[1] if words[:1] == ('--sample',) else 100}"
            assert (wanted in server.asked) == (told is not None)  # type: ignore[attr-defined]
    return result


def test_every_node_has_a_row_and_lateness_within_the_bound_is_no_failure() -> None:
    result = audit(n1=FINE, n2=LATE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "node  entries  sampled  stale  oldest  bound  longer than that",
        "n1    20       10       0      -       1 s    0",
        "n2    20       10       2      12 ms   1 s    0",
    ]


def test_a_broken_bound_is_a_failure_that_names_the_node() -> None:
    result = audit(n1=FINE, n2=BROKEN)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "n2    20       10       3      1.4 s   1 s    1"
    assert result.stderr == ("simpul: the bound is broken: n2 could serve a value overwritten longer ago than that\n")


def test_a_node_that_does_not_answer_was_not_audited() -> None:
    result = audit(n1=FINE, n2=None)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split() == ["n2", *"------"]
    assert "1 node did not answer: n2" in result.stderr


def test_both_are_told() -> None:
    result = audit(n1=BROKEN, n2=None)
    assert result.exit_code == 1
    assert "the bound is broken: n1" in result.stderr
    assert "did not answer: n2" in result.stderr


@pytest.mark.parametrize("number", ["7", "1000"])
def test_the_size_of_the_sample_is_passed_on(number: str) -> None:
    result = audit("--sample", number, "--json", n1=FINE, n2=LATE)
    assert json.loads(result.stdout) == {"n1": FINE, "n2": LATE}


@pytest.mark.parametrize("number", ["0", "1001", "-1", "all"])
def test_a_sample_that_cannot_be_is_misuse(number: str) -> None:
    result = CliRunner().invoke(cli.cli, ["cache", "audit", "--sample", number])
    assert result.exit_code == 2
    assert "--sample" in result.stderr
