"""What nodes say to each other: POST /raft/*, MessagePack in and out, refused for everyone else."""

import hmac
from collections.abc import Mapping

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
from service.raft.transport import Transport
from service.raft.wire import PARCEL_BYTES_MAX

_SECRET_HEADER = SECRET_HEADER.encode()
_CONTENT_TYPE = (b"content-type", b"application/x-msgpack")


def endpoints(authority: Authority, deadlocks: Mapping[str, Answering]) -> dict[str, "NodeEndpoint"]:
    """By path; `deadlocks` are the answers of that part. The application calls them itself: Starlette's layers around a
    route cost more than a heartbeat does."""

    member = authority.member
    secret = member.config.cluster_secret.encode()
    answers = {decide.PATH: member.decisions.receive, **authority.answers(), **deadlocks}
    return {
        **{path: NodeEndpoint(path, _received(member.transport, path), secret) for path in transport.PATHS},
        **{path: NodeEndpoint(path, answer, secret) for path, answer in answers.items()},
    }


def _received(messages: Transport, path: str) -> Answering:
    async def receive(body: bytes) -> bytes:
        return await messages.receive(path, body)

    return receive


class NodeEndpoint:
    """One path, as an ASGI application."""

    def __init__(self, path: str, answer: Answering, secret: bytes) -> None:
        self._path = path
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
        try:
            # Before the body is read: a stranger must not make this node hold megabytes.
            self._refuse_strangers(scope)
            body = await read_body(receive, PARCEL_BYTES_MAX)
            if len(body) > PARCEL_BYTES_MAX:
                raise BodyTooLarge(limit_bytes=PARCEL_BYTES_MAX)
            reply = await self._answer(body)
        except SimpulError as error:
            return problem(error)
        except ClientGone:
            raise
        except Exception as error:
            return problem(unforeseen(error, self._path))
        return 200, [_CONTENT_TYPE, (b"content-length", b"%d" % len(reply))], reply

    def _refuse_strangers(self, scope: Scope) -> None:
        if self._secret:
            given = next((value for name, value in scope["headers"] if name == _SECRET_HEADER), b"")
            if not hmac.compare_digest(given, self._secret):
                reason = "the cluster secret is wrong" if given else "the cluster secret is missing"
                raise RaftForbidden(path=self._path, reason=reason)
            return
        client = scope.get("client")
        if client is not None and not is_loopback(client[0]):
            reason = f"this node has no SIMPUL_CLUSTER_SECRET and {client[0]} is not a loopback address"
            raise RaftForbidden(path=self._path, reason=reason)
