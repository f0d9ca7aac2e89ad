"""Random lives of a few cache keys against what the design promises: the latest write, its version, nothing older."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tests.lua.runner import Reply
from tests.model.world import MOMENT_MS, World, explore, mark
from tests.support import RedisServer

NAMES = ("a:1", "a:2", "ab")
KEYS = st.sampled_from(NAMES)
PREFIXES = st.sampled_from(["", "a", "a:", "a:1", "b"])
TAGS = st.frozensets(st.sampled_from(["t", "u"]))
REQUESTS = st.sampled_from(["", "", "q1", "q2"])
VALUES = st.binary(min_size=1, max_size=12)
CONDITIONS = st.sampled_from(["", "", "current", "older", "absent"])


@dataclass
class Value:
    version: int
    data: bytes
    """Empty: it is known that there is none."""
    fresh_until: int | None
    kept_until: int | None


@dataclass
class Lease:
    token: str
    until: int


class CacheMachine(World):
    @initialize()
    def begin(self) -> None:
        self.open()
        self.forget()
        self.last_version = self.nonces = 0
        self.old_tokens = [""]

    def forget(self) -> None:
        self.values: dict[str, Value] = {}
        self.leases: dict[str, Lease] = {}
        self.tagged: dict[str, dict[str, int]] = {"t": {}, "u": {}}
        self.asked: dict[str, tuple[tuple[Any, ...], list[Any]]] = {}
        self.found: list[str] | None = None
        """Keys that a look at all of them found, since names were begun."""
        self.names_are_whole = False

    # -- what is there

    def there(self, key: str) -> Value | None:
        value = self.values.get(key)
        return value if value and (value.kept_until is None or value.kept_until > self.now) else None

    def is_fresh(self, value: Value, later: int = 0) -> bool:
        return value.fresh_until is None or value.fresh_until + later > self.now

    def lease(self, key: str) -> Lease | None:
        """The latest, also one that is over: its token counts until the entry in which it stands is gone."""
        lease = self.leases.get(key)
        return lease if lease and (self.there(key) or lease.until > self.now) else None

    def shown_version(self, key: str) -> int:
        value = self.there(key)
        return value.version if value and value.data else 0

    def exists(self, key: str) -> bool:
        return self.there(key) is not None or self.lease(key) is not None

    def expected(self, key: str, condition: str) -> int | str:
        version = self.shown_version(key)
        conditions: dict[str, int | str] = {"": "", "current": version, "older": max(version - 1, 1), "absent": 0}
        return conditions[condition]

    # -- what is done

    def wrote(self, key: str, version: int, data: bytes, ttl: int | None, *, stale: int = 0, tags: Any = ()) -> None:
        assert version > self.last_version
        self.last_version = version
        fresh_until = None if ttl is None else self.now + ttl
        self.values[key] = Value(version, data, fresh_until, None if fresh_until is None else fresh_until + stale)
        self.leases.pop(key, None)
        for tag in tags:
            self.tagged[tag][key] = version

    def remove(self, key: str) -> None:
        self.values.pop(key, None)
        self.leases.pop(key, None)

    def was_asked(self, request_id: str, contents: tuple[Any, ...], reply: Reply) -> bool:
        if request_id not in self.asked:
            return False
        first, outcome = self.asked[request_id]
        assert reply == (("ok", outcome) if first == contents else ("request_id_reused", []))
        return True

    @rule(key=KEYS, data=VALUES, ttl=st.sampled_from([None, 1, 3]), condition=CONDITIONS, request_id=REQUESTS)
    def put(self, key: str, data: bytes, ttl: int | None, condition: str, request_id: str) -> None:
        if_version, version = self.expected(key, condition), self.shown_version(key)
        contents = ("put", key, data, ttl, if_version)
        args: Any = {"request_id": request_id, "fingerprint": mark(request_id, contents)}
        given = (key, data, (ttl or 0) * MOMENT_MS, if_version)
        reply = self.run.put(*given, **args)
        if self.was_asked(request_id, contents, reply):
            return
        if if_version not in ("", version):
            assert reply == ("version_mismatch", [str(version).encode()])
            return
        if self.found is not None:
            assert reply == ("ok", [0]), "a partition that keeps names is written by cache.store"
            reply = self.run.store(*given, **args)
        assert reply.code == "ok"
        self.wrote(key, reply.fields[0], data, ttl)
        if request_id:
            self.asked[request_id] = (contents, reply.fields)

    @rule(
        key=KEYS,
        data=st.just(b"") | VALUES,
        ttl=st.sampled_from([1, 3]),
        stale=st.sampled_from([0, 2]),
        tags=TAGS,
        condition=CONDITIONS,
        filler=st.sampled_from(["", "", "latest", "older"]),
    )
    def store(self, key: str, data: bytes, *, ttl: int, stale: int, tags: Any, condition: str, filler: str) -> None:
        if_version, version, lease = self.expected(key, condition), self.shown_version(key), self.lease(key)
        tokens = {"": "", "latest": lease.token if lease else "none", "older": self.old_tokens[-1]}
        token, kept = tokens[filler], stale if data else 0
        reply = self.run.store(
            key,
            data,
            ttl * MOMENT_MS,
            if_version,
            tags=sorted(tags),
            stale_ms=kept * MOMENT_MS,
            fill_token=token,
        )
        if if_version not in ("", version):
            assert reply == ("version_mismatch", [str(version).encode()])
        elif token and (lease is None or lease.token != token):
            assert reply == ("fill_superseded", [])
        else:
            assert reply.code == "ok"
            self.wrote(key, reply.fields[0], data, ttl, stale=kept, tags=tags)

    @rule(keys=st.sets(KEYS, min_size=1), data=VALUES, ttl=st.sampled_from([None, 2]), condition=CONDITIONS)
    def put_many(self, keys: set[str], data: bytes, ttl: int | None, condition: str) -> None:
        conditions = {key: self.expected(key, condition) for key in sorted(keys)}
        items = {key: (data, (ttl or 0) * MOMENT_MS, if_version) for key, if_version in conditions.items()}
        reply = self.run.put_many(**items)
        assert reply.code == "ok"
        for at, (key, if_version) in enumerate(conditions.items()):
            is_stored, version = reply.fields[2 * at : 2 * at + 2]
            against = self.shown_version(key)
            assert is_stored == (if_version in ("", against))
            if is_stored:
                self.wrote(key, version, data, ttl)
            else:
                assert version == against

    @rule(key=KEYS, fill=st.sampled_from([0, 1, 2]), stale=st.sampled_from([0, 1]), early=st.booleans())
    def ask_to_fill(self, key: str, fill: int, stale: int, early: bool) -> None:
        self.nonces += 1
        value, lease = self.there(key), self.lease(key)
        is_leased = lease is not None and lease.until > self.now
        is_fresh = value is not None and self.is_fresh(value)
        reply = self.run.fill(key, fill * MOMENT_MS, stale * MOMENT_MS, early=int(early), nonce=f"n{self.nonces}")
        _, state, _, entry, token = reply.fields
        is_shown = value is not None and self.is_fresh(value, stale)
        assert (entry != b"") == is_shown
        if value and is_shown:
            assert entry.partition(b" ")[2] == value.data
        if is_fresh and (not early or is_leased):
            assert state == b"fresh"
        elif is_leased:
            assert state == b"filling"
        elif not fill:
            assert state == b"none"
        else:
            assert state == b"granted"
            if lease:
                self.old_tokens.append(lease.token)
            self.leases[key] = Lease(token.decode(), self.now + fill)

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4), request_id=REQUESTS)
    def invalidate(self, keys: list[str], request_id: str) -> None:
        contents = ("invalidate", *keys)
        reply = self.run.invalidate(*keys, request_id=request_id, fingerprint=mark(request_id, contents))
        if self.was_asked(request_id, contents, reply):
            return
        removed = sum(self.shown_version(key) > 0 for key in set(keys))
        assert reply == ("ok", [removed])
        for key in keys:
            self.remove(key)
        if request_id:
            self.asked[request_id] = (contents, [removed])

    @rule(tag=st.sampled_from(["t", "u"]))
    def remove_tagged(self, tag: str) -> None:
        _, *names = self.run.tagged(tag)
        alive = [key for key, version in self.tagged[tag].items() if (v := self.there(key)) and v.version == version]
        assert {name.encode() for name in alive} <= set(names)
        if names:
            assert self.run.untag(tag, *(name.decode() for name in names)) == ("ok", [len(alive)])
        self.tagged[tag].clear()
        for key in alive:
            self.remove(key)

    # -- removal by prefix

    @precondition(lambda self: self.found is None)
    @rule()
    def begin_names(self) -> None:
        assert self.run.begin_names() == ("ok", [0])
        self.found = [key for key in NAMES if self.exists(key)]

    @precondition(lambda self: self.found is not None and not self.names_are_whole)
    @rule()
    def end_names(self) -> None:
        assert self.found is not None
        assert self.run.add_names(*self.found, is_last=1) == ("ok", [1])
        self.names_are_whole = True

    @precondition(lambda self: self.names_are_whole)
    @rule(prefix=PREFIXES, before=st.booleans())
    def remove_prefix(self, prefix: str, before: bool) -> None:
        """`before` the last write, or all."""
        begin_so = [key for key in NAMES if key.startswith(prefix) and self.exists(key)]
        names = [name.decode() for name in self.run.named(prefix)]
        assert set(begin_so) <= set(names)
        assert names == sorted(names)
        assert all(name.startswith(prefix) for name in names)
        up_to = self.last_version - 1 if before else self.run.counter()
        versions = {key: value.version if (value := self.there(key)) else 0 for key in begin_so}
        gone = [key for key, version in versions.items() if version <= up_to]
        removed = sum(self.shown_version(key) > 0 for key in gone)
        if names:
            assert self.run.remove_named(*names, up_to=up_to) == ("ok", [removed])
        for key in gone:
            self.remove(key)

    @precondition(lambda self: self.names_are_whole)
    @rule()
    def sweep(self) -> None:
        names = [name.decode() for name in self.run.named()]
        if names:
            assert self.run.remove_named(*names, up_to=-1) == ("ok", [0])
        assert [name.decode() for name in self.run.named()] == [key for key in sorted(NAMES) if self.exists(key)]

    @rule(moments=st.integers(1, 3))
    def pass_time(self, moments: int) -> None:
        self.pass_moments(moments, linger=False)

    @rule(unlucky=st.integers(0, 9))
    def redis_forgets(self, unlucky: int) -> None:
        """Versions of the next generation are above all earlier ones: no near cache takes a new value for old."""
        if unlucky == 9:
            self.run.lose_everything()
            self.forget()

    @invariant()
    def everybody_reads_the_latest_write(self) -> None:
        for key in NAMES:
            value = self.there(key)
            is_shown = value is not None and value.data and self.is_fresh(value)
            assert self.run.get(key) == ((value.version, value.data) if value and is_shown else None)


def test_reads_see_the_latest_write_in_any_order_of_events(any_server: RedisServer, examples_max: int) -> None:
    explore(CacheMachine, any_server, examples_max=examples_max)
