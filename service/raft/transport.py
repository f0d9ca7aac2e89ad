"""Messages to and from the other members, over the nodes' own HTTP.

A peer has four lanes, each one request in flight on its own connection: votes and heartbeats must not wait behind a
megabyte of entries or a snapshot. What gathers while a request is under way goes with the next one. Answers are
ordinary messages: the request that causes one waits for it a little and takes it home, which spares half of all
requests; an answer that comes later (a slow disk) travels as a message of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from service import background
from service.error_registry import RaftDiskReplaced, RaftMessageInvalid, RaftStranger
from service.errors import SimpulError
from service.raft import wire
from service.raft.connection import Answer, Connection, Unreachable
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    NodeId,
    PreVoteReply,
    ReadReply,
    ReadRequest,
    VoteReply,
)
from service.raft.storage import Identity
from service.raft.wire import Parcel, SnapshotChunk, WireError

log = logging.getLogger("simpul.raft")

QUEUE_MESSAGES_MAX = 512
"""Messages waiting for one lane; the oldest is dropped for a newer one, which Raft takes for a lost packet."""
QUEUE_BYTES_MAX = 8 << 20
PARCEL_TARGET_BYTES = 1 << 20
"""A parcel is closed once it holds this much; it always takes one message."""


class Lane(IntEnum):
    """Numbers are part of the protocol."""

    VOTES = 0
    BEATS = 1
    APPENDS = 2
    SNAPSHOTS = 3


_PATHS = {
    Lane.VOTES: "/raft/request_vote",
    Lane.BEATS: "/raft/append",
    Lane.APPENDS: "/raft/append",
    Lane.SNAPSHOTS: "/raft/snapshot",
}
PATHS = tuple(dict.fromkeys(_PATHS.values()))
_LANE_OF: dict[type, Lane] = {
    Heartbeat: Lane.BEATS,
    HeartbeatReply: Lane.BEATS,
    ReadRequest: Lane.BEATS,
    ReadReply: Lane.BEATS,
    AppendRequest: Lane.APPENDS,
    AppendReply: Lane.APPENDS,
    InstallSnapshot: Lane.SNAPSHOTS,
}
_NEWEST_WINS = (Heartbeat, HeartbeatReply, InstallSnapshot)
_REPLIES = (PreVoteReply, VoteReply, AppendReply, HeartbeatReply, ReadReply)
"""What may ride home in a response. A question may not: the asker of the request may be gone, and would not miss it."""


@dataclass(frozen=True, slots=True)
class Events:
    """What the transport tells the runner; all are called on the event loop."""

    message: Callable[[Message], None]
    unreachable: Callable[[NodeId], None]
    snapshot_ended: Callable[[NodeId, bool], None]
    refused: Callable[[NodeId, str, str], None]
    """A peer, an error code and its explanation: it refuses this node for good."""
    admit: Callable[[NodeId, str], bool]
    """Whether messages of a member with this disk may be heard now. Raises RaftDiskReplaced."""
    disk_of: Callable[[NodeId], str]
    """The disk that a member is known by; empty before the first contact."""
    replaced: Callable[[NodeId, str], None]
    """A peer, and an explanation: it knows this node by another disk."""


@dataclass(slots=True)
class Counts:
    """For /metrics."""

    requests: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)


class Outgoing:
    """One lane to one peer: a bounded queue, and the task that empties it."""

    def __init__(self, peer: Peer, lane: Lane) -> None:
        self._peer = peer
        self._lane = lane
        self._queue: deque[Message] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def put(self, message: Message) -> None:
        """Queue a message; a heartbeat or snapshot replaces the one before it, whose news it repeats."""
        queue = self._queue
        if queue and isinstance(message, _NEWEST_WINS) and type(queue[-1]) is type(message):
            queue.pop()
        queue.append(message)
        self._bytes += wire.size_of(message)
        while len(queue) > QUEUE_MESSAGES_MAX or (self._bytes > QUEUE_BYTES_MAX and len(queue) > 1):
            self._bytes -= wire.size_of(queue.popleft())
            self._peer.dropped()
        self._filled.set()
        if self._task is None:
            self._task = background.start(self._run(), f"raft to {self._peer.url} ({self._lane.name.lower()})")

    async def _run(self) -> None:
        connection = self._peer.connect()
        try:
            while True:
                await self._filled.wait()
                batch = self._take()
                if isinstance(batch[0], InstallSnapshot):
                    await self._peer.send_snapshot(connection, batch[0])
                else:
                    messages = [wire.to_wire(message) for message in batch]
                    await self._peer.exchange(connection, self._lane, messages)
        finally:
            connection.close()

    def _take(self) -> list[Message]:
        taken: list[Message] = []
        size = 0
        while self._queue and (not taken or size < PARCEL_TARGET_BYTES):
            message = self._queue.popleft()
            size += wire.size_of(message)
            taken.append(message)
            if isinstance(message, InstallSnapshot):
                break
        self._bytes -= size
        if not self._queue:
            self._bytes = 0
            self._filled.clear()
        return taken

    async def stop(self) -> None:
        await background.stop(self._task)


class Peer:
    """Another member: its lanes, its parked requests, and whether it can be reached."""

    def __init__(self, transport: Transport, url: NodeId) -> None:
        self.url = url
        self.parked: dict[int, asyncio.Future[list[Message]]] = {}
        self.heard_at = 0.0
        """Loop time of the last thing heard from it; 0 before the first."""
        self._transport = transport
        self._lanes = {lane: Outgoing(self, lane) for lane in Lane}
        self._assembly = wire.Assembly()
        self._trouble = ""

    def connect(self) -> Connection:
        return Connection(self.url, self._transport.secret, wire.PARCEL_BYTES_MAX)

    def send(self, messages: list[Message]) -> None:
        """Each message by the cheapest way: home with a waiting request of the peer's, or through its lane."""
        home: dict[int, list[Message]] = {}
        for message in messages:
            lane = _LANE_OF.get(type(message), Lane.VOTES)
            way = lane if lane in self.parked else next(iter(self.parked), None)
            if way is None or not isinstance(message, _REPLIES):
                self._lanes[lane].put(message)
            else:
                home.setdefault(way, []).append(message)
        for way, riding in home.items():
            parked = self.parked.pop(way)
            if not parked.done():
                parked.set_result(riding)

    async def exchange(self, connection: Connection, lane: Lane, messages: list[object]) -> bool:
        """One request with its answer's messages; False if it did not arrive or was refused."""
        transport = self._transport
        path = _PATHS[lane]
        body = wire.encode(transport.parcel(self.url, lane, messages))
        transport.counts.requests[path] += 1
        try:
            answer = await connection.post(path, body, transport.deadline_s)
            if answer.status != 200:
                raise _Refusal(answer)
            parcel = wire.decode(answer.body)
            transport.check(parcel, self.url)
            if transport.admits(parcel):
                self._hear(parcel)
        except Unreachable as error:
            return self._failed("does not answer", str(error))
        except _Refusal as refusal:
            transport.events.refused(self.url, refusal.code, refusal.detail)
            return self._failed("refuses this node", refusal.detail)
        except (WireError, SimpulError) as error:
            return self._failed("sent an answer that cannot be used", str(error))
        if self._trouble:
            self._trouble = ""
            log.info("%s answers again", transport.name_of(self.url))
        return True

    async def send_snapshot(self, connection: Connection, message: InstallSnapshot) -> None:
        """All of a snapshot, chunk by chunk, each after the answer to the one before."""
        total = len(message.snapshot.data)
        offset = 0
        while True:
            if not await self.exchange(connection, Lane.SNAPSHOTS, [wire.chunk_of(message, offset)]):
                self._transport.events.snapshot_ended(self.url, False)
                return
            offset += wire.CHUNK_BYTES
            if offset >= total:
                self._transport.events.snapshot_ended(self.url, True)
                return

    def hear_request(self, parcel: Parcel, hold: bool) -> asyncio.Future[list[Message]] | None:
        """Take a request's messages; with `hold`, the future of the messages that answer it."""
        waiting: asyncio.Future[list[Message]] | None = None
        if hold:
            left = self.parked.pop(parcel.lane, None)
            if left is not None and not left.done():
                left.set_result([])  # its sender has given it up, or it would not have sent the next
            waiting = self.parked[parcel.lane] = asyncio.get_running_loop().create_future()
        self._hear(parcel)
        return waiting

    def _hear(self, parcel: Parcel) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        for received in parcel.messages:
            if isinstance(received, SnapshotChunk):
                whole = self._assembly.add(received, self.url, parcel.to)
                if whole is None:
                    continue
                self._transport.events.message(whole)
            else:
                self._transport.events.message(wire.from_wire(received, self.url, parcel.to))

    def dropped(self) -> None:
        self._transport.counts.failures[self.url] += 1
        self._transport.events.unreachable(self.url)

    def _failed(self, trouble: str, why: str) -> bool:
        transport = self._transport
        transport.counts.failures[self.url] += 1
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("%s %s: %s", transport.name_of(self.url), trouble, why)
        transport.events.unreachable(self.url)
        return False

    async def stop(self) -> None:
        for parked in self.parked.values():
            if not parked.done():
                parked.set_result([])
        self.parked.clear()
        await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))


