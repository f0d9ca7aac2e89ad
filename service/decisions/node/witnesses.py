"""Proof that a hold which Redis lost was still running: the node that granted or renewed it last remembers.

Without proof a token of an older generation proves nothing: its lease may have ended long ago and the lock gone to
somebody else, who still works. So a holder is taken up again only if some node says that its lease runs.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import msgspec

from service.decisions.node.leases import Lease, Leases
from service.error_registry import RaftMessageInvalid
from service.raft.connection import Connection, Unreachable
from service.raft.messages import NodeId

PATH = "/raft/lease"
DEADLINE_S = 0.5
ANSWER_BYTES_MAX = 4 << 10


class Question(msgspec.Struct, array_like=True, frozen=True):
    """Did you grant or renew this hold last, and does its lease run?"""

    lock: bytes
    owner: bytes
    token: int
    forget: bool = False
    """It was shortened since: vouch for it no more."""


class _Heard(NamedTuple):
    is_answer: bool
    """False for a node that is away."""
    lease: Lease | None = None


_encoder = msgspec.msgpack.Encoder()
_question_decoder = msgspec.msgpack.Decoder(Question)
_answer_decoder = msgspec.msgpack.Decoder(Lease | None)


class Witnesses:
    def __init__(self, leases: Leases, others: tuple[NodeId, ...], secret: str) -> None:
        self._leases = leases
        self._others = others
        self._secret = secret

    async def lease(self, lock: bytes, owner: bytes, token: int) -> Lease | None:
        """The running lease behind this token, from this node's memory or another's."""
        own = self._leases.running(lock, owner, token)
        if own is not None and not own.holds:
            return own
        body = _encoder.encode(Question(lock, owner, token))
        heard = await asyncio.gather(*(self._ask(node, body) for node in self._others))
        found = [lease for lease in (own, *(one.lease for one in heard)) if lease is not None]
        longest = max(found, key=lambda lease: lease.left_ms, default=None)
        holds = max((lease.holds for lease in found), default=0)
        if longest is None or not holds:
            return longest
        # Each node knows a re-entrant hold as it was when it came by last. Too many of them end with the lease; one too
        # few would end the hold of somebody who has it yet. So without every node there is no proof.
        return msgspec.structs.replace(longest, holds=holds) if all(one.is_answer for one in heard) else None

    async def vouch_alone(self, lock: bytes, owner: bytes, token: int) -> None:
        """A hold is less now than another node may remember, its lease shorter or its mode another: that one must not
        vouch for it any more. A node that does not answer is not waited for: it can vouch wrongly only if Redis loses
        this very change, and the holder renews through it after its lease has ended."""
        body = _encoder.encode(Question(lock, owner, token, forget=True))
        await asyncio.gather(*(self._ask(node, body) for node in self._others))

    async def answer(self, body: bytes) -> bytes:
        """What this node remembers. Raises RaftMessageInvalid."""
        try:
            asked = _question_decoder.decode(body)
        except msgspec.DecodeError as error:
            raise RaftMessageInvalid(reason=f"it is no question about a lease: {error}") from None
        if asked.forget:
            self._leases.vouch_no_more(asked.lock, asked.owner, asked.token)
        return _encoder.encode(self._leases.running(asked.lock, asked.owner, asked.token))

    async def _ask(self, node: NodeId, body: bytes) -> _Heard:
        # A connection of its own: this happens once in a quarantine, to whoever held a lock through another node.
        connection = Connection(node, self._secret, ANSWER_BYTES_MAX)
        try:
            answer = await connection.post(PATH, body, DEADLINE_S)
            return _Heard(True, _answer_decoder.decode(answer.body)) if answer.status == 200 else _Heard(False)
        except (Unreachable, msgspec.DecodeError):
            return _Heard(False)  # a node that is away proves nothing
        finally:
            connection.close()
