"""cache.read: the latest values of one moment, and how far the partition has counted then."""

from tests.lua.runner import COUNTER_BITS, GENERATION, Runner

FLOOR = GENERATION << COUNTER_BITS


def counter(number: int) -> bytes:
    return b"%d" % (FLOOR + number)


def test_values_come_in_the_order_asked_with_the_counter(run: Runner) -> None:
    first, second = run.put("a", b"1").fields[0], run.put("b", b"2", ttl_ms=60_000).fields[0]
    run.invalidate("gone")
    code, (count, b, left_ms, none, _, a, for_ever) = run.read("b", "gone", "a")
    assert (code, count) == ("ok", counter(3)), "a removal counts too"
    assert (b, none, a) == (b"%d 2" % second, b"", b"%d 1" % first)
    assert 50_000 < left_ms <= 60_000
    assert for_ever == -1


def test_a_value_that_the_caller_has_is_not_sent_again(run: Runner) -> None:
    version = run.put("a", b"value", ttl_ms=60_000).fields[0]
    _, told, left_ms = run.read("a", known=[version]).fields
    assert (told, left_ms) == (b"=", -1), "its lifetime is not looked up: it has not changed either"


def test_a_value_that_was_replaced_is_sent(run: Runner) -> None:
    old = run.put("a", b"1").fields[0]
    new = run.put("a", b"2").fields[0]
    assert run.read("a", known=[old]).fields[1] == b"%d 2" % new
    assert run.read("a", known=[new // 10]).fields[1] == b"%d 2" % new, "its first digits are not the version"


def test_a_value_that_begins_with_digits_does_not_pass_for_its_version(run: Runner) -> None:
    version = run.put("a", b"99 1").fields[0]
    assert run.read("a", known=[99]).fields[1] == b"%d 99 1" % version


def test_a_lost_counter_is_a_loss_of_data(run: Runner) -> None:
    run.put("a")
    run.redis.delete(run.key("versions"))
    assert run.read("a") == ("fence_missing", [])


def test_a_thousand_values_are_read_at_once(run: Runner) -> None:
    run.redis.mset({run.key("entry", f"k{number}"): b"%d x" % number for number in range(1_000)})
    assert run.read(*(f"k{number}" for number in range(1_000))).fields[1::2] == [b"%d x" % n for n in range(1_000)]


def test_reading_changes_nothing(run: Runner) -> None:
    run.put("a", ttl_ms=30_000)
    before = run.snapshot()
    run.read("a", "b")
    assert run.snapshot() == before