class _Refusal(Exception):
    def __init__(self, answer: Answer) -> None:
        try:
            problem = msgspec.json.decode(answer.body)
            self.code, self.detail = str(problem["code"]), f"{problem['detail']} {problem['action']}"
        except (msgspec.DecodeError, KeyError, TypeError):
            self.code, self.detail = "", f"status {answer.status}"


class Transport:
    """This member's end of all connections."""

    def __init__(self, identity: Identity, events: Events, *, secret: str, deadline_s: float, hold_s: float) -> None:
        """`deadline_s` bounds a request, `hold_s` (shorter) how long one waits for the messages that answer it."""
        self.events = events
        self.secret = secret
        self.deadline_s = deadline_s
        self.counts = Counts()
        self.name_of: Callable[[NodeId], str] = lambda url: url
        self._identity = identity
        self._hold_s = hold_s
        self._stopped = False
        self.peers = {url: Peer(self, url) for url in identity.members if url != identity.node}

    def send(self, messages: Iterable[Message]) -> None:
        """Send, or lose: nothing is reported but what `events` says."""
        if self._stopped:
            return
        by_peer: dict[NodeId, list[Message]] = {}
        for message in messages:
            by_peer.setdefault(message.to, []).append(message)
        for to, together in by_peer.items():
            self.peers[to].send(together)

    async def receive(self, body: bytes) -> bytes:
        """Answer a node's request: its messages go to the core, and the answer is whatever that has for the sender.

        Raises RaftMessageInvalid, RaftStranger or RaftDiskReplaced.
        """
        try:
            parcel = wire.decode(body)
        except WireError as error:
            raise RaftMessageInvalid(reason=str(error)) from None
        self.check(parcel, None)
        peer = self.peers[parcel.sender]
        riding: list[Message] = []
        if self.admits(parcel) and not self._stopped:
            try:
                waiting = peer.hear_request(parcel, hold=parcel.lane != Lane.SNAPSHOTS)
            except WireError as error:
                raise RaftMessageInvalid(reason=str(error)) from None
            if waiting is not None:
                riding = await self._wait(peer, parcel.lane, waiting)
        answers: list[object] = [wire.to_wire(message) for message in riding]
        return wire.encode(self.parcel(parcel.sender, parcel.lane, answers))

    async def _wait(self, peer: Peer, lane: int, waiting: asyncio.Future[list[Message]]) -> list[Message]:
        try:
            async with asyncio.timeout(self._hold_s):
                return await waiting
        except TimeoutError:
            return []
        finally:
            if peer.parked.get(lane) is waiting:
                del peer.parked[lane]

    def parcel(self, to: NodeId, lane: int, messages: list[object]) -> Parcel:
        """A parcel from this node."""
        identity = self._identity
        known = self.events.disk_of(to)
        return Parcel(wire.VERSION, identity.cluster, identity.node, identity.disk, to, known, lane, messages)

    def check(self, parcel: Parcel, expected: NodeId | None) -> None:
        """Raises RaftStranger for a parcel of another cluster, or not from a member (`expected`) to this one, and
        RaftDiskReplaced for one to another disk than this node has."""
        mine = self._identity
        if parcel.cluster != mine.cluster:
            raise RaftStranger(sender=parcel.sender, reason=f"it belongs to cluster {parcel.cluster}")
        if parcel.to != mine.node:
            raise RaftStranger(sender=parcel.sender, reason=f"it takes this node for {parcel.to}")
        if parcel.sender not in self.peers or (expected is not None and parcel.sender != expected):
            raise RaftStranger(sender=parcel.sender, reason="its URL is not in PEERS of this node")
        if parcel.to_disk not in ("", mine.disk):
            # The sender counts on promises that another disk kept. Its messages would make no sense to this one.
            refusal = RaftDiskReplaced(sender=mine.node, disk=mine.disk, known=parcel.to_disk)
            self.events.replaced(parcel.sender, f"{refusal.detail} {refusal.advice}")
            raise refusal

    def admits(self, parcel: Parcel) -> bool:
        """False while the sender's disk is being registered. Raises RaftDiskReplaced."""
        return self.events.admit(parcel.sender, parcel.disk)

    async def stop(self) -> None:
        """Send nothing more, answer what is parked."""
        self._stopped = True
        await asyncio.gather(*(peer.stop() for peer in self.peers.values()))


__all__ = ["PATHS", "Events", "Lane", "RaftDiskReplaced", "Transport"]
