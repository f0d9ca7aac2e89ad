"""The guards of the near cache, each taken out, for the tests that show that its absence is noticed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from service.cache import hearing, near, reading
from tests.near.simulator import Parts


class Mutant(NamedTuple):
    """A textual change of one module of service/cache, and the seed of a life that notices it; -1: lives do not."""

    rule: str
    seed: int
    module: str
    shipped: str
    mutated: str


MUTANTS = (
    Mutant(
        "a write does not void a read under way",
        11,
        "near",
        "fill.written = version\n        entry =",
        "pass\n        entry =",
    ),
    Mutant("a copy is not dropped by a message", 0, "near", "entry.version < version", "False"),
    Mutant(
        "a jump in the sequence is not noticed",
        434,
        "hearing",
        "self._lose(number, version - 1, is_gap=seen > 0)",
        "pass",
    ),
    Mutant("copies are served for ever once confirmed", 3, "hearing", "asked_at + self.bound_s", "2e9"),
    Mutant(
        "copies are not doubted after a gap",
        65,
        "hearing",
        "self._doubted[number] = 1\n            self.good_until[number] = 0.0",
        "pass",
    ),
    Mutant("what was read before a loss is kept", 434, "hearing", "counter >= self._lost_to[number]", "True"),
    Mutant(
        "copies are not doubted after the subscription was down",
        8,
        "hearing",
        "self._forget(number)\n            self._doubted[number] = 1",
        "self._forget(number)",
    ),
    Mutant("expected messages may stay out", 3, "hearing", "if counter <= self._seen[number]:", "if True:"),
    Mutant(
        "copies that were not compared are kept", 3, "near", "self._entries[key].version != current.get(key)", "False"
    ),
    Mutant(
        "after a comparison older reads are kept",
        702,
        "hearing",
        "self._seen[number] = counter\n        self._lost_to[number] = max(self._lost_to[number], counter)",
        "self._seen[number] = counter",
    ),
    Mutant("a server that has counted less is believed", 59, "hearing", "counter < asked.seen", "False"),
    Mutant("void reads are kept", 11, "reading", "may_keep and entry.version >= written[at]", "may_keep"),
    Mutant(
        "reads are kept whatever the counter says",
        7,
        "reading",
        "may_keep and entry.version >= written[at]",
        "entry.version >= written[at]",
    ),
    Mutant(
        "messages are counted, not numbered",
        394,
        "hearing",
        "self._lose(number, seen)",
        "self._seen[number] = seen + 1",
    ),
    Mutant("a message drops whatever copy is held", -1, "near", "entry.version < version", "True"),
    Mutant(
        "a write's answer drops no copy", -1, "near", "self.written(key, version)\n        if version %", "if version %"
    ),
    Mutant(
        "another generation empties nothing",
        0,
        "near",
        "self._empty(number)\n        for fill",
        "pass\n        for fill",
    ),
)

RACES = {
    "a_stale_fill": "a write does not void a read under way",
    "a_reconnect_gap": "copies are not doubted after the subscription was down",
    "a_lost_message": "a jump in the sequence is not noticed",
    "a_lost_last_message": "copies are served for ever once confirmed",
    "a_deaf_subscription": "copies are served for ever once confirmed",
    "a_message_heard_twice": "messages are counted, not numbered",
    "an_old_message_heard_again": "a message drops whatever copy is held",
    "a_swallowed_echo": "a write's answer drops no copy",
    "a_swallowed_echo_of_a_group": "a write's answer drops no copy",
    "a_write_of_unknown_outcome": "copies are served for ever once confirmed",
    "a_rollback": "a server that has counted less is believed",
}
"""Which guard wins the race: without it the scenario of tests/near/races.py fails."""


def mutated(mutant: Mutant) -> Parts:
    """Copies of the modules, made of their sources, without the rule."""
    made_hearing = _copy(hearing, mutant, {})
    names = {name: getattr(made_hearing, name) for name in ("Asked", "Hearing", "Verdict")}
    made_near = _copy(near, mutant, names)
    return Parts(made_near, _copy(reading, mutant, {}))


def _copy(module: ModuleType, mutant: Mutant, names: dict[str, object]) -> ModuleType:
    assert module.__file__
    source = Path(module.__file__).read_text()
    if module.__name__.endswith(f".{mutant.module}"):
        assert mutant.shipped in source, "the source has changed: change the mutant with it"
        source = source.replace(mutant.shipped, mutant.mutated, 1)
    made = ModuleType(module.__name__)
    exec(compile(source, module.__file__, "exec"), made.__dict__)  # noqa: S102 - our own source
    made.__dict__.update(names)
    return made
