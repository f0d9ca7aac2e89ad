"""Calls on their way through a topology, against servers that the test scripts: the one place where fakes stand for
Redis nodes and sentinels, because no real one errs on command."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import hiredis
import pytest

from service.cache.reading import GET
from service.error_registry import OutcomeUnknown, StoreRefused, StoreUnavailable, StoreUnsettled
from service.keys import Keys
from service.redis_url import parse
from service.store.bundle import shipped
from service.store.cluster import REDIRECTIONS_MAX
from service.store.link import Link
from service.store.primaries import Primaries, primaries_of
from service.store.scripts import Scripts
from service.store.sentinel import Sentinels
from tests.support import eventually

KEYS = Keys("simpul")
PARTITION = KEYS.partitions[0]
TIMEOUT_S = 0.5
PATIENCE_S = 20.0
"""A timeout that no slow machine reaches."""
OK = b"*1\r\n$2\r\nok\r\n"
HANG_UP = b""
HOLD = b"?"
"""Not sent: this reply and those after it wait for `release`."""

Answer = Callable[[list[bytes]], bytes | None]


class Node:
    """Answers what every server answers, and `answer` before that; keeps the commands it was sent."""

    def __init__(self) -> None:
        self.heard: list[list[bytes]] = []
        self.answer: Answer = lambda _: None
        self.role = "master"
        self.release = asyncio.Event()
        self.address = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server
        self.release.set()
        self._server.close()

    def calls(self) -> list[bytes]:
        return [command[0] for command in self.heard if command[0] in (b"EVALSHA", b"ASKING")]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                commands.feed(data)
                while (command := commands.gets()) is not False:
                    self.heard.append(command)
                    reply = self.answer(command)
                    if reply == HANG_UP:
                        return
                    if reply == HOLD:
                        await self.release.wait()
                        reply = OK
                    writer.write(self._usual(command) if reply is None else reply)
        except ConnectionError:
            return
        finally:
            writer.close()

    def _usual(self, command: list[bytes]) -> bytes:
        if command[0] == b"INFO":
            fields = {"run_id": self.address, "master_replid": "r", "role": self.role, "redis_version": "7"}
            return bulk("".join(f"{name}:{value}\r\n" for name, value in {**fields, "loading": 0}.items()))
        return b"+OK\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def array(*parts: bytes) -> bytes:
    return b"*%d\r\n%s" % (len(parts), b"".join(parts))


def error(text: str) -> bytes:
    return b"-" + text.encode() + b"\r\n"


class Fences:
    async def refused(self, seen: bytes | None) -> bool:
        return False


class OpenGate:
    async def admit(self, link: Link) -> None:
        return


class ClosedGate:
    """Asks the server once, and then waits for ever."""

    def __init__(self) -> None:
        self.asked: Any = None
        self.was_cancelled = False

    async def admit(self, link: Link) -> None:
        self.asked = await link.execute("PING")
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cancelled = True


def owned_by(owner: Node, epoch: int = 1) -> Answer:
    """What a node says about a cluster in which one primary owns every slot."""
    host, port = owner.address.split(":")

    def answer(command: list[bytes]) -> bytes | None:
        if command[:2] == [b"CLUSTER", b"SLOTS"]:
            place = array(bulk(host), b":%d\r\n" % int(port), bulk("id" + port))
            return array(array(b":0\r\n", b":16383\r\n", place))
        if command[:2] == [b"CLUSTER", b"NODES"]:
            return bulk(f"id{port} {owner.address}@1 master - 0 0 {epoch} connected 0-16383\n")
        return None

    return answer


def scripted(map_answer: Answer, *replies: bytes) -> Answer:
    """The map, and these replies to EVALSHA in turn; the last of them for ever."""
    left = list(replies)

    def answer(command: list[bytes]) -> bytes | None:
        if command[0] == b"EVALSHA":
            return left.pop(0) if len(left) > 1 else left[0]
        return map_answer(command)

    return answer


@asynccontextmanager
async def served(count: int) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        nodes = [Node() for _ in range(count)]
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.stop)
        yield nodes


@asynccontextmanager
async def linked(url: str, gate: Any = None, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Primaries]:
    made = primaries_of(
        url, keys=KEYS, client_name="t", in_flight_max=100, timeout_s=timeout_s, gate=gate or OpenGate()
    )
    made.start()
    try:
        yield made
    finally:
        await made.stop()


async def up(primaries: Primaries) -> Scripts:
    async def is_up() -> bool:
        return primaries.is_up

    await eventually(is_up, "the primaries to be up")
    scripts = Scripts(primaries, Fences())
    scripts.activate(shipped(), 1, b"1.set")
    return scripts


def get(scripts: Scripts) -> Any:
    return scripts.call(GET, PARTITION, (PARTITION.cache + b"k",), ())


def cluster_url(*nodes: Node) -> str:
    return f"redis+cluster://{','.join(node.address for node in nodes)}"


def test_two_nodes_that_send_a_call_back_and_forth_are_given_up() -> None:
    async def scenario() -> None:
        async with served(2) as (one, two):
            one.answer = scripted(owned_by(one), error(f"MOVED 1 {two.address}"))
            two.answer = scripted(owned_by(one), error(f"MOVED 1 {one.address}"))
            async with linked(cluster_url(one)) as primaries:
                scripts = await up(primaries)
                primaries._routes.guest(two.address)
                with pytest.raises(StoreUnsettled):
                    await get(scripts)
            sent = len(one.calls()) + len(two.calls())
            assert 2 < sent <= REDIRECTIONS_MAX + 1

    asyncio.run(scenario())


def test_an_asking_goes_right_before_the_call_it_is_for() -> None:
    async def scenario() -> None:
        async with served(2) as (source, target):
            source.answer = scripted(owned_by(source), error(f"ASK 1 {target.address}"))
            target.answer = scripted(owned_by(source), error("NOSCRIPT No matching script"), OK)
            async with linked(cluster_url(source)) as primaries:
                scripts = await up(primaries)
                assert await get(scripts) == [b"ok"]
                assert primaries.link_of(PARTITION).address == source.address, "the slot has not moved yet"
                assert primaries.partitions_of(primaries.links[1]) == ()
            spoken = [command[0] for command in target.heard if command[0] in (b"ASKING", b"EVALSHA", b"SCRIPT")]
            assert spoken == [b"ASKING", b"EVALSHA", b"SCRIPT", b"ASKING", b"EVALSHA"]

    asyncio.run(scenario())


@pytest.mark.parametrize("reason", ["TRYAGAIN Multiple keys request", "CLUSTERDOWN Hash slot not served"])
def test_a_cluster_that_does_not_settle_is_a_503_after_the_timeout(reason: str) -> None:
    async def scenario() -> None:
        async with served(1) as (node,):
            node.answer = scripted(owned_by(node), error(reason))
            async with linked(cluster_url(node)) as primaries:
                scripts = await up(primaries)
                began = asyncio.get_running_loop().time()
                with pytest.raises(StoreUnsettled, match=reason.split(" ", maxsplit=1)[0]):
                    await get(scripts)
                took_s = asyncio.get_running_loop().time() - began
            # A busy machine may take its time: bounded by a pause each, not by a rate.
            assert TIMEOUT_S <= took_s < TIMEOUT_S + 5
            assert 1 < len(node.calls()) < 40, "tried again, with growing pauses"

    asyncio.run(scenario())


def test_a_call_that_settles_in_time_is_answered() -> None:
    async def scenario() -> None:
        async with served(1) as (node,):
            unsettled = [error("TRYAGAIN"), error("CLUSTERDOWN"), error("TRYAGAIN")]
            node.answer = scripted(owned_by(node), *unsettled, OK)
            async with linked(cluster_url(node)) as primaries:
                assert await get(await up(primaries)) == [b"ok"]

    asyncio.run(scenario())


def test_a_call_whose_connection_broke_is_never_sent_again() -> None:
    async def scenario() -> None:
        async with served(2) as (one, two):
            one.answer = scripted(owned_by(one), HANG_UP)
            two.answer = scripted(owned_by(one), OK)
            async with linked(cluster_url(one, two)) as primaries:
                scripts = await up(primaries)
                with pytest.raises(OutcomeUnknown):
                    await get(scripts)
            assert (one.calls(), two.calls()) == ([b"EVALSHA"], [])

    asyncio.run(scenario())


def test_keys_of_two_slots_are_a_defect_and_not_sent_again() -> None:
    async def scenario() -> None:
        async with served(1) as (node,):
            node.answer = scripted(owned_by(node), error("CROSSSLOT Keys in request don't hash to the same slot"))
            async with linked(cluster_url(node)) as primaries:
                with pytest.raises(StoreRefused, match="CROSSSLOT"):
                    await get(await up(primaries))
            assert node.calls() == [b"EVALSHA"]

    asyncio.run(scenario())


def test_a_partition_leaves_its_old_primary_only_for_one_that_carries_traffic() -> None:
    async def scenario() -> None:
        async with served(2) as (old, new):
            old.answer = scripted(owned_by(old), OK)
            async with linked(cluster_url(old), timeout_s=5.0) as primaries:
                scripts = await up(primaries)
                new.role = "slave"
                old.answer = scripted(owned_by(new, epoch=2), error(f"MOVED 1 {new.address}"))
                new.answer = scripted(owned_by(new, epoch=2), OK)
                waiting = asyncio.ensure_future(get(scripts))

                async def is_refused() -> bool:
                    return any(command[0] == b"INFO" for command in new.heard)

                await eventually(is_refused, "the new primary to be asked who it is")
                assert primaries.link_of(PARTITION).address == old.address
                assert len(primaries.partitions_of(primaries.links[-1])) == 64, "it is admitted for all it owns"
                new.role = "master"
                assert await waiting == [b"ok"]
                assert primaries.link_of(PARTITION).address == new.address
                assert [link.address for link in primaries.links] == [new.address], "the old link is closed"
            assert (len(old.calls()), len(new.calls())) == (1, 1)

    asyncio.run(scenario())


def test_a_link_is_closed_only_after_its_last_call_was_answered() -> None:
    async def scenario() -> None:
        async with served(2) as (old, new):
            old.answer = scripted(owned_by(old), HOLD)
            new.answer = scripted(owned_by(new, epoch=2), OK)
            async with linked(cluster_url(old), timeout_s=5.0) as primaries:
                scripts = await up(primaries)
                slow = asyncio.ensure_future(get(scripts))

                async def is_sent() -> bool:
                    return old.calls() == [b"EVALSHA"]

                await eventually(is_sent, "the call to be sent")
                old.answer = scripted(owned_by(new, epoch=2), HOLD)
                primaries._finder.look_again()  # type: ignore[union-attr]

                async def has_moved() -> bool:
                    return [link.address for link in primaries.links] == [new.address]

                await eventually(has_moved, "the partitions to move")
                assert await get(scripts) == [b"ok"]
                assert not slow.done()
                old.release.set()
                assert await slow == [b"ok"], "not lost with its link"

    asyncio.run(scenario())


def named(address: str, epoch: int) -> Answer:
    host, port = address.split(":")
    fields = {"ip": host, "port": port, "config-epoch": str(epoch), "flags": "master"}

    def answer(command: list[bytes]) -> bytes | None:
        if command[:2] == [b"SENTINEL", b"MASTER"]:
            return array(*(bulk(text) for pair in fields.items() for text in pair))
        return None

    return answer


def sentinels(*nodes: Node, timeout_s: float = TIMEOUT_S) -> Sentinels:
    url = f"redis+sentinel://{','.join(node.address for node in nodes)}/orders"
    return Sentinels(parse(url), client_name="t", timeout_s=timeout_s)


def test_a_sentinel_that_missed_the_failover_is_outvoted() -> None:
    async def scenario() -> None:
        async with served(3) as (stale, second, third):
            stale.answer = named("10.0.0.1:6379", 4)
            second.answer = third.answer = named("10.0.0.2:6379", 5)
            for order in ((stale, second, third), (second, third, stale)):
                assert (await sentinels(*order).primary()).address == "10.0.0.2:6379"

    asyncio.run(scenario())


def test_a_sentinel_that_hangs_costs_no_time_while_a_majority_answers() -> None:
    async def scenario() -> None:
        async with served(3) as (hangs, second, third):
            hangs.answer = lambda _: HOLD
            second.answer = third.answer = named("10.0.0.2:6379", 5)
            async with asyncio.timeout(PATIENCE_S / 2):
                found = await sentinels(hangs, second, third, timeout_s=PATIENCE_S).primary()
            assert found.address == "10.0.0.2:6379"

    asyncio.run(scenario())


def test_the_gate_may_speak_to_a_server_that_carries_no_traffic_yet() -> None:
    async def scenario() -> None:
        async with served(1) as (node,):
            gate = ClosedGate()
            async with linked(f"redis://{node.address}", gate) as primaries:

                async def is_asked() -> bool:
                    return gate.asked is not None

                await eventually(is_asked, "the gate")
                (link,) = primaries.links
                assert link.incarnation is not None
                assert link.incarnation.run_id == node.address
                assert (link.is_up, primaries.is_up, primaries.serves) == (False, False, False)
                with pytest.raises(StoreUnavailable):
                    link.send(b"*1\r\n$4\r\nPING\r\n")
                assert await link.execute("PING") == b"OK"
                link.reconnect("the test says so")

                async def is_cancelled() -> bool:
                    return gate.was_cancelled

                await eventually(is_cancelled, "the wait for a decision to end with its connection")

    asyncio.run(scenario())
