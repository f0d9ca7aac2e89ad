"""What the locks protect: registers in the recording process, which therefore are linearizable without effort."""

from __future__ import annotations

from typing import Any

from tests.chaos.checkers.register import GUARDED, PLAIN
from tests.chaos.recorder import Recorder


class Register:
    """A version number a kind. The guarded one refuses a token below the highest it has seen, in reads and writes.

    A real guarded store can do no more: it knows tokens, not owners. That reads carry the token too is what makes an
    update safe: else a writer with a lower token could still write between the read and the write of the higher one.
    """

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self._recorder = recorder
        self._versions = {GUARDED: 0, PLAIN: 0}
        self._highest = 0
        self._turn = 0

    def read(self, kind: str, client: str, token: int, owner: str) -> int | None:
        """The version; None if the token is refused."""
        if not self._admits(kind, token):
            self._note(client, "read", kind, token, owner, refused=True)
            return None
        self._note(client, "read", kind, token, owner, version=self._versions[kind])
        return self._versions[kind]

    def write(self, kind: str, client: str, token: int, owner: str, base: int) -> bool:
        """Replace what was read as `base`; whether it was accepted."""
        if not self._admits(kind, token):
            self._note(client, "write", kind, token, owner, refused=True, base=base)
            return False
        self._versions[kind] += 1
        self._note(client, "write", kind, token, owner, base=base, version=self._versions[kind])
        return True

    def _admits(self, kind: str, token: int) -> bool:
        if kind == PLAIN:
            return True
        if token < self._highest:
            return False
        self._highest = token
        return True

    def _note(
        self, client: str, operation: str, kind: str, token: int, owner: str, *, refused: bool = False, **values: Any
    ) -> None:
        self._turn += 1
        values |= {"register": kind, "turn": self._turn, "token": token, "owner": owner}
        self._recorder.instant(client, operation, self.name, "refused" if refused else "ok", **values)
