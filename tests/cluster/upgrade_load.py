"""Clients that use every kind of operation through all nodes while the cluster is changed, and judge every answer.

A client that cannot connect, or whose connection is closed before an answer, asks another node with the same request
id, as docs/how-to/retry-safely.md says. Every other answer counts: it is right, or it is a failure.
"""

import http.client
import itertools
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import DEADLINE_S, NodeProcess, wait_until

_PAUSE_S = 0.02
"""Between two rounds of one client: the nodes share two cores with their clients."""


class Load:
    def __init__(self, nodes: list[NodeProcess]) -> None:
        self.failures: list[str] = []
        self.done: Counter[str] = Counter()
        self.retried: Counter[str] = Counter()
        self._ports = [node.port for node in nodes]
        self._turn = itertools.count()
        self._is_over = threading.Event()
        self._published: set[str] = set()
        self._acked: list[str] = []

    # What the test does with it

    def leave(self, node: NodeProcess) -> None:
        """As a balancer does with a node that is not ready."""
        self._ports = [port for port in self._ports if port != node.port]

    def join(self, node: NodeProcess) -> None:
        self._ports = [*self._ports, node.port]

    def goes_on(self, rounds: int = 20) -> None:
        """Return once every kind of work was done so many times more."""
        wanted = {kind: self.done[kind] + rounds for kind in WORK}
        wait_until(
            lambda: self.failures or all(self.done[kind] >= count for kind, count in wanted.items()),
            f"{rounds} more rounds of each; so far {dict(self.done)}",
        )
        assert not self.failures, self.failures[:5]

    @contextmanager
    def running(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._run, args=(kind, work)) for kind, work in WORK.items()]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(DEADLINE_S)

    def judge_queue(self) -> None:
        """Every message was delivered and acknowledged once."""
        assert sorted(self._acked) == sorted(self._published)

    # What a client does

    def _run(self, kind: str, work: "Work") -> None:
        last: dict[str, int] = {}
        while not self._is_over.is_set() and not self.failures:
            try:
                work(self, last)
            except Exception as error:  # whatever it is: the test shows it
                self.failures.append(f"{kind}: {type(error).__name__}: {error}")
            self.done[kind] += 1
            time.sleep(_PAUSE_S)

    def ask(self, path: str, **fields: Any) -> dict[str, Any]:
        """The answer of some node, with status 200."""
        body = json.dumps({**fields, **({"request_id": uuid.uuid4().hex} if path != "/cache/get" else {})})
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            ports = self._ports
            port = ports[next(self._turn) % len(ports)]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            try:
                connection.request("POST", path, body, {"connection": "close"})
                answer = connection.getresponse()
                text = answer.read()
            except ConnectionError as error:  # http.client's "closed without an answer" is one, too
                self.retried[type(error).__name__] += 1
                assert time.monotonic() < ends_at, "no node can be reached"
                continue
            finally:
                connection.close()
            assert answer.status == 200, f"{path} at {port}: {answer.status} {text.decode()}"
            return dict(json.loads(text))

    def _queue(self, _: dict[str, int]) -> None:
        name = uuid.uuid4().hex
        self.ask("/queue/publish", topic="t", data={"n": name}, id=name)
        self._published.add(name)
        got = self.ask("/queue/consume", topic="t")
        assert got["message"]["data"] == {"n": name}, f"{name} was published, {got} was delivered"
        assert self.ask("/queue/ack", topic="t", receipt=got["receipt"])["ack"] is True
        self._acked.append(got["id"])

    def _lock(self, last: dict[str, int]) -> None:
        held = self.ask("/lock/acquire", resource="r", owner="o", timeout=0)
        assert held["token"] > last.get("token", 0), f"token {held['token']} after {last}"
        last["token"] = held["token"]
        assert self.ask("/lock/renew", resource="r", owner="o", token=held["token"])["renewed"] is True
        assert self.ask("/lock/release", resource="r", owner="o", token=held["token"])["released"] is True

    def _cache(self, last: dict[str, int]) -> None:
        value = uuid.uuid4().hex
        put = self.ask("/cache/put", key="k", value=value)
        assert put["version"] > last.get("version", 0), f"version {put['version']} after {last}"
        last["version"] = put["version"]
        got = self.ask("/cache/get", key="k", consistency="strong")
        assert (got["value"], got["version"]) == (value, put["version"])


Work = Callable[[Load, dict[str, int]], None]
WORK: dict[str, Work] = {"queue": Load._queue, "lock": Load._lock, "cache": Load._cache}
