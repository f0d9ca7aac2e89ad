"""Proof that a hold which Redis lost was still running: the node that granted or renewed it last remembers.

Without proof a token of an older generation proves nothing: its lease may have ended long ago and the lock gone to
somebody else, who still works. So a holder is taken up again only if some node says that its lease runs.
"""

from __future__ import annotations

import asyncio

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
        if own is not None:
            return own
        body = _encoder.encode(Question(lock, owner, token))
        found = await asyncio.gather(*(self._ask(node, body) for node in self._others))
        return max((lease for lease in found if lease is not None), key=lambda lease: lease.left_ms, default=None)

    async def shortened(self, lock: bytes, owner: bytes, token: int) -> None:
        """A lease now ends earlier than another node may remember: that one must not vouch for it any more. A node that
        does not answer is not waited for: it can vouch wrongly only if Redis loses this very renewal, and the holder
        renews through it after its lease has ended."""
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

    async def _ask(self, node: NodeId, body: bytes) -> Lease | None:
        # A connection of its own: this happens once in a quarantine, to whoever held a lock through another node.
        connection = Connection(node, self._secret, ANSWER_BYTES_MAX)
        try:
            answer = await connection.post(PATH, body, DEADLINE_S)
            return _answer_decoder.decode(answer.body) if answer.status == 200 else None
        except (Unreachable, msgspec.DecodeError):
            return None  # a node that is away proves nothing
        finally:
            connection.close()
