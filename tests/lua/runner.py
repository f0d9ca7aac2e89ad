"""Calls scripts the way a node does, by the names their headers declare, and moves time without waiting.

Every call runs as a Redis user who may touch the keys in KEYS and no others, so that a script which builds a key
name by itself fails whatever test it appears in.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import redis

from service.keys import Keys
from service.queue.records import message_of
from service.queue.topics import PART_KEYS
from service.store import bundle
from service.store.bundle import LuaScript, ScriptSet
from tests.support import DEADLINE_S, RedisServer

COUNTER_BITS = 36
GENERATION = 3
CLUSTER_ID = "ours"
QUARANTINE_MS = 60_000
KEEP_MS = 600_000
WAKE_CHANNEL = "wake"
CHANNEL = "invalidate"
SESSION = "5e5510"
SESSION_MS = 10_000
HANDED = f"{WAKE_CHANNEL}:{SESSION}"
"""Where the node of that session hears of grants."""

_TRAVEL = """
-- Everything that ends at a time ends ARGV[1] ms earlier. Keys whose time is up go, or stay when ARGV[2] is "linger":
-- Redis may still show a key in the millisecond it ends in. An exclusive hold is its key, and goes with it.
-- A quarantine ends at a time written in its value, and so do grants that are not confirmed; a hold has the time of its
-- grant, those who wait are told of times, too, and a cache entry may have times before its value. The scores of
-- waiters are places in a line, those of tags are versions, and names have none.
local ms = tonumber(ARGV[1])
for _, key in ipairs(redis.call("KEYS", "*")) do
  local kind = redis.call("TYPE", key).ok
  local has_places = string.find(key, "}:waiters:") or string.find(key, "}:urgent:") or string.find(key, "}:line:")
    or string.find(key, "}:tag:") or string.find(key, "}:names$")
  if kind == "zset" and not has_places then
    local is_takers = string.find(key, "}:takers:")
    local all = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
    for at = 1, #all, 2 do
      local score = tonumber(all[at + 1])
      -- A taker that was woken is kept a message for until the time that its score is the negative of.
      local moved = is_takers and (score < 0 and score + ms or score) or score - ms
      redis.call("ZADD", key, string.format("%.17g", moved), all[at])
    end
  end
  if string.find(key, "}:flow:") and redis.call("HGET", key, "rate_used") then
    redis.call("HSET", key, "rate_used", string.format("%.3f", redis.call("HGET", key, "rate_used") - ms))
  end
  if string.find(key, "}:messages:") then
    -- The end of a life and the time of a delivery are written in the messages, too.
    local all = redis.call("HGETALL", key)
    for at = 1, #all, 2 do
      local head, ends_at, rest = string.match(all[at + 1], "^([%d.]+\t%d )([1-9]%d*)( .*)$")
      if head then
        redis.call("HSET", key, all[at], head .. string.format("%.0f", ends_at - ms) .. rest)
      end
    end
  end
  if string.find(key, "}:cache:") then
    local version, fresh_until, made, lease_until, rest =
      string.match(redis.call("GET", key), "^(%d+)~(%d+)(%.%d+%.[%w-]*%.)(%d+)(.*)$")
    if version then
      local function sooner(at)
        return string.format("%.0f", at == "0" and 0 or at - ms)
      end
      local marks = sooner(fresh_until) .. made .. sooner(lease_until)
      redis.call("SET", key, version .. "~" .. marks .. rest, "KEEPTTL")
    end
  end
  if string.find(key, "}:quarantine$") then
    local ends_at, set_aside = string.match(redis.call("GET", key), "^(%d+) (%d+)$")
    redis.call("SET", key, string.format("%.0f %s", ends_at - ms, set_aside))
  end
  if string.find(key, "}:granted$") then
    local all = redis.call("HGETALL", key)
    for at = 1, #all, 2 do
      local ends_at, rest = string.match(all[at + 1], "^(%d+)(.*)$")
      redis.call("HSET", key, all[at], string.format("%.0f%s", ends_at - ms, rest))
    end
  end
  if string.find(key, "}:reader_holds:") then
    local all = redis.call("HGETALL", key)
    for at = 1, #all, 2 do
      local head, granted_at, rest = string.match(all[at + 1], "^(%d+ %d+ %d+ %d+ )(%d+)(.*)$")
      if head then
        redis.call("HSET", key, all[at], string.format("%s%.0f%s", head, granted_at - ms, rest))
      end
    end
  end
  if string.find(key, "}:waiter_info:") then
    local told = redis.call("HGET", key, "")
    if told then
      redis.call("HSET", key, "", string.format("%.0f", told - ms))
    end
  end
  local left_ms = redis.call("PTTL", key)
  if left_ms > ms then
    redis.call("PEXPIRE", key, left_ms - ms)
  elseif left_ms >= 0 then
    local is_lease = kind == "string" and string.find(redis.call("GET", key), "^x%d+ ")
    redis.call(ARGV[2] == "linger" and not is_lease and "PERSIST" or "DEL", key)
  end
