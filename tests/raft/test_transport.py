"""Lanes, answers that ride home, bounds and chunks: two transports with real connections between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from service.errors import SimpulError
from service.raft import wire
from service.raft.messages import (
    AppendReply,
    AppendRequest,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    Snapshot,
    VoteReply,
    VoteRequest,
)
from service.raft.storage import Identity
from service.raft.transport import QUEUE_MESSAGES_MAX, Events, Transport
from tests.support import eventually

Hear = Callable[["End", Message], None]


class End:
    """One node's end: a transport behind a small HTTP server, and what it told its runner."""

    def __init__(self, hear: Hear = lambda _end, _message: None) -> None:
        self.heard: list[Message] = []
        self.unreachable: list[str] = []
        self.snapshots_ended: list[bool] = []
        self.bodies: list[int] = []
        self.holds_back: Callable[[str], bool] = lambda _path: False
        self.hear = hear

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def join(self, members: tuple[str, ...], hold_s: float) -> None:
        events = Events(
            message=self._heard,
            unreachable=self.unreachable.append,
            snapshot_ended=lambda _peer, delivered: self.snapshots_ended.append(delivered),
            refused=lambda *_: None,
            admit=lambda _node, _disk: True,
            disk_of=lambda _node: "",
            replaced=lambda *_: None,
        )
        identity = Identity("c", self.url, "n", members, f"disk of {self.url}")
        self.transport = Transport(identity, events, secret="", deadline_s=0.5, hold_s=hold_s)

    def _heard(self, message: Message) -> None:
        self.heard.append(message)
        self.hear(self, message)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ")[1].decode()
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.bodies.append(length)
                if self.holds_back(path):
                    continue
                status, answer = await self._answer(path, body)
                writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(answer), answer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other end has closed, as it may
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            return 200, await self.transport.receive(body)
        except SimpulError as refusal:
            return 409, str(refusal).encode()

    async def close(self) -> None:
        await self.transport.stop()
        self._server.close()


def between(scenario: Callable[[End, End], Awaitable[None]], hear: Hear, hold_s: float = 5.0) -> None:
    """Run `scenario` with two ends, of which the second hears with `hear`."""

    async def run() -> None:
        here, there = End(), End(hear)
        await here.open()
        await there.open()
        for end in (here, there):
            end.join((here.url, there.url), hold_s)
        try:
            await asyncio.wait_for(scenario(here, there), 20)
        finally:
            await here.close()
            await there.close()

    asyncio.run(run())


async def until(condition: Callable[[], Any], what: str) -> None:
    async def holds() -> bool:
        return bool(condition())

    await eventually(holds, what)


def answering(end: End, message: Message) -> None:
    if isinstance(message, VoteRequest):
        end.transport.send([VoteReply(message.to, message.sender, message.term, granted=True)])
    elif isinstance(message, Heartbeat):
        end.transport.send([HeartbeatReply(message.to, message.sender, message.term, message.read_round)])


def silent(_end: End, _message: Message) -> None:
    pass


def test_an_answer_rides_home_in_the_response() -> None:
    async def scenario(here: End, there: End) -> None:
        here.transport.send([VoteRequest(here.url, there.url, 3, 0, 0), Heartbeat(here.url, there.url, 3, 0, 7)])
        await until(lambda: len(here.heard) == 2, "both answers")
        assert set(here.heard) == {
            VoteReply(there.url, here.url, 3, granted=True),
            HeartbeatReply(there.url, here.url, 3, 7),
        }
        assert not there.transport.counts.requests, "no request of its own"

    between(scenario, answering)


def test_an_answer_that_comes_late_travels_by_itself() -> None:
    async def scenario(here: End, there: End) -> None:
        here.transport.send([VoteRequest(here.url, there.url, 3, 0, 0)])
        await until(lambda: there.heard, "the request")
        await until(lambda: not there.transport.peers[here.url].parked, "its response to leave empty")
        there.transport.send([VoteReply(there.url, here.url, 3, granted=True)])
        await until(lambda: here.heard == [VoteReply(there.url, here.url, 3, granted=True)], "the answer")
        assert sum(there.transport.counts.requests.values()) == 1

    between(scenario, silent, hold_s=0.02)


def test_a_heartbeat_does_not_wait_for_entries_that_are_not_answered() -> None:
    async def scenario(here: End, there: End) -> None:
        here.transport.deadline_s = 10.0
        here.transport.send([AppendRequest(here.url, there.url, 3, 0, 0, (Entry(3, 1, b"x"),), 0)])
        await until(lambda: len(there.heard) == 1, "the entries")
        here.transport.send([Heartbeat(here.url, there.url, 3, 0, 7)])
        await until(lambda: here.heard == [HeartbeatReply(there.url, here.url, 3, 7)], "the heartbeat's answer")

    between(scenario, answering)


def test_what_waits_for_a_peer_that_hangs_is_bounded_and_the_newest_is_kept() -> None:
    async def scenario(here: End, there: End) -> None:
        there.holds_back = lambda _path: True
        here.transport.deadline_s = 1.0
        here.transport.send([AppendReply(here.url, there.url, 3, 0)])
        await until(lambda: there.bodies, "the first to be on its way")
        for number in range(1, 2 * QUEUE_MESSAGES_MAX):
            here.transport.send([AppendReply(here.url, there.url, 3, number)])
        assert len(here.unreachable) == QUEUE_MESSAGES_MAX - 1, "as many were dropped"
        there.holds_back = lambda _path: False
        await until(lambda: len(there.heard) == QUEUE_MESSAGES_MAX, "the others")
        matches = [message.match for message in there.heard if isinstance(message, AppendReply)]
        assert matches == list(range(QUEUE_MESSAGES_MAX, 2 * QUEUE_MESSAGES_MAX))

    between(scenario, silent, hold_s=0.01)


def test_a_snapshot_travels_in_bounded_requests_and_its_end_is_told() -> None:
    async def scenario(here: End, there: End) -> None:
        members = (here.url, there.url)
        snapshot = Snapshot(9, 2, members, bytes(range(256)) * 4096)
        here.transport.send([InstallSnapshot(here.url, there.url, 3, snapshot)])
        await until(lambda: here.snapshots_ended == [True], "its end")
        assert there.heard == [InstallSnapshot(here.url, there.url, 3, snapshot)]
        assert len(there.bodies) == len(snapshot.data) // wire.CHUNK_BYTES
        assert max(there.bodies) < wire.CHUNK_BYTES + 1024

    between(scenario, silent)


def test_a_snapshot_to_a_peer_that_does_not_answer_ends_as_not_delivered() -> None:
    async def scenario(here: End, there: End) -> None:
        there.holds_back = lambda _path: True
        here.transport.send([InstallSnapshot(here.url, there.url, 3, Snapshot(9, 2, (here.url, there.url), b"x"))])
        await until(lambda: here.snapshots_ended == [False], "its end")
        assert here.unreachable == [there.url]

    between(scenario, silent)
