"""Deadlocks over nodes and partitions: found, one wait ended, and everybody else served."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.keys import Keys
from service.lock.deadlock import told as telling
from service.lock.deadlock.told import Telling, Told
from tests.deadlock import planted, schedule
from tests.deadlock.judge import Found
from tests.event_stream import watching
from tests.support import NodeProcess, RedisServer, cluster, redis_server, wait_until

FOUND_WITHIN_S = 3.0
"""Measured: 0.06 s (docs/performance.md). Machines that run tests may be ten times as slow."""


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, list[NodeProcess]]]:
    folder = tmp_path_factory.mktemp("deadlocks")
    with redis_server(folder / "redis") as server, cluster(folder, server.url, nodes=3) as nodes:
        yield server, nodes


Trio = tuple[RedisServer, list[NodeProcess]]


def acquire(node: NodeProcess, resource: str, owner: str, **more: Any) -> Any:
    return node.post("/lock/acquire", {"resource": resource, "owner": owner, "timeout": 0, **more}).json


def release(node: NodeProcess, resource: str, owner: str) -> None:
    assert node.post("/lock/release", {"resource": resource, "owner": owner}).status == 200


def line(node: NodeProcess, resource: str) -> list[str]:
    return [waiter["owner"] for waiter in node.get(f"/lock/{resource}").json["waiters"]]


def figure(node: NodeProcess, name: str) -> float:
    lines = node.get("/metrics").body.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def told(nodes: list[NodeProcess]) -> float:
    """How many waits the leader knows, whoever that is."""
    return sum(figure(node, "simpul_lock_waits_told") for node in nodes)


def term(nodes: list[NodeProcess]) -> int:
    return max(int(node.get("/raft/state").json["term"]) for node in nodes)


def leader_of(nodes: list[NodeProcess]) -> NodeProcess:
    url = wait_until(lambda: nodes[0].get("/raft/state").json["leader_url"], "a leader")
    return next(node for node in nodes if node.url == url)


class Waiting:
    """An acquire that waits, in a thread."""

    def __init__(self, node: NodeProcess, resource: str, owner: str, **more: Any) -> None:
        body = {"owner": owner, "timeout": 12, **(more if "resources" in more else {"resource": resource, **more})}
        self.answer: Any = None
        self.answered_at = 0.0
        self._thread = threading.Thread(target=self._run, args=(node, body))
        self._thread.start()
        wait_until(
            lambda: self.answer or owner in line(node, resource),
            f"{owner} to wait",
        )

    def _run(self, node: NodeProcess, body: dict[str, Any]) -> None:
        try:
            self.answer = node.post("/lock/acquire", body).json
        except OSError as error:
            self.answer = {"error": error}
        self.answered_at = time.monotonic()

    def result(self) -> Any:
        self._thread.join()
        return self.answer


def test_planted_circles_of_every_length_are_found_and_the_last_wait_is_ended(trio: Trio) -> None:
    async def all_of(ports: list[int]) -> list[Found]:
        return [await planted.run(seed, ports) for seed in range(2 * len(planted.LENGTHS))]

    found = asyncio.run(all_of([node.port for node in trio[1]]))
    assert sorted(one.after_s for one in found)[len(found) // 2] < FOUND_WITHIN_S


def test_random_schedules_give_no_false_alarm_and_nobody_waits_in_vain(trio: Trio) -> None:
    async def all_of(ports: list[int]) -> list[schedule.Outcome]:
        return await asyncio.gather(*(schedule.run(seed, ports) for seed in range(12)))

    outcomes = asyncio.run(all_of([node.port for node in trio[1]]))
    assert sum(outcome.grants for outcome in outcomes) > 50


def test_the_refusal_tells_the_whole_circle(trio: Trio) -> None:
    _, (one, two, three) = trio
    tokens = {owner: acquire(one, f"tell-{owner}", owner)["token"] for owner in ("ann", "bob")}
    first = Waiting(two, "tell-bob", "ann")
    refused = acquire(three, "tell-ann", "bob", timeout=12)
    assert {name: refused[name] for name in ("granted", "code", "owner", "resource", "length", "cycle")} == {
        "granted": False,
        "code": "lock_deadlock",
        "owner": "bob",
        "resource": "tell-ann",
        "length": 2,
        "cycle": [
            {
                "owner": "bob",
                "waits_for": "tell-ann",
                "mode": "exclusive",
                "held_by": "ann",
                "held_mode": "exclusive",
                "token": tokens["ann"],
            },
            {
                "owner": "ann",
                "waits_for": "tell-bob",
                "mode": "exclusive",
                "held_by": "bob",
                "held_mode": "exclusive",
                "token": tokens["bob"],
            },
        ],
    }
    assert one.get("/lock/tell-bob").json["holders"][0]["token"] == tokens["bob"], "it keeps what it holds"
    release(one, "tell-bob", "bob")
    assert first.result()["granted"]


def test_who_watches_the_lock_hears_of_the_deadlock(trio: Trio) -> None:
    _, (one, two, three) = trio
    acquire(one, "watched-1", "ann")
    acquire(one, "watched-2", "bob")
    with watching(two.url, lock="watched-1") as stream:
        stream.until(lambda event: event.name == "state")
        first = Waiting(two, "watched-2", "ann")
        assert acquire(three, "watched-1", "bob", timeout=12)["code"] == "lock_deadlock"
        event = stream.until(lambda event: event.name == "deadlock").data
    assert (event["owner"], event["mode"], event["about"]) == ("bob", "exclusive", {"because_of": "ann"})
    release(one, "watched-2", "bob")
    assert first.result()["granted"]


def test_every_node_shows_who_waits_for_whom(trio: Trio) -> None:
    _, nodes = trio
    token = acquire(nodes[0], "shown", "holder")["token"]
    waiters = [Waiting(nodes[1], "shown", "w0"), Waiting(nodes[2], "shown", "w1")]

    def shown(node: NodeProcess) -> dict[str, Any]:
        waits = node.get("/locks/waits").json["waits"]
        return {wait["owner"]: wait for wait in waits if wait["waits_for"] == "shown"}

    for node in nodes:
        wait_until(lambda: len(shown(node)) == 2, "both to be told")  # noqa: B023
        waits = shown(node)
        assert (waits["w0"]["position"], waits["w1"]["position"]) == (1, 2)
        assert (waits["w0"]["behind"], waits["w1"]["behind"]) == (None, "w0")
        assert waits["w0"]["held_by"] == [{"owner": "holder", "mode": "exclusive", "token": token}]
        assert waits["w0"]["waits_ms"] >= waits["w1"]["waits_ms"]
    release(nodes[0], "shown", "holder")
    for owner, waiter in zip(("w0", "w1"), waiters, strict=True):
        assert waiter.result()["granted"]
        release(nodes[0], "shown", owner)
    wait_until(lambda: not shown(nodes[1]), "nobody to wait")


def test_a_request_for_several_locks_that_closes_a_circle_gives_back_what_it_had_taken(trio: Trio) -> None:
    """Its locks are in different partitions, so it holds the first while it waits for the second."""
    _, (one, two, three) = trio
    first, second = sorted(("several-1", "several-2"), key=lambda name: Keys("").partition_of(name.encode()).number)
    acquire(one, "several-own", "m")
    acquire(one, second, "b")
    waiting = Waiting(two, "several-own", "b")
    body = {"resources": [first, second], "owner": "m", "timeout": 12}
    refused = three.post("/lock/acquire", body).json
    assert (refused["code"], refused["length"], refused["resource"]) == ("lock_deadlock", 2, second)
    assert one.get(f"/lock/{first}").json["holders"] == []
    assert line(one, second) == []
    release(one, "several-own", "m")
    assert waiting.result()["granted"]


def test_who_waits_behind_a_request_for_several_locks_that_waits_for_it_is_ended(trio: Trio) -> None:
    """In one partition it stands in all lines at once, and holds nothing."""
    _, (one, two, three) = trio
    acquire(one, "{t}a", "holder")
    several = Waiting(two, "{t}b", "m", resources=["{t}a", "{t}b"])
    refused = acquire(three, "{t}b", "holder", timeout=12)
    assert refused["code"] == "lock_deadlock"
    assert [(step["owner"], step["waits_for"]) for step in refused["cycle"]] == [("holder", "{t}b"), ("m", "{t}a")]
    assert refused["cycle"][0]["behind"] == "m"
    release(one, "{t}a", "holder")
    assert several.result()["granted"]


def test_a_request_for_several_locks_that_is_ended_leaves_all_its_lines(trio: Trio) -> None:
    _, (one, two, three) = trio
    for resource in ("{u}own", "{u}x"):
        acquire(one, resource, "m" if resource == "{u}own" else "b")
    acquire(one, "{u}y", "innocent")
    waiting = Waiting(two, "{u}own", "b")
    refused = three.post("/lock/acquire", {"resources": ["{u}x", "{u}y"], "owner": "m", "timeout": 12}).json
    assert (refused["code"], refused["resource"]) == ("lock_deadlock", "{u}x")
    assert (line(one, "{u}x"), line(one, "{u}y")) == ([], [])
    release(one, "{u}own", "m")
    assert waiting.result()["granted"]


def test_an_upgrade_that_closes_a_circle_is_found(trio: Trio) -> None:
    """a and b read x; b waits for what a holds; then a wants to write x."""
    _, (one, two, three) = trio
    acquire(one, "upgraded-own", "a")
    token = acquire(one, "upgraded-x", "a", mode="shared")["token"]
    acquire(one, "upgraded-x", "b", mode="shared")
    waiting = Waiting(two, "upgraded-own", "b")
    answers: list[Any] = []
    body = {"resource": "upgraded-x", "owner": "a", "token": token, "timeout": 12}
    upgrade = threading.Thread(target=lambda: answers.append(three.post("/lock/upgrade", body).json))
    upgrade.start()
    upgrade.join()
    # It joined an empty line, so its wait is the youngest.
    assert (answers[0]["code"], answers[0]["length"]) == ("lock_deadlock", 2)
    assert answers[0]["cycle"][0]["mode"] == "upgrade"
    release(one, "upgraded-own", "a")
    assert waiting.result()["granted"]
    assert one.get("/lock/upgraded-x").json["holder_count"] == 2, "both read on"


def test_a_lease_that_ends_breaks_the_circle_and_nobody_is_ended(trio: Trio) -> None:
    """The lease is shorter than the grace in which no wait is told."""
    _, (one, two, three) = trio
    acquire(one, "brief-1", "a")
    acquire(one, "brief-2", "b", ttl_ms=50)
    first = Waiting(two, "brief-2", "a")
    second = Waiting(three, "brief-1", "b")
    assert first.result()["granted"]
    release(one, "brief-1", "a")
    assert second.result()["granted"]


def test_those_who_wait_for_themselves_under_one_name_are_left_alone(trio: Trio) -> None:
    """Two processes of one name: the lock is there for them, too."""
    _, (one, two, _) = trio
    acquire(one, "namesake", "worker")
    waiting = Waiting(two, "namesake", "worker")
    wait_until(lambda: told(trio[1]) >= 1, "the wait to be told")
    release(one, "namesake", "worker")
    assert waiting.result()["granted"]


def test_waits_are_told_once_and_cost_nothing_while_they_last(trio: Trio) -> None:
    _, nodes = trio
    one, two, _ = nodes
    wait_until(lambda: told(nodes) == 0, "earlier waits to be forgotten")
    locks = [f"idle-{number}" for number in range(10)]
    for lock in locks:
        acquire(one, lock, f"holder-{lock}")
    waiters = [Waiting(two, lock, f"{lock}-w{number}") for lock in locks for number in range(5)]

    def spent() -> tuple[float, ...]:
        """In which term, and in all: an election costs a telling of each node."""
        names = ("simpul_lock_tellings_total", "simpul_deadlock_lines_read_total")
        return (term(nodes), *(figure(node, name) for node in nodes for name in names))

    def is_settled() -> bool:
        unexplored = sum(figure(node, "simpul_lock_waits_unexplored") for node in nodes)
        return told(nodes) == len(waiters) and unexplored == 0

    while True:
        wait_until(is_settled, "all to be told and explored")
        before = spent()
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 1.5, "a while in which all just wait")  # noqa: B023
        after = spent()
        if before[0] == after[0]:
            break
    assert after == before, "who waits on costs nothing"
    for lock in locks:
        release(one, lock, f"holder-{lock}")
    for waiter in waiters:
        granted = waiter.result()
        assert granted["granted"]
        release(one, granted["resource"], granted["owner"])


def test_a_circle_that_forms_while_the_leader_dies_is_found_by_the_next(trio: Trio, tmp_path: Path) -> None:
    server, _ = trio
    with cluster(tmp_path, server.url, nodes=3, CLUSTER_NAME="dies") as nodes:
        leader = leader_of(nodes)
        one, two = (node for node in nodes if node is not leader)
        acquire(one, "r1", "a")
        acquire(two, "r2", "b")
        first = Waiting(one, "r2", "a")
        wait_until(lambda: told(nodes) == 1, "the first wait to be told")
        leader.signal(9)
        second = Waiting(two, "r1", "b")
        refused = second.result()
        assert (refused["code"], refused["length"]) == ("lock_deadlock", 2)
        release(one, "r2", "b")
        assert first.result()["granted"]


def test_a_victim_whose_message_was_lost_hears_of_it_when_its_node_attends(trio: Trio) -> None:
    server, nodes = trio
    one, two, three = nodes
    acquire(one, "deaf-1", "a")
    acquire(one, "deaf-2", "b")
    first = Waiting(two, "deaf-2", "a")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-subscribe")
        try:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            wait_until(lambda: figure(three, "simpul_subscription_up") == 0, "the loss to be noticed")
            refused = acquire(three, "deaf-1", "b", timeout=12)
            assert refused["code"] == "lock_deadlock"
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+subscribe")
    for node in nodes:
        wait_until(lambda: figure(node, "simpul_subscription_up") == 1, "the subscription")  # noqa: B023
    release(one, "deaf-2", "b")
    assert first.result()["granted"]


def test_what_no_node_would_tell_is_refused_and_nothing_is_noted(trio: Trio) -> None:
    _, nodes = trio
    leader = leader_of(nodes)
    other = next(node for node in nodes if node is not leader)
    body = telling.encode(Telling("stranger", "life", 1, 1, (Told(b"w", b"ghost", ("r",)),), ()))
    term = leader.get("/raft/state").json["term"]
    for node, sent, status, code in (
        (leader, b"nonsense", 400, "raft_message_invalid"),
        (leader, telling.encode(Telling("stranger", "life", term + 1, 1, (), ())), 503, "not_committed"),
        (other, body, 503, "not_committed"),
    ):
        answer = node.post(telling.PATH, sent)
        assert (answer.status, answer.json["code"]) == (status, code)
    assert all(wait["owner"] != "ghost" for wait in leader.get("/locks/waits").json["waits"])
    wrong = leader.post("/locks/waits", {})
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
