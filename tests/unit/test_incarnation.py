"""When a Redis is the one that it was, told from what INFO says."""

from service.store import incarnation
from service.store.incarnation import Incarnation

NEVER = "0" * 40


def info(run_id: str = "run", replid: str = "a", replid2: str = NEVER, role: str = "master") -> bytes:
    lines = ("# Server", "redis_version:7.0.0", f"run_id:{run_id}", "loading:0", f"role:{role}")
    return "\r\n".join((*lines, f"master_replid:{replid}", f"master_replid2:{replid2}")).encode()


def parsed(**fields: str) -> Incarnation:
    return incarnation.parse(info(**fields))


def test_another_process_is_another_incarnation() -> None:
    assert parsed().is_same("run", "a")
    assert not parsed(run_id="other").is_same("run", "a")


def test_a_primary_that_got_its_first_replica_or_lost_its_last_is_the_same() -> None:
    assert parsed(replid="b").is_same("run", "a")
    assert incarnation.is_still(parsed(), info(replid="b"))


def test_a_primary_that_followed_another_meanwhile_is_not() -> None:
    assert not parsed(replid="b", replid2="theirs").is_same("run", "a")
    assert not incarnation.is_still(parsed(), info(replid="b", replid2="theirs"))


def test_a_replica_is_not_still_a_primary() -> None:
    assert not incarnation.is_still(parsed(), info(role="slave"))


def test_a_server_that_does_not_tell_its_past_is_not_trusted_with_another_id() -> None:
    silent = info(replid="b").replace(b"master_replid2", b"hidden")
    assert not incarnation.parse(silent).is_same("run", "a")
    assert incarnation.parse(silent).is_same("run", "b")
