"""Random lives of a few cache keys against what the design promises: the latest write, its version, nothing older."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.lua.runner import Reply
from tests.model.world import MOMENT_MS, World, explore, mark
from tests.support import RedisServer

KEYS = st.sampled_from(["k1", "k2", "k3"])
REQUESTS = st.sampled_from(["", "", "q1", "q2"])
VALUES = st.binary(max_size=12)


@dataclass
class Value:
    version: int
    data: bytes
    ends: int | None


class CacheMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.values: dict[str, Value] = {}
        self.last_version = 0
        self.asked: dict[str, tuple[tuple[Any, ...], list[Any]]] = {}

    def current(self, key: str) -> Value | None:
        value = self.values.get(key)
        return value if value and (value.ends is None or value.ends > self.now) else None

    def was_asked(self, request_id: str, contents: tuple[Any, ...], reply: Reply) -> bool:
        if request_id not in self.asked:
            return False
        first, outcome = self.asked[request_id]
        assert reply == (("ok", outcome) if first == contents else ("request_id_reused", []))
        return True

    @rule(
        key=KEYS,
        data=VALUES,
        ttl=st.sampled_from([None, 1, 3]),
        condition=st.sampled_from(["", "current", "older", "absent"]),
        request_id=REQUESTS,
    )
    def put(self, key: str, data: bytes, ttl: int | None, condition: str, request_id: str) -> None:
        value = self.current(key)
        version = value.version if value else 0
        conditions: dict[str, int | str] = {"": "", "current": version, "older": max(version - 1, 1), "absent": 0}
        if_version = conditions[condition]
        contents = ("put", key, data, ttl, if_version)
        args = {"request_id": request_id, "fingerprint": mark(request_id, contents)}
        reply = self.run.put(key, data, (ttl or 0) * MOMENT_MS, if_version, **args)
        if self.was_asked(request_id, contents, reply):
            return
        if if_version not in ("", version):
            assert reply == ("version_mismatch", [str(version).encode()])
            return
        assert reply.code == "ok"
        assert reply.fields[0] > self.last_version
        self.last_version = reply.fields[0]
        self.values[key] = Value(self.last_version, data, None if ttl is None else self.now + ttl)
        if request_id:
            self.asked[request_id] = (contents, reply.fields)

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4), request_id=REQUESTS)
    def invalidate(self, keys: list[str], request_id: str) -> None:
        contents = ("invalidate", *keys)
        reply = self.run.invalidate(*keys, request_id=request_id, fingerprint=mark(request_id, contents))
        if self.was_asked(request_id, contents, reply):
            return
        removed = sum(self.current(key) is not None for key in set(keys))
        assert reply == ("ok", [removed])
        for key in keys:
            self.values.pop(key, None)
        if request_id:
            self.asked[request_id] = (contents, [removed])

    @rule(moments=st.integers(1, 3))
    def pass_time(self, moments: int) -> None:
        self.pass_moments(moments, linger=False)

    @rule(unlucky=st.integers(0, 9))
    def redis_forgets(self, unlucky: int) -> None:
        """Versions of the next generation are above all earlier ones: no near cache takes a new value for old."""
        if unlucky == 9:
            self.run.lose_everything()
            self.values.clear()
            self.asked.clear()

    @invariant()
    def everybody_reads_the_latest_write(self) -> None:
        for key in ("k1", "k2", "k3"):
            value = self.current(key)
            assert self.run.get(key) == ((value.version, value.data) if value else None)


def test_reads_see_the_latest_write_in_any_order_of_events(any_server: RedisServer, examples_max: int) -> None:
    explore(CacheMachine, any_server, examples_max=examples_max)
