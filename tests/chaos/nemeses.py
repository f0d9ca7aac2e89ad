"""Faults, each a plain function of a world. It returns when the fault is over, or has done what it does.

A pause in here is the length of a fault, not a wait for something. `loses` says that Redis may forget what it
acknowledged: then messages and values from before may be gone, but no lock may have two holders. Redis writes each
command to its append-only file before it answers (`appendfsync always`), but where a nemesis wants it to keep nothing.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.proxy import FROM_TARGET
from tests.chaos.world import FAKETIME, NODES, World, wait_until_ready
from tests.cluster.raft_cluster import kill, pause, resume
from tests.support import RedisServer

FAULT_S = 0.8
"""How long a fault lasts that lasts: longer than most leases of the workload, and than an election of its nodes."""
LAG_S = 0.4

Fault = Callable[[World, random.Random], None]


@dataclass(frozen=True)
class Nemesis:
    """A fault, and the world it needs."""

    name: str
    family: str
    fault: Fault
    loses: bool = False
    aof: bool = True
    replica: bool = False
    fake_clocks: bool = False

    @property
    def why_not(self) -> str:
        """Why it cannot be done on this machine; empty if it can."""
        if self.fake_clocks and not FAKETIME.exists():
            return "a node's clock is set by libfaketime (Debian: apt-get install faketime)"
        return ""


NEMESES: dict[str, Nemesis] = {}


def nemesis(
    family: str, *, loses: bool = False, aof: bool = True, replica: bool = False, fake_clocks: bool = False
) -> Callable[[Fault], Fault]:
    def add(fault: Fault) -> Fault:
        name = fault.__name__
        NEMESES[name] = Nemesis(name, family, fault, loses, aof, replica, fake_clocks)
        return fault

    return add


# Nothing


@nemesis("calm")
def calm(_: World, __: random.Random) -> None:
    """No fault: what the workload alone shows."""


# Redis forgets


@nemesis("flush", loses=True)
def flushall(world: World, _: random.Random) -> None:
    _command(world.primary, "FLUSHALL")


@nemesis("restart", loses=True, aof=False)
def restart_empty(world: World, _: random.Random) -> None:
    world.primary.kill()
    world.primary.start()


@nemesis("restart", loses=True)
def restart_with_truncated_aof(world: World, chance: random.Random) -> None:
    """The last part of the append-only file never reached the disk."""
    world.primary.kill()
    (log,) = (world.folder / "primary" / "appendonlydir").glob("*.incr.aof")
    content = log.read_bytes()
    log.write_bytes(content[: int(len(content) * chance.uniform(0.3, 0.9))])
    world.primary.start("--aof-load-truncated", "yes")


@nemesis("failover", loses=True, replica=True)
def lagging_failover(world: World, _: random.Random) -> None:
    """The replica misses the last writes, the primary dies, the replica takes over."""
    assert world.replica
    assert world.replication
    world.replication.hold()
    time.sleep(LAG_S)
    old = world.primary
    old.kill()
    _command(world.replica, "REPLICAOF", "NO", "ONE")
    world.move_to(world.replica)


@nemesis("failover", loses=True, replica=True)
def promote_by_hand(world: World, _: random.Random) -> None:
    """An operator promotes a replica that is nearly in step, moves the address, and demotes the old primary."""
    assert world.replica
    old = world.primary
    _command(world.replica, "REPLICAOF", "NO", "ONE")
    world.move_to(world.replica)
    _command(old, "REPLICAOF", "127.0.0.1", str(world.replica.port))


@nemesis("failover", loses=True)
def swapped_redis(world: World, _: random.Random) -> None:
    """REDIS_URL reaches another, empty server."""
    world.move_to(world.spare)


@nemesis("keys", loses=True)
def delete_a_fence(world: World, chance: random.Random) -> None:
    _delete(world, "*:fence", chance)


@nemesis("keys", loses=True)
def delete_all_counters(world: World, chance: random.Random) -> None:
    _delete(world, "*:tokens", chance, every=True)


@nemesis("flush", loses=True)
def flush_twice(world: World, chance: random.Random) -> None:
    """Two losses at a short distance: the second may come while the first is being dealt with."""
    _command(world.primary, "FLUSHALL")
    time.sleep(chance.uniform(0, 0.3))
    _command(world.primary, "FLUSHALL")


@nemesis("restart", loses=True, aof=False)
def restart_everything_empty(world: World, _: random.Random) -> None:
    """Power fails, and Redis kept nothing."""
    for node in world.nodes:
        kill(node)
    world.primary.kill()
    world.primary.start()
    for node in world.nodes:
        node.spawn()
    for node in world.nodes:
        wait_until_ready(node)


# Redis hiccups, and keeps its data


@nemesis("restart")
def restart_with_aof(world: World, _: random.Random) -> None:
    """kill -9 of a Redis that answers after it has written (`appendfsync always`): nothing is lost."""
    world.primary.kill()
    world.primary.start()


@nemesis("hiccup")
def script_flush(world: World, _: random.Random) -> None:
    _command(world.primary, "SCRIPT", "FLUSH")


@nemesis("hiccup")
def client_pause(world: World, _: random.Random) -> None:
    _command(world.primary, "CLIENT", "PAUSE", str(int(FAULT_S * 1000)), "ALL")
    time.sleep(FAULT_S)


@nemesis("hiccup")
def client_kill(world: World, _: random.Random) -> None:
    _command(world.primary, "CLIENT", "KILL", "TYPE", "normal")
    _command(world.primary, "CLIENT", "KILL", "TYPE", "pubsub")


@nemesis("hiccup")
def redis_hangs(world: World, _: random.Random) -> None:
    world.primary.pause()
    time.sleep(FAULT_S)
    world.primary.resume()


# The way to Redis


@nemesis("way to redis")
def one_node_loses_redis(world: World, chance: random.Random) -> None:
    proxy = chance.choice(world.to_redis)
    proxy.refuse()
    time.sleep(FAULT_S)
    proxy.heal()


@nemesis("way to redis")
def answers_of_redis_lost(world: World, chance: random.Random) -> None:
    """What one node asks is done, and it never hears of it."""
    proxy = chance.choice(world.to_redis)
    proxy.mute(FROM_TARGET)
    time.sleep(FAULT_S)
    proxy.heal()


@nemesis("way to redis")
def slow_redis(world: World, chance: random.Random) -> None:
    proxy = chance.choice(world.to_redis)
    proxy.delay(chance.uniform(50, 200))
    time.sleep(FAULT_S)
    proxy.heal()


# Messages: what near caches and waiters are told


@nemesis("messages")
def a_node_is_deaf(world: World, chance: random.Random) -> None:
    """Its subscription is open and carries nothing; what it asks is answered."""
    proxy = chance.choice(world.to_redis)
    proxy.deafen()
    time.sleep(2 * FAULT_S)
    proxy.heal()


@nemesis("messages")
def messages_are_lost(world: World, chance: random.Random) -> None:
    """Subscriptions end again and again, and what is published meanwhile reaches nobody."""
    ends_at = time.monotonic() + FAULT_S
    while time.monotonic() < ends_at:
        _command(world.primary, "CLIENT", "KILL", "TYPE", "pubsub")
        time.sleep(chance.uniform(0.02, 0.2))


# Nodes


@nemesis("node dies")
def kill_a_node(world: World, chance: random.Random) -> None:
    node = chance.choice(world.nodes)
    kill(node)
    node.start()


@nemesis("node dies")
def kill_the_leader(world: World, _: random.Random) -> None:
    node = world.nodes[world.leader]
    kill(node)
    node.start()


@nemesis("node dies")
def pause_a_node(world: World, chance: random.Random) -> None:
    _pause(world, chance.randrange(NODES))


@nemesis("node dies")
def pause_the_leader(world: World, _: random.Random) -> None:
    _pause(world, world.leader)


@nemesis("partition")
def isolate_a_follower(world: World, chance: random.Random) -> None:
    """Cut off from the other nodes, not from Redis and clients."""
    leader = world.leader
    _isolate(world, chance.choice([number for number in range(NODES) if number != leader]))


@nemesis("partition")
def isolate_the_leader(world: World, _: random.Random) -> None:
    _isolate(world, world.leader)


@nemesis("partition")
def one_way_partition(world: World, _: random.Random) -> None:
    """The leader is heard by nobody, and hears all."""
    leader = world.leader
    world.cut_ways({(leader, other) for other in range(NODES) if other != leader})
    time.sleep(2 * FAULT_S)
    world.cut_ways(set())


@nemesis("partition", loses=True)
def flush_and_kill_the_leader(world: World, _: random.Random) -> None:
    """Who would decide dies as Redis forgets."""
    leader = world.nodes[world.leader]
    _command(world.primary, "FLUSHALL")
    kill(leader)
    time.sleep(FAULT_S)
    leader.start()


@nemesis("partition", loses=True)
def flush_while_the_leader_is_isolated(world: World, _: random.Random) -> None:
    """Two faults at once: nobody is there to decide when Redis forgets."""
    leader = world.leader
    world.cut_ways(_around(leader))
    _command(world.primary, "FLUSHALL")
    time.sleep(2 * FAULT_S)
    world.cut_ways(set())


@nemesis("clock", fake_clocks=True)
def clock_jumps(world: World, chance: random.Random) -> None:
    """A node's wall clock is set an hour forwards or back, twice: nodes' clocks decide nothing."""
    for _ in range(2):
        number = chance.randrange(NODES)
        world.faketime_file(number).write_text(f"{chance.choice((3600, -3600)):+d}\n")
        time.sleep(FAULT_S / 2)


# Shared


def _command(server: RedisServer, *parts: str) -> None:
    """One command on a connection of its own, which the command itself may end."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        line.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p.encode()) for p in parts))
        answer = line.recv(4096)
    assert answer[:1] in b"+:", f"{' '.join(parts)}: {answer!r}"


def _delete(world: World, pattern: str, chance: random.Random, *, every: bool = False) -> None:
    with world.primary.client() as client:
        keys = sorted(client.scan_iter(pattern, count=1000))
        assert keys, f"there is no {pattern} to delete"
        client.delete(*(keys if every else [chance.choice(keys)]))


def _pause(world: World, number: int) -> None:
    pause(world.nodes[number])
    time.sleep(2 * FAULT_S)
    resume(world.nodes[number])


def _around(number: int) -> set[tuple[int, int]]:
    return {way for other in range(NODES) if other != number for way in ((number, other), (other, number))}


def _isolate(world: World, number: int) -> None:
    world.cut_ways(_around(number))
    time.sleep(2 * FAULT_S)
    world.cut_ways(set())
