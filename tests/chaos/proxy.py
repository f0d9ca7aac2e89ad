"""TCP proxies whose target and manners can be changed while connections are open.

All of them run on one thread with a loop of its own, so that they go on while a test blocks. A proxy stands before
Redis or a node under an address that stays the same; its methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

CHUNK_BYTES = 65536
FROM_CLIENT = "from client"
FROM_TARGET = "from target"

# linux/sock_diag.h, linux/inet_diag.h, linux/netlink.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ALL_STATES = 0xFFFFFFFF
_INODE_AT = 16 + 4 + 48 + 16
_CLOSING_TURNS = 5


class ProxyThread:
    """The loop that proxies run on."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.proxies: list[Proxy] = []
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def stop(self) -> None:
        """End every proxy with its connections."""
        self.call(self._end_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _end_all(self) -> None:
        for proxy in self.proxies:
            proxy.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        # What was closed lets go of its socket in the turns after this one; the loop must not stop before.
        for _ in range(_CLOSING_TURNS):
            await asyncio.sleep(0)


class Proxy:
    """Listens on `port` of loopback, any free one, and forwards to `target_port`."""

    def __init__(self, thread: ProxyThread, target_port: int) -> None:
        self._thread = thread
        self._target_port = target_port
        self._refusing = False
        self._delay_s = 0.0
        self._mute: set[str] = set()
        self._is_deaf = False
        self._held: Callable[[int], bool] = lambda _: False
        self._open: set[_Connection] = set()
        self._changed = thread.call(_condition())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        thread.proxies.append(self)
        thread.loop.call_soon_threadsafe(thread.loop.add_reader, self._listener, self._take)

    @property
    def connections(self) -> int:
        return len(self._open)

    def retarget(self, port: int) -> None:
        """Another server from now on; connections to the old one end, as when an address moves."""
        self._target_port = port
        self.drop()

    def drop(self) -> None:
        """Reset every open connection; new ones are taken."""
        self._thread.call(self._drop())

    def refuse(self) -> None:
        """Reset every open connection, and every new one."""
        self._refusing = True
        self.drop()

    def hold(self, which: Callable[[int], bool] = lambda _: True) -> None:
        """Let nothing through, and close nothing, as a network that lost its packets.

        `which` is asked with the port of each client whether it is concerned. What was sent arrives after `heal`.
        """
        self._held = which
        self._thread.call(self._notify())

    def delay(self, delay_ms: float) -> None:
        """Every chunk arrives this much later, both ways; order within a connection stays."""
        self._delay_s = delay_ms / 1000

    def mute(self, direction: str = FROM_TARGET) -> None:
        """Swallow what comes from that side: requests are carried out and their answers lost, or the other way."""
        self._mute.add(direction)

    def deafen(self) -> None:
        """Swallow what comes on connections that have subscribed to something; the others go on."""
        self._is_deaf = True

    def heal(self) -> None:
        """Forward faithfully again. Connections that had bytes swallowed are reset: a stream has no holes."""
        spoilt = bool(self._mute) or self._is_deaf
        self._refusing, self._delay_s, self._held, self._is_deaf = False, 0.0, lambda _: False, False
        self._mute.clear()
        self._thread.call(self._notify())
        if spoilt:
            self.drop()

    async def _drop(self) -> None:
        self._end_connections()

    def close(self) -> None:
        """Listen no more, and end every connection. To be called on the loop of the proxies."""
        self._thread.loop.remove_reader(self._listener)
        self._listener.close()
        self._end_connections()

    def _end_connections(self) -> None:
        for connection in list(self._open):
            connection.abort()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def passage(self, client_port: int) -> None:
        """Returns when bytes of this client may pass."""
        if self._held(client_port):
            async with self._changed:
                await self._changed.wait_for(lambda: not self._held(client_port))

    def _take(self) -> None:
        """Accept one client. Not asyncio's server, which leaves a socket to the collector when it closes meanwhile."""
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        if self._refusing:
            _reset(client)
            return
        connection = _Connection(self, client)
        self._open.add(connection)
        connection.begin(self._target_port, self._open.discard)

    async def pump(self, connection: _Connection, direction: str, source: asyncio.StreamReader, to: Any) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            await self.passage(connection.client_port)
            if direction == FROM_CLIENT and b"\nSUBSCRIBE\r\n" in chunk:
                connection.has_subscribed = True
            if self._is_deaf and connection.has_subscribed and direction == FROM_TARGET:
                continue
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if direction not in self._mute:
                to.write(chunk)
                await to.drain()
        to.close()


class _Connection:
    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self.client_port = int(client.getpeername()[1])
        self.has_subscribed = False
        self._writers: list[asyncio.StreamWriter] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self, target_port: int, ended: Callable[[_Connection], None]) -> None:
        self._task = asyncio.ensure_future(self._carry(target_port))
        self._task.add_done_callback(lambda task: self._end(task, ended))

    async def _carry(self, target_port: int) -> None:
        requests, to_client = await asyncio.open_connection(sock=self._client)
        self._writers.append(to_client)
        await self._proxy.passage(self.client_port)
        answers, to_target = await asyncio.open_connection("127.0.0.1", target_port)
        self._writers.append(to_target)
        pumps = [
            asyncio.ensure_future(self._proxy.pump(self, FROM_CLIENT, requests, to_target)),
            asyncio.ensure_future(self._proxy.pump(self, FROM_TARGET, answers, to_client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _end(self, task: asyncio.Task[None], ended: Callable[[_Connection], None]) -> None:
        """Either side is gone, or the proxy ends it: the other side learns it by the reset."""
        ended(self)
        for writer in self._writers:
            writer.transport.abort()
        if not self._writers and self._client.fileno() >= 0:
            _reset(self._client)
        if not task.cancelled() and (failure := task.exception()) and not isinstance(failure, OSError):
            raise failure

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        if self._task is not None:
            self._task.cancel()


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


async def _condition() -> asyncio.Condition:
    return asyncio.Condition()


def process_of(client_port: int, server_port: int, pids: list[int]) -> int | None:
    """Which of these processes has the client's end of this loopback connection (Linux)."""
    inode = _inode(client_port, server_port)
    for pid in pids if inode else ():
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return pid
            except OSError:
                # It was closed between the listing and the look.
                continue
    return None


def _inode(client_port: int, server_port: int) -> int:
    """Ask the kernel for one socket (sock_diag(7)): /proc/net/tcp lists those of the whole machine, at 4 us each."""
    loopback = socket.inet_aton("127.0.0.1") + bytes(12)
    no_cookie = b"\xff" * 8
    identity = struct.pack("!HH", client_port, server_port) + loopback + loopback + bytes(4) + no_cookie
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES) + identity
    header = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + request)
        answer = kernel.recv(8192)
    (kind,) = struct.unpack_from("=H", answer, 4)
    # An error means that there is no such socket any more.
    return int(struct.unpack_from("=I", answer, _INODE_AT)[0]) if kind == _SOCK_DIAG_BY_FAMILY else 0
