"""How a call is put to a script of another version: by the names of keys and arguments, not by their places.

A node runs the script set that the cluster has activated, which may be older or newer than the code that calls it.
Where the two declare the same, nothing is done and nothing is paid.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from service.store.bundle import Argument, LuaScript

ABSENT = b""
"""What a newer script gets for an argument that the caller does not know. Scripts read it as "not given"."""
_NEUTRAL = (b"", "", b"0", "0", 0)
"""What may be left out for an older script that has no such argument: it says "not used"."""

Arranged = tuple[tuple[bytes, ...], tuple[Any, ...]]
Arrange = Callable[[tuple[bytes, ...], tuple[Any, ...]], Arranged]


class Call(NamedTuple):
    """A call site's view of a script: names in the order they are sent. Held equal to the script's header."""

    name: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    items: frozenset[str] = frozenset()
    """Those of the keys and arguments, always the last ones, that are sent once per item of a batch."""
    dispensable: frozenset[str] = frozenset()
    """Arguments that a script of before can do without, whatever they say."""


class Unfit(Exception):
    """A call cannot be put to this version of the script; the message names what stands between."""


def arranging(call: Call, script: LuaScript) -> Arrange | None:
    """How to arrange what comes after the fence; None when nothing has to be. Raises Unfit, also when called with an
    argument that the script lacks and that cannot be left out."""
    keys, args = _names(script.keys), _names(script.args)
    _check_items("key", call.keys, call.items, script.keys)
    _check_items("argument", call.args, call.items, script.args)
    if (keys, args) == (call.keys, call.args):
        return None
    key_places = _places(call.keys, keys)
    # What a script only takes for topics, locks or keys of a kind that this caller knows nothing of.
    while key_places and key_places[-1] == -1 and script.keys[len(key_places) - 1].is_optional:
        key_places.pop()
    arg_places = _places(call.args, args)
    if -1 in key_places:
        raise Unfit(f"the key {keys[key_places.index(-1)]}")
    left_out = [
        place for place, name in enumerate(call.args) if place not in arg_places and name not in call.dispensable
    ]

    def arrange(given_keys: tuple[bytes, ...], given: tuple[Any, ...]) -> Arranged:
        all_keys, all_args = (b"", *given_keys), (b"", *given)
        for place in left_out:
            if all_args[place] not in _NEUTRAL:
                raise Unfit(f"the argument {call.args[place]}")
        arranged_keys = [all_keys[place] for place in key_places if place < len(all_keys)]
        arranged = [ABSENT if place < 0 else all_args[place] for place in arg_places]
        return (*arranged_keys[1:], *all_keys[len(call.keys) :]), (*arranged[1:], *all_args[len(call.args) :])

    return arrange


def _names(arguments: tuple[Argument, ...]) -> tuple[str, ...]:
    return tuple(argument.name for argument in arguments)


def _check_items(kind: str, sent: tuple[str, ...], items: frozenset[str], wanted: tuple[Argument, ...]) -> None:
    """What repeats must be the same on both sides: nothing in a call says where one item ends. Raises Unfit."""
    sends = tuple(name for name in sent if name in items)
    repeats = tuple(argument.name for argument in wanted if argument.repeats)
    if sends != repeats:
        raise Unfit(f"the repeated {kind} {', '.join(repeats or sends)}")


def _places(sent: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    """Where each name that the script wants stands in what is sent, -1 for nowhere."""
    return [sent.index(name) if name in sent else -1 for name in wanted]
