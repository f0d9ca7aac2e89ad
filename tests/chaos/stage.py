"""What all clients of one run share."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.chaos.recorder import Client, Recorder
from tests.chaos.registers import Register

EXCLUSIVE = ("r0", "r1", "r2", "r3", "r4")


@dataclass
class Stage:
    recorder: Recorder
    ports: list[int]
    seed: int
    keeps_all: bool
    """Whether Redis keeps everything that it acknowledges, whatever fails in this run."""
    running: bool = True
    registers: dict[str, Register] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registers = {name: Register(name, self.recorder) for name in EXCLUSIVE}

    def client(self, name: str) -> tuple[Client, random.Random]:
        return Client(name, self.recorder, self.ports), random.Random(f"{self.seed}-{name}")


def a_node(chance: random.Random) -> int:
    return chance.randrange(3)