end
"""


def detail(
    *, reentrant: bool = False, limit: int = 0, permits: int = 0, max_hold_ms: int = 0, metadata: str = ""
) -> str:
    """What an acquire asks for beyond mode and lease, as nodes write it."""
    permits = permits or (1 if limit else 0)
    return f"{int(reentrant)} {permits} {limit} {max_hold_ms} {metadata}"


def waiter_of(owner: str) -> str:
    return owner.encode().hex()


pack = msgspec.msgpack.Encoder().encode


class Reply(NamedTuple):
    code: str
    fields: list[Any]


class Held(NamedTuple):
    mode: str
    token: int
    expires_in_ms: int
    limit: int
    holds: int = 0
    permits: int = 0
    hold_left_ms: int = 0
    metadata: str = ""


class Message(NamedTuple):
    id: str
    data: bytes = b"{}"
    delay_ms: int = 0
    priority: int = 0
    ttl_ms: int = 0
    key: str = ""
    headers: bytes = b""

    @property
    def option(self) -> tuple[int, int, str, str] | None:
        found = (self.priority, self.ttl_ms, self.key, self.headers.decode())
        return found if any(found) else None


class Delivered(NamedTuple):
    id: str
    receipt: str
    attempt: int
    data: bytes


class Seen(NamedTuple):
    """What lock.blockers shows."""

    cursor: bytes
    after: bytes
    now_ms: int
    limit: int
    holders: list[tuple[Any, ...]]
    """Owner, token, expires_in_ms, mode, permits."""
    waiters: list[tuple[Any, ...]]
    """Waiter, place, owner, mode, permits."""


class Event(NamedTuple):
    """An entry of the stream of lock events; `more` is what the event has beside the common fields."""

    id: str
    event: str
    lock: str = ""
    owner: str = ""
    token: int = 0
    mode: str = ""
    more: Mapping[str, str] = {}


def event_of(entry: list[Any]) -> Event:
    entry_id, flat = entry
    fields = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    event, lock = fields.pop("event"), fields.pop("lock", "").partition(":lock:")[2]
    owner, token, mode = fields.pop("owner", ""), int(fields.pop("token", "0")), fields.pop("mode", "")
    return Event(entry_id.decode(), event, lock, owner, token, mode, fields)


def deliveries_of(fields: list[Any]) -> list[Delivered]:
    groups = zip(*[iter(fields)] * 4, strict=True)
    return [
        Delivered(message_id.decode(), receipt.decode(), attempt, bytes(message_of(record).data))
        for message_id, receipt, attempt, record in groups
    ]


Snapshot = dict[bytes, tuple[bytes, bool]]


class Runner:
    """One partition of one server, its scripts, and the calls a node would make."""

    def __init__(self, server: RedisServer, script_set: ScriptSet | None = None) -> None:
        self.scripts = (script_set or bundle.shipped()).scripts
        self.partition = Keys("test").partitions[7]
        self.fence = f"{GENERATION}.set1"
        self.keep_ms = KEEP_MS
        # Any: the declared types of redis-py do not know that this client answers in bytes.
        self.redis: Any = server.client()
        any_will_do = "-"
        self._caller: Any = redis.Redis(
            host="127.0.0.1", port=server.port, protocol=2, username="caller", password=any_will_do
        )
        self._loaded: set[str] = set()
        self._allow(())
        self.install(GENERATION)

    def close(self) -> None:
        self.redis.close()
        self._caller.close()

    def _allow(self, keys: Iterable[bytes]) -> None:
        patterns = [b"~" + key for key in keys]
        self.redis.execute_command(
            "ACL", "SETUSER", "caller", "on", "nopass", "allcommands", "allchannels", "resetkeys", *patterns
        )

    def keys_of(self, name: str, request_id: str) -> dict[str, bytes]:
        """Every key a script may declare, by its name in the header."""
        one, suffix = self.partition, name.encode()
        return {
            "installed": one.fence,
            "fence": one.fence,
            "tokens": one.tokens,
            "versions": one.versions,
            "quarantine": one.quarantine,
            "cluster": one.cluster,
            "duty": one.duty,
            "outcome": one.outcome + request_id.encode(),
            "lock": one.lock + suffix,
            "readers": one.readers + suffix,
            "reader_holds": one.reader_holds + suffix,
            "waiters": one.waiters + suffix,
            "waiter_info": one.waiter_info + suffix,
            "sessions": one.sessions,
            "granted": one.granted,
            "lock_events": one.lock_events,
            "messages": one.messages + suffix,
            "ready": one.ready + suffix,
            "delayed": one.delayed + suffix,
            "inflight": one.inflight + suffix,
            "settings": one.settings + suffix,
            "due": one.due,
            "timetable": one.timetable,
            "schedules": one.schedules,
            "schedule_names": one.schedule_names,
            "urgent": one.urgent + suffix,
            "expiring": one.expiring + suffix,
            "line": one.line + suffix,
            "busy": one.busy + suffix,
            "seen": one.seen + suffix,
            "ghosts": one.ghosts + suffix,
            "takers": one.takers + suffix,
            "dead": one.dead + suffix,
            "flow": one.flow + suffix,
            "shared": one.shared + suffix.partition(b"\1")[0],
            "topic_settings": one.settings + suffix.partition(b"\1")[0],
            "entry": one.cache + suffix,
            "names": one.names,
            "tag": one.tag + suffix,
        }

    def call(
        self,
        script_name: str,
        name: str,
        *,
        request_id: str = "",
        fingerprint: str | None = None,
        items: Iterable[Mapping[str, Any]] = (),
        more_keys: Iterable[str] = (),
        **args: Any,
    ) -> Reply:
        """Run a script on a resource, topic or cache key. A script that fails, fails the test.

        `items` are the groups of a batch; `more_keys` are further names for a script that takes many.
        """
        script = self.scripts[script_name]
        known = self.keys_of(name, request_id)
        keys = [known[key.name] for key in script.keys]
        repeated = [key.name for key in script.keys if key.repeats]
        keys += [self.keys_of(more, request_id)[key] for more in more_keys for key in repeated]
        given = {
            "fence": self.fence,
            "fingerprint": (f"of-{request_id}" if request_id else "") if fingerprint is None else fingerprint,
            "keep_ms": self.keep_ms,
            "wake_channel": WAKE_CHANNEL,
            "channel": CHANNEL,
            "knows_names": 1,
            **args,
        }
        argv = [given[arg.name] for arg in script.args if not arg.repeats]
        argv += [item[arg.name] for item in items for arg in script.args if arg.repeats]
        if b"\1" not in name.encode() and script.keys[-1].name == "shared" and script.keys[-1].is_optional:
            keys.pop()  # which only subscriptions have
        rest = 0 if b"\1" in name.encode() else sum(key.is_optional for key in script.keys if key.name != "shared")
        reply = self.evalsha(script, keys[: len(keys) - rest], argv)
        if reply[0] == b"topic_keys_wanted":
            reply = self.evalsha(script, keys, argv)
        return Reply(reply[0].decode(), reply[1:])

    def evalsha(self, script: LuaScript, keys: list[bytes], argv: list[Any]) -> list[Any]:
        if script.name not in self._loaded:
            self.redis.script_load(script.source)
            self._loaded.add(script.name)
        self._allow(keys)
        try:
            reply: list[Any] = self._caller.execute_command("EVALSHA", script.sha, len(keys), *keys, *argv)
        except redis.ResponseError as error:
            raise AssertionError(f"{script.name} failed: {error}") from error
        return reply

    # -- fence

    @property
    def generation(self) -> int:
        return int(self.fence.partition(".")[0])

    def install(
        self,
        generation: int,
        script_set: str = "set1",
        *,
        cluster_id: str = CLUSTER_ID,
        adopted: str = "",
        quarantine_ms: int = 0,
    ) -> Reply:
        fence = f"{generation}.{script_set}"
        reply = self.call(
            "fence.install",
            "",
            fence=fence,
            floor=generation << COUNTER_BITS,
            cluster_id=cluster_id,
            adopted=adopted,
            quarantine_ms=quarantine_ms,
        )
        if reply.code == "ok":
            self.fence = fence
        return reply

    def check(self, cluster_id: str = CLUSTER_ID) -> Reply:
        return self.call("fence.check", "", cluster_id=cluster_id)

    def shorten(self, quarantine_ms: int) -> Reply:
        return self.call("fence.shorten", "", quarantine_ms=quarantine_ms)

    def lift(self, assignment: int = 1, node: str = "n1") -> Reply:
        return self.call("lock.lift", "", assignment=assignment, node=node)

    def quarantine_left_ms(self) -> int:
        """-1 when there is no quarantine."""
        reply = self.check()
        assert reply.code == "ok", reply
        return int(reply.fields[0])

    def lose_everything(self, quarantine_ms: int = QUARANTINE_MS) -> None:
        """Redis starts empty, and the leader does what it does then."""
        self.redis.flushall()
        assert self.install(self.generation + 1, quarantine_ms=quarantine_ms).code == "ok"

    # -- lock

    def acquire(self, owner: str, mode: str = "exclusive", *, resource: str = "res", **args: Any) -> Reply:
        return self.call("lock.acquire", resource, owner=owner, mode=mode, **{"ttl_ms": 30_000, "detail": "", **args})

    def granted(self, owner: str, mode: str = "exclusive", **args: Any) -> int:
        """The token of a lock that is there to be had."""
        reply = self.acquire(owner, mode, **args)
        assert reply.code == "ok", reply
        return int(reply.fields[0])

    def release(self, owner: str, token: int | str = "", *, resource: str = "res", **args: Any) -> Reply:
        return self.call("lock.release", resource, owner=owner, token=token, **{"all": "", **args})

    def renew(self, owner: str, token: int, ttl_ms: int | str = "", *, resource: str = "res", **args: Any) -> Reply:
        return self.call("lock.renew", resource, owner=owner, token=token, ttl_ms=ttl_ms, **args)

    def reattach(
        self,
        owner: str,
        token: int,
        mode: str = "exclusive",
        ttl_ms: int = 30_000,
        *,
        resource: str = "res",
        **args: Any,
    ) -> Reply:
        given = {"more": "", **args}
        return self.call("lock.reattach", resource, owner=owner, token=token, mode=mode, ttl_ms=ttl_ms, **given)

    def wait(self, owner: str, mode: str = "exclusive", *, resource: str = "res", **args: Any) -> Reply:
        """Stand in line; the waiter's id is made of the owner's name, so each owner has one place in a line."""
        given = {
            "ttl_ms": 30_000,
            "waiter": waiter_of(owner),
            "session": SESSION,
            "session_ms": SESSION_MS,
            "wait_ms": 60_000,
            "detail": "",
            **args,
        }
        return self.call("lock.wait", resource, owner=owner, mode=mode, **given)

    def waiting(self, owner: str, mode: str = "exclusive", **args: Any) -> int:
        """The position of one that has to wait."""
        reply = self.wait(owner, mode, **args)
        assert reply.code == "ok", reply
        assert reply.fields[0] > 0, reply
        return int(reply.fields[0])

    def confirm(self, owner: str, token: int, ttl_ms: int = 30_000, *, resource: str = "res", **args: Any) -> Reply:
        given = {"waiter": waiter_of(owner), **args}
        return self.call("lock.confirm", resource, owner=owner, token=token, ttl_ms=ttl_ms, **given)

    def withdraw(self, owner: str, *, resource: str = "res", session: str = SESSION, **args: Any) -> Reply:
        given = {"waiter": waiter_of(owner), **args}
        return self.call("lock.withdraw", resource, session=session, owner=owner, **given)

    def give_back(self, owner: str, token: int, *, resource: str = "res", **args: Any) -> Reply:
        given = {"waiter": waiter_of(owner), **args}
        return self.call("lock.give_back", resource, owner=owner, token=token, **given)

    def upgrade(self, owner: str, token: int, *, resource: str = "res", **args: Any) -> Reply:
        """Only a try, unless `wait_ms` says how long it waits."""
        given = {
            "ttl_ms": "",
            "waiter": waiter_of("upgrade" + owner),
            "session": SESSION,
            "session_ms": SESSION_MS,
            "wait_ms": 0,
            **args,
        }
        return self.call("lock.upgrade", resource, owner=owner, token=token, **given)

    def downgrade(self, owner: str, token: int, *, resource: str = "res", **args: Any) -> Reply:
        return self.call("lock.downgrade", resource, owner=owner, token=token, **args)

    def hand_over(self, resource: str = "res") -> Reply:
        return self.call("lock.hand_over", resource)

    def attend(self, session: str = SESSION, cursor: str = "0", session_ms: int = SESSION_MS) -> Reply:
        return self.call("lock.attend", "", session=session, session_ms=session_ms, cursor=cursor)

    def blockers(self, resource: str = "res", cursor: str = "0", after: str = "0") -> Seen:
        reply = self.call("lock.blockers", resource, cursor=cursor, after=after)
        assert reply.code == "ok", reply
        cursor_after, place_after, seen_at, limit, count, *rest = reply.fields
        holders, waiters = _fives(rest[: 5 * count]), _fives(rest[5 * count :])
        return Seen(cursor_after, place_after, seen_at, limit, holders, waiters)

    def place(self, owner: str, resource: str = "res") -> int:
        """Where this owner stands in line."""
        return next(int(place) for _, place, who, *_ in self.blockers(resource).waiters if who == owner.encode())

    def cancel(
        self, owner: str, blocker: str, token: int | str = "", *, resource: str = "res", **args: Any
    ) -> tuple[int, int]:
        """End a wait as the leader would that has just seen it; without a token the blocker waits, too. How long it
        waited in ms, -1 if nothing was done; and more."""
        given = {"waiter": waiter_of(owner), "why": "because", **args}
        place = given.pop("place", None) or self.place(owner, resource)
        who = blocker if token else waiter_of(blocker)
        reply = self.call("lock.cancel", resource, place=place, blocker=who, token=token, **given)
        assert reply.code == "ok", reply
        waited_ms, more = reply.fields
        return waited_ms, more

    def force_release(self, *holds: tuple[str, int], resource: str = "res", reason: str = "stuck") -> Reply:
        items = [{"owner": owner, "token": token} for owner, token in holds]
        return self.call("lock.force_release", resource, reason=reason, items=items)

    def record(self, record_ms: int = KEEP_MS) -> Reply:
        return self.call("lock.record", "", record_ms=record_ms)

    def events(self, after: str = "", most: int = 256) -> list[Event]:
        """What is recorded after an entry, which must still be there."""
        is_gap, *entries = self.call("lock.events", "", after=after, most=most).fields
        assert is_gap == 0
        return [event_of(entry) for entry in entries]

    def history(self, resource: str = "res", most: int = 10, before: str = "") -> tuple[str, list[Event]]:
        """Where to go on, and what was found, the latest first."""
        go_on, _, *entries = self.call("lock.history", resource, before=before, most=most).fields
        return go_on.decode(), [event_of(entry) for entry in entries]

    def note_end(self, owner: str, token: int, after: str, *, mode: str = "exclusive", resource: str = "res") -> int:
        """After how many ms to look again."""
        reply = self.call("lock.note_end", resource, owner=owner, token=token, mode=mode, after=after)
        assert reply.code == "ok", reply
        return int(reply.fields[0])

    # -- several locks: `names` in their order, "ab" for the locks a and b

    def acquire_all(self, owner: str, names: Iterable[str], mode: str = "exclusive", **args: Any) -> Reply:
        return self._several("lock.acquire_all", names, owner=owner, mode=mode, **self._request(owner, args))

    def granted_all(self, owner: str, names: Iterable[str], mode: str = "exclusive", **args: Any) -> list[int]:
        """The tokens of locks that are there to be had."""
        reply = self.acquire_all(owner, names, mode, **args)
        assert reply.code == "ok", reply
        return [int(token) for token in reply.fields[1:]]

    def wait_all(self, owner: str, names: Iterable[str], mode: str = "exclusive", **args: Any) -> Reply:
        """Stand in all lines; the waiter's id is made of the owner's name."""
        given = {"waiter": waiter_of(owner), "session": SESSION, "session_ms": SESSION_MS, "wait_ms": 60_000, **args}
        return self._several("lock.wait_all", names, owner=owner, mode=mode, **self._request(owner, given))

    def withdraw_all(self, owner: str, names: Iterable[str], **args: Any) -> Reply:
        given = {"waiter": waiter_of(owner), "session": SESSION, **args}
        return self._several("lock.withdraw_all", names, owner=owner, **self._request(owner, given))

    def release_all(self, owner: str, names: Iterable[str], *tokens: int, **args: Any) -> Reply:
        items = [{"token": token} for token in tokens or [""] * len(list(names))]
        return self._several("lock.release_all", names, owner=owner, items=items, **args)

    def renew_all(self, owner: str, names: Iterable[str], *tokens: int, ttl_ms: int | str = "", **args: Any) -> Reply:
        items = [{"token": token} for token in tokens]
        return self._several("lock.renew_all", names, owner=owner, ttl_ms=ttl_ms, items=items, **args)

    def _several(self, script_name: str, names: Iterable[str], **args: Any) -> Reply:
        first, *more = names
        return self.call(script_name, first, more_keys=more, **args)

    @staticmethod
    def _request(owner: str, args: dict[str, Any]) -> dict[str, Any]:
        """A request always has an id and a caller here: that of its owner, unless it says another."""
        return {"request_id": f"id-{owner}", "caller": "ca11e4", "ttl_ms": 30_000, **args}

    def line(self, resource: str = "res") -> list[str]:
        """The owners that wait, in order, as lock.inspect tells them."""
        _, waiters = self._inspect(resource)
        return [owner.decode() for owner in waiters[1::2]]

    def holders(self, resource: str = "res") -> dict[str, int]:
        """Tokens by owner, as lock.inspect tells them."""
        shown, _ = self._inspect(resource)
        return {owner.decode(): int(token) for owner, token in zip(shown[::3], shown[1::3], strict=True)}

    def _inspect(self, resource: str) -> tuple[list[Any], list[Any]]:
        fields = self.call("lock.inspect", resource).fields
        end = 2 + 3 * min(fields[1], 100)
        return fields[2:end], fields[end : end + 1 + 2 * min(fields[end], 100)]

    def held(self, owner: str, resource: str = "res") -> Held:
        """All that lock.inspect tells of one holder."""
        fields = self.call("lock.inspect", resource).fields
        shown, (waiters, *rest) = fields[2 : 2 + 3 * min(fields[1], 100)], fields[2 + 3 * min(fields[1], 100) :]
        number = shown[::3].index(owner.encode()) + 1
        limit, _, *about = rest[2 * min(waiters, 100) :] or (b"0", b"")
        found = Held(fields[0].decode(), int(shown[3 * number - 2]), shown[3 * number - 1], int(limit))
        for numbers, metadata in zip(about[::2], about[1::2], strict=True):
            at, holds, permits, hold_left_ms = map(int, numbers.split())
            if at == number:
                return found._replace(
                    holds=holds, permits=permits, hold_left_ms=hold_left_ms, metadata=metadata.decode()
                )
        return found

    def lease_left_ms(self, owner: str, resource: str = "res") -> int:
        fields = self.call("lock.inspect", resource).fields
        return int(fields[fields.index(owner.encode()) + 2])

    # -- queue

    def publish(self, *messages: Message | str, topic: str = "topic", **args: Any) -> Reply:
        all_of = [Message(message) if isinstance(message, str) else message for message in messages]
        options = [message.option for message in all_of]
        packed = pack(options) if any(options) else b""
        return self.call("queue.publish", topic, items=[one._asdict() for one in all_of], options=packed, **args)

    def consume_raw(self, most: int = 1, visibility_ms: int = 60_000, *, topic: str = "topic", **args: Any) -> Reply:
        given = {"is_default": "", "consumer": "c1", "taker": "", "session_ms": 0, **args}
        return self.call("queue.consume", topic, max=most, visibility_ms=visibility_ms, **given)

    def park(self, number: int = 1, most: int = 1, *, session: str = SESSION, **args: Any) -> list[Delivered]:
        """Consume, or stand in line."""
        given = {"taker": f"{session}:{number}", "session_ms": SESSION_MS, **args}
        return self.consume(most, **given)

    def consume(self, most: int = 1, visibility_ms: int = 60_000, **args: Any) -> list[Delivered]:
        reply = self.consume_raw(most, visibility_ms, **args)
        assert reply.code == "ok", reply
        return deliveries_of(reply.fields)

    def consume_ids(self, most: int = 1, visibility_ms: int = 60_000, **args: Any) -> list[str]:
        return [delivered.id for delivered in self.consume(most, visibility_ms, **args)]

    def receipt(self, visibility_ms: int = 60_000) -> str:
        """Of the next message, delivered now."""
        (delivered,) = self.consume(visibility_ms=visibility_ms)
        return delivered.receipt

    def ack(self, *receipts: str, topic: str = "topic", **args: Any) -> list[str]:
        """The code of each; a receipt without dots is a bare message id."""
        reply = self.call("queue.ack", topic, items=[delivery_named(receipt) for receipt in receipts], **args)
        assert reply.code == "ok", reply
        return [code.decode() for code in reply.fields]

    def ack_consume(
        self,
        *receipts: str,
        topic: str = "topic",
        most: int = 1,
        visibility_ms: int = 60_000,
        if_acked: bool = False,
        **args: Any,
    ) -> Reply:
        given = {"is_default": "", "consumer": "c1", "if_acked": 1 if if_acked else "", **args}
        items = [delivery_named(receipt) for receipt in receipts]
        return self.call("queue.ack_consume", topic, items=items, max=most, visibility_ms=visibility_ms, **given)

    def nack(self, receipt: str, delay_ms: int = 0, *, topic: str = "topic", **args: Any) -> str:
        return self.hand_back(receipt, delay_ms, topic=topic, **args).code

    def hand_back(self, receipt: str, delay_ms: int | str = 0, *, topic: str = "topic", **args: Any) -> Reply:
        given = {"backs_off": "", "reason": "", **delivery_named(receipt), **args}
        return self.call("queue.nack", topic, delay_ms=delay_ms, **given)

    def extend(self, receipt: str, visibility_ms: int, *, topic: str = "topic", **args: Any) -> str:
        return self.call("queue.extend", topic, visibility_ms=visibility_ms, **delivery_named(receipt), **args).code

    def counts(self, topic: str = "topic") -> tuple[int, int, int]:
        """Ready, delayed, in flight."""
        ready, delayed, inflight, *_ = self.call("queue.inspect", topic).fields
        return ready, delayed, inflight

    def counted(self, topic: str = "topic") -> dict[str, int]:
        names = ("ready", "delayed", "inflight", "age", "dead", "waiting", "takers", "expired", "dropped")
        return dict(zip(names, self.call("queue.inspect", topic).fields, strict=False))

    def configure(self, *, topic: str = "topic", request_id: str = "", **changes: Any) -> Reply:
        return self.call("queue.configure", topic, changes=pack(changes), request_id=request_id)

    def peek(self, state: str, *, topic: str = "topic", offset: int = 0, limit: int = 100) -> list[tuple[bytes, ...]]:
        """Groups of id, time, delivered, record and reason."""
        fields = self.call("queue.peek", topic, state=state, offset=offset, limit=limit).fields
        return list(zip(*[iter(fields[1:])] * 5, strict=True))

    def peek_ids(self, state: str, **args: Any) -> list[str]:
        return [one[0].decode() for one in self.peek(state, **args)]

    def kick(self, state: str, *ids: str, most: int = 1_000, topic: str = "topic", **args: Any) -> Reply:
        return self.call("queue.kick", topic, state=state, max=most, items=[{"id": one} for one in ids], **args)

    def purge(self, state: str, *ids: str, is_forced: str = "", topic: str = "topic", **args: Any) -> Reply:
        return self.call("queue.purge", topic, state=state, is_forced=is_forced, items=[{"id": i} for i in ids], **args)

    def due(self, assignment: int = 1, node: str = "n1") -> Reply:
        return self.call("queue.due", "", assignment=assignment, node=node)

    def tend(self, topic: str = "topic", assignment: int = 1, node: str = "n1") -> Reply:
        return self.call("queue.tend", topic, assignment=assignment, node=node)

    def schedule(
        self,
        next_at: int | str,
        name: str = "s",
        *,
        topic: str = "topic",
        times: str = "T",
        spec: str = "S",
        **args: Any,
    ) -> Reply:
        given = {"limit": 100, **args}
        member = f"{topic}\0{name}"
        return self.call("queue.schedule", "", member=member, times=times, spec=spec, next_at=next_at, **given)

    def unschedule(self, name: str = "s", *, topic: str = "topic", **args: Any) -> Reply:
        return self.call("queue.unschedule", "", member=f"{topic}\0{name}", **args)

    def schedules(self, after: str = "", limit: int = 100, *, topic: str = "topic") -> list[tuple[bytes, ...]]:
        """Groups of name, next_at and what it is."""
        fields = self.call("queue.schedules", topic, topic=topic, after=after, limit=limit).fields
        return list(zip(*[iter(fields[1:])] * 3, strict=True))

    def ticks(self, assignment: int = 1, node: str = "n1") -> Reply:
        return self.call("queue.ticks", "", assignment=assignment, node=node)

    def fire(
        self,
        tick: int,
        next_at: int | str,
        *ids: str,
        name: str = "s",
        kept: str = "T\nS",
        to: Iterable[str] = (),
        assignment: int = 1,
        node: str = "n1",
    ) -> Reply:
        """Publish a message of each id for a tick: to the subscriptions `to`, or to the topic itself."""
        plan = (f"topic\0{name}", kept, str(tick), str(next_at), [(0, 0, "", "")] * len(ids))
        known = self.keys_of("topic", "")
        once = "fence duty settings shared due sessions timetable schedules schedule_names"
        keys = [known[kind] for kind in once.split()]
        queues = [f"topic\1{one}" for one in to] or ["topic"]
        keys += [self.keys_of(queue, "")[kind] for queue in queues for kind in PART_KEYS]
        argv: list[Any] = [self.fence, assignment, node, pack(plan)]
        for one in ids:
            argv += (one, Message(one).data)
        code, *fields = self.evalsha(self.scripts["queue.fire"], keys, argv)
        return Reply(code.decode(), fields)

    def withdraw_taker(self, number: int = 1, *, topic: str = "topic", **args: Any) -> int:
        return int(self.call("queue.withdraw", topic, taker=f"{SESSION}:{number}", **args).fields[0])

    # -- cache

    def put(self, key: str, value: bytes = b"1", ttl_ms: int = 0, if_version: int | str = "", **args: Any) -> Reply:
        return self.call("cache.put", key, value=value, ttl_ms=ttl_ms, if_version=if_version, **args)

    def get(self, key: str) -> tuple[int, bytes] | None:
        fields = self.call("cache.get", key).fields
        if not fields:
            return None
        version, _, value = fields[0].partition(b" ")
        return int(version), value

    def read(self, *keys: str, known: Iterable[int | str] = ()) -> Reply:
        items = [{"known": version} for version in (list(known) or [""] * len(keys))]
        return self.call("cache.read", keys[0], more_keys=keys[1:], items=items)

    def compare(self, **known: int) -> Reply:
        """Versions by key; none at all asks for the counter alone."""
        script = self.scripts["cache.compare"]
        keys = [self.partition.fence, self.partition.versions, *(self.key("entry", key) for key in known)]
        reply = self.evalsha(script, keys, [self.fence, *known.values()])
        return Reply(reply[0].decode(), reply[1:])

    def store(
        self,
        key: str,
        value: bytes = b"1",
        ttl_ms: int = 0,
        if_version: int | str = "",
        *,
        tags: Iterable[str] = (),
        stale_ms: int = 0,
        fill_token: str = "",
        request_id: str = "",
        fingerprint: str | None = None,
    ) -> Reply:
        known = self.keys_of(key, request_id)
        keys = [known[name] for name in ("fence", "outcome", "versions", "entry", "names")]
        of_request = (f"of-{request_id}" if request_id else "") if fingerprint is None else fingerprint
        argv = [self.fence, of_request, self.keep_ms, value, ttl_ms, if_version, CHANNEL, stale_ms, fill_token, key]
        reply = self.evalsha(self.scripts["cache.store"], [*keys, *(self.key("tag", tag) for tag in tags)], argv)
        return Reply(reply[0].decode(), reply[1:])

    def put_many(self, **values: tuple[bytes, int, int | str]) -> Reply:
        """Value, ttl_ms and if_version by key."""
        return self._put_many(values, "")

    def _put_many(self, values: Mapping[str, tuple[bytes, int, int | str]], request_id: str) -> Reply:
        first, *more = values
        items = [dict(zip(("value", "ttl_ms", "if_version"), one, strict=True)) for one in values.values()]
        return self.call("cache.put_many", first, more_keys=more, items=items, request_id=request_id)

    def fill(self, key: str, fill_ms: int = 5_000, stale_ms: int = 0, *, early: int = 0, nonce: str = "a1") -> Reply:
        return self.call("cache.fill", key, fill_ms=fill_ms, stale_ms=stale_ms, nonce=nonce, early=early)

    def granted_fill(self, key: str, **args: Any) -> str:
        """The token of a lease that is there to be had."""
        _, state, _, _, token = self.fill(key, **args).fields
        assert state == b"granted"
        return str(token.decode())

    def tagged(self, tag: str, most: int = 1_000) -> list[bytes]:
        """How many keys have the tag, and names of some."""
        return [b"%d" % found if isinstance(found, int) else found for found in self._tagged(tag, most)]

    def _tagged(self, tag: str, most: int) -> list[Any]:
        return self.call("cache.tagged", tag, max=most).fields

    def untag(self, tag: str, *names: str) -> Reply:
        keys = [self.partition.fence, self.key("tag", tag), self.partition.versions]
        keys += [self.key("entry", name) for name in names]
        reply = self.evalsha(self.scripts["cache.untag"], keys, [self.fence, CHANNEL, *names])
        return Reply(reply[0].decode(), reply[1:])

    def begin_names(self, build: str = "b1") -> Reply:
        return self.call("cache.begin_names", "", build=build)

    def add_names(self, *names: str, build: str = "b1", is_last: int = 0) -> Reply:
        keys = [self.partition.fence, self.partition.names, *(self.key("entry", name) for name in names)]
        reply = self.evalsha(self.scripts["cache.add_names"], keys, [self.fence, build, is_last])
        return Reply(reply[0].decode(), reply[1:])

    def keep_names(self, *there: str) -> None:
        """From now on the names of keys are kept, and of those that are there already."""
        assert self.begin_names() == ("ok", [0])
        assert self.add_names(*there, is_last=1) == ("ok", [1])

    def named(self, prefix: str = "", after: str = "", most: int = 1_000) -> list[bytes]:
        is_whole, _, *names = self.call("cache.named", "", prefix=prefix, after=after, max=most).fields
        assert is_whole, "the names of all keys are kept"
        return names

    def counter(self) -> int:
        return int(self.call("cache.named", "", prefix="", after="", max=1).fields[1])

    def remove_named(self, *names: str, up_to: int | None = None) -> Reply:
        up_to = self.counter() if up_to is None else up_to
        first, *more = names
        return self.call("cache.remove_named", first, more_keys=more, up_to=up_to)

    def invalidate(self, *keys: str, **args: Any) -> Reply:
        return self.call("cache.invalidate", keys[0], more_keys=keys[1:], **args)

    # -- what is stored

    def pass_time(self, ms: int, *, linger: bool = False) -> None:
        """As if ms had gone by. With `linger`, Redis has not removed the keys that ended yet."""
        self.redis.eval(_TRAVEL, 0, ms, "linger" if linger else "")

    def snapshot(self) -> Snapshot:
        """All that is stored, byte for byte, and which keys have an end."""
        return {key: (self.redis.dump(key), self.redis.pttl(key) >= 0) for key in self.redis.keys("*")}

    def kinds(self) -> set[str]:
        """Which kinds of keys exist, apart from what every partition has for ever."""
        found = {key.decode().split(":")[3] for key in self.redis.keys("*")}
        return found - {"fence", "tokens", "versions", "cluster", "duty", "due"}

    def key(self, kind: str, name: str = "") -> bytes:
        return self.keys_of(name, name)[kind]


def _fives(values: list[Any]) -> list[tuple[Any, ...]]:
    return [tuple(values[at : at + 5]) for at in range(0, len(values), 5)]


def delivery_named(receipt: str) -> dict[str, Any]:
    """A receipt taken apart as service.queue.receipts does; a bare id stands for its current delivery."""
    if "." not in receipt:
        return {"id": receipt, "delivery": "", "generation": ""}
    generation, attempt, delivered_ms, message_id = receipt.split(".", 3)
    return {"id": message_id, "delivery": f"{attempt}.{delivered_ms}", "generation": generation}


def now_ms(run: Runner) -> int:
    """Redis TIME."""
    seconds, micros = run.redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


@contextmanager
def heard(run: Runner, channel: str) -> Iterator[list[bytes]]:
    """What is published on a channel by the calls inside the block; complete when the block has ended."""
    messages: list[bytes] = []
    with run.redis.pubsub() as ear:
        ear.subscribe(channel)
        assert ear.get_message(timeout=DEADLINE_S)
        yield messages
        run.redis.publish(channel, "end")
        while (message := ear.get_message(timeout=DEADLINE_S)) and message["data"] != b"end":
            messages.append(message["data"])
        assert message, "the connection lost a publication"
