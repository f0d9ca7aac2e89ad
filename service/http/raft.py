"""What nodes say to each other: POST /raft/*, MessagePack in and out, refused for everyone else."""

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from service.decisions import decide
from service.decisions.authority import Authority
from service.decisions.member import is_loopback
from service.decisions.node.leader_line import Answering
from service.error_registry import BodyTooLarge, RaftForbidden
from service.errors import SimpulError
from service.http.body import ClientGone, read_body
from service.http.hot import unforeseen
from service.http.problem import Headers, problem
from service.raft import transport
from service.raft.connection import SECRET_HEADER
from service.raft.wire import PARCEL_BYTES_MAX

_SECRET_HEADER = SECRET_HEADER.encode()
_CONTENT_TYPE = (b"content-type", b"application/x-msgpack")


def endpoints(authority: Authority, deadlocks: Mapping[str, Answering]) -> dict[str, "NodeEndpoint"]:
    """By path; `deadlocks` are the answers of that part. The application calls them itself: Starlette's layers around a
    route cost more than a heartbeat does."""

    member = authority.member
    secret = member.config.cluster_secret.encode()
    answers = {
        **dict.fromkeys(transport.PATHS, member.transport.receive),
        decide.PATH: member.decisions.receive,
        **authority.answers(),
        **deadlocks,
    }
    counts = member.transport.counts.received
    return {path: NodeEndpoint(path, answer, secret, counts) for path, answer in answers.items()}


class NodeEndpoint:
    """One path, as an ASGI application; `service.http.protocol` takes a shorter way to `answer`."""

    body_bytes_max = PARCEL_BYTES_MAX

    def __init__(self, path: str, answer: Answering, secret: bytes, counts: Counter[str]) -> None:
        """`counts`: requests by path."""
        self._path = path
        self._counts = counts
        self._answer = answer
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, headers, body = await self._perform(scope, receive)
        except ClientGone:
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _perform(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        # Before the body is read: a stranger must not make this node hold megabytes.
        refusal = self.stranger(scope["headers"], scope.get("client"))
        if refusal is not None:
            return problem(refusal)
        return await self.answer(scope["headers"], await read_body(receive, PARCEL_BYTES_MAX), receive)

    async def answer(self, _: Headers, body: bytes, __: Receive) -> tuple[int, Headers, bytes]:
        """Status, headers and body of the answer to a node that is no stranger."""
        self._counts[self._path] += 1
        try:
            if len(body) > PARCEL_BYTES_MAX:
                raise BodyTooLarge(limit_bytes=PARCEL_BYTES_MAX)
            reply = await self._answer(body)
        except SimpulError as error:
            return problem(error)
        except Exception as error:
            return problem(unforeseen(error, self._path))
        return 200, self.headers_of(reply), reply

    @staticmethod
    def headers_of(reply: bytes) -> Headers:
        return [_CONTENT_TYPE, (b"content-length", b"%d" % len(reply))]

    def stranger(self, headers: Headers, client: Sequence[Any] | None) -> RaftForbidden | None:
        """Why the sender is not one of the cluster's nodes, if so; `client` begins with its address."""
        if self._secret:
            given = next((value for name, value in headers if name == _SECRET_HEADER), b"")
            if hmac.compare_digest(given, self._secret):
                return None
            reason = "the cluster secret is wrong" if given else "the cluster secret is missing"
            return RaftForbidden(path=self._path, reason=reason)
        if client is None or is_loopback(client[0]):
            return None
        reason = f"this node has no SIMPUL_CLUSTER_SECRET and {client[0]} is not a loopback address"
        return RaftForbidden(path=self._path, reason=reason)
