"""A call put to another version of its script: by name, completely, or not at all."""

import pytest

from service.store.bundle import WHERE_USED, Argument, LuaScript
from service.store.signature import ABSENT, Arranged, Call, Unfit, arranging

PUT = Call("noun.put", ("fence", "outcome", "entry"), ("fence", "value", "ttl_ms"))
BATCH = Call(
    "noun.batch",
    ("fence", "outcome", "entry"),
    ("fence", "owner", "id", "attempt"),
    frozenset({"entry", "id", "attempt"}),
)


def script(keys: str, args: str) -> LuaScript:
    """As a header declares it; `name+` repeats, `name?` may be left out."""

    def arguments(names: str) -> tuple[Argument, ...]:
        return tuple(
            Argument(name.rstrip("+?"), WHERE_USED if name.endswith("?") else "", name.endswith("+"))
            for name in names.split()
        )

    return LuaScript("noun.put", "", "", arguments(keys), arguments(args), (), "", "safe", "", "")


def arranged(call: Call, keys: str, args: str, *sent: object, given_keys: tuple[bytes, ...] = (b"O", b"E")) -> Arranged:
    """What goes to a script with this header behind its fence, when the call site sends this behind its own."""
    arrange = arranging(call, script(keys, args))
    assert arrange is not None
    return arrange(given_keys, sent)


def test_the_same_header_costs_nothing() -> None:
    assert arranging(PUT, script("fence outcome entry", "fence value ttl_ms")) is None
    assert arranging(BATCH, script("fence outcome entry+", "fence owner id+ attempt+")) is None


def test_keys_and_arguments_go_where_the_script_has_them() -> None:
    assert arranged(PUT, "fence entry outcome", "fence ttl_ms value", b"v", 5) == ((b"E", b"O"), (5, b"v"))


def test_an_argument_that_the_caller_does_not_know_is_sent_as_not_given() -> None:
    _, args = arranged(PUT, "fence outcome entry", "fence note value ttl_ms tag", b"v", 5)
    assert args == (ABSENT, b"v", 5, ABSENT)


@pytest.mark.parametrize("unused", [b"", "", 0, "0", b"0"])
def test_an_argument_that_the_script_lacks_is_left_out_while_it_is_not_used(unused: object) -> None:
    assert arranged(PUT, "fence outcome entry", "fence value", b"v", unused) == ((b"O", b"E"), (b"v",))


@pytest.mark.parametrize("used", [b"5", "5", 5, b"00", " "])
def test_and_refused_by_name_when_it_is_used(used: object) -> None:
    with pytest.raises(Unfit, match=r"^the argument ttl_ms$"):
        arranged(PUT, "fence outcome entry", "fence value", b"v", used)


def test_a_key_that_the_script_lacks_is_not_sent() -> None:
    assert arranged(PUT, "fence entry", "fence value ttl_ms", b"v", 5) == ((b"E",), (b"v", 5))


def test_a_key_that_the_caller_does_not_know_cannot_be_made_up() -> None:
    with pytest.raises(Unfit, match=r"^the key readers$"):
        arranging(PUT, script("fence outcome readers entry", "fence value ttl_ms"))


def test_an_argument_that_scripts_of_before_can_do_without_is_left_out_whatever_it_says() -> None:
    call = PUT._replace(dispensable=frozenset({"ttl_ms"}))
    assert arranged(call, "fence outcome entry", "fence value", b"v", 5) == ((b"O", b"E"), (b"v",))


def test_keys_that_may_be_left_out_are_left_out_by_those_who_do_not_know_them() -> None:
    assert arranged(PUT, "fence outcome entry tags? lines?", "fence value ttl_ms", b"v", 5) == ((b"O", b"E"), (b"v", 5))
    with pytest.raises(Unfit, match=r"^the key tags$"):
        arranging(PUT, script("fence outcome tags? entry", "fence value ttl_ms"))


@pytest.mark.parametrize("given", [(b"O", b"E"), (b"O", b"E", b"T")])
def test_a_call_that_leaves_out_its_last_keys_does_so_for_an_older_script_too(given: tuple[bytes, ...]) -> None:
    call = PUT._replace(keys=("fence", "outcome", "entry", "tags"))
    assert arranged(call, "fence entry", "fence value ttl_ms", b"v", 5, given_keys=given) == ((b"E",), (b"v", 5))
    assert arranged(call, "fence entry outcome tags?", "fence value ttl_ms", b"v", 5, given_keys=given) == (
        (b"E", b"O", *given[2:]),
        (b"v", 5),
    )


def test_the_items_of_a_batch_follow_as_they_were_sent() -> None:
    items = (b"a", 1, b"b", 2, b"c", 3)
    keys = (b"O", b"E1", b"E2", b"E3")
    arrange = arranging(BATCH, script("fence outcome entry+", "fence note owner id+ attempt+"))
    assert arrange is not None
    assert arrange(keys, (b"w", *items)) == (keys, (ABSENT, b"w", *items))
    fewer = arranging(BATCH, script("fence entry+", "fence owner id+ attempt+"))
    assert fewer is not None
    assert fewer(keys, (b"w", *items)) == (keys[1:], (b"w", *items))


@pytest.mark.parametrize(
    ("keys", "args", "named"),
    [
        ("fence outcome entry+", "fence owner id+ attempt+ generation+", "argument id, attempt, generation"),
        ("fence outcome entry+", "fence owner attempt+ id+", "argument attempt, id"),
        ("fence outcome entry+", "fence owner id attempt+", "argument attempt"),
        ("fence outcome entry+", "fence owner id attempt", "argument id, attempt"),
        ("fence outcome entry", "fence owner id+ attempt+", "key entry"),
        ("fence outcome other+", "fence owner id+ attempt+", "key other"),
    ],
)
def test_items_of_another_make_are_refused_by_name(keys: str, args: str, named: str) -> None:
    """Nothing in a call says where an item ends: the script would read one item's values as another's."""
    with pytest.raises(Unfit, match=f"^the repeated {named}$"):
        arranging(BATCH, script(keys, args))
