"""One node: its parts started in order and stopped in the reverse of it."""

import asyncio
import gc
import logging
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn
from prometheus_client import start_http_server

from service import background, logs
from service.assembly import assemble
from service.config import Config, ConfigError
from service.http.app import Application
from service.http.context import Context
from service.http.metrics import registry
from service.http.protocol import protocol_for
from service.raft.errors import RaftError

log = logging.getLogger("simpul.node")

STOP_GRACE_S = 5
LAG_EVERY_S = 1.0
TICK_EVERY_S = 1.0
"""How often the date in the head of an answer is made anew."""


def application(context: Context) -> Application:
    @asynccontextmanager
    async def lifetime() -> AsyncIterator[None]:
        context.primaries.start()
        context.subscriber.start()
        context.authority.start()
        context.duties.start()
        context.waiting.start()
        context.takers.start()
        context.deadlocks.start()
        context.keeper.start()
        context.cache_names.start()
        context.auditor.start()
        # What start-up made lives as long as the node: left out, a full collection under load takes 3 ms instead of 20.
        gc.collect()
        gc.freeze()
        lag = background.start(_measure_lag(context), "event loop lag")
        try:
            yield
        finally:
            await background.stop(lag)
            await context.takers.stop()
            await context.deadlocks.stop()
            await context.watching.stop()
            await context.cache_names.stop()
            await context.auditor.stop()
            await context.keeper.stop()
            await context.waiting.stop()
            await context.duties.stop()
            await context.authority.stop()
            await context.subscriber.stop()
            await context.primaries.stop()

    return Application(context, lifetime)


async def _measure_lag(context: Context) -> None:
    loop = asyncio.get_running_loop()
    while True:
        pause_s = background.until_beat_s(LAG_EVERY_S)
        due = loop.time() + pause_s
        await asyncio.sleep(pause_s)
        context.traffic.loop_lag.observe(max(0.0, loop.time() - due))


class _Server(uvicorn.Server):
    """Ends parked requests before waiting for connections to close."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_end = asyncio.Event()

    async def main_loop(self) -> None:
        """uvicorn's own wakes an idle process ten times a second to see whether a signal came."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(background.until_beat_s(TICK_EVERY_S)):
                    await self._told_to_end.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told_to_end.set)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again at the end; a node that stopped as asked ends with exit code 0."""
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        # First, while the others can still answer: they need no election then.
        await self._context.member.hand_over()
        self._context.waiting.close()
        self._context.takers.close()
        self._context.caches.filler.close()
        self._context.watching.close()
        await super().shutdown(sockets)  # type: ignore[arg-type]
        log.info("stopped")


def _bound_socket(config: Config) -> socket.socket:
    """Bound before anything else starts, so that a port in use is told by its setting and not from deep inside."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((config.host, config.http_port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"cannot listen on {config.host}:{config.http_port} ({error.strerror}): choose another HTTP_PORT or "
            "SIMPUL_HOST, or stop the program that uses it"
        ) from None
    return bound


def _check_data_folder(config: Config) -> None:
    try:
        Path(config.data_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=config.data_dir):
            pass
    except OSError as error:
        raise ConfigError(
            f"SIMPUL_DATA={config.data_dir!r} cannot be written ({error.strerror}): this node's state must survive it; "
            "name a folder that this user may write"
        ) from None


def run(config: Config) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit code. Raises ConfigError."""
    logs.configure(config)
    _check_data_folder(config)
    bound = _bound_socket(config)
    try:
        context = assemble(config)
    except RaftError as error:
        bound.close()
        raise ConfigError(f"{config.node_id} does not start: {error}") from error
    log.info("%s listens on %s:%d", config.node_id, config.host, config.http_port)
    app = application(context)
    server = _Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=protocol_for(app),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_GRACE_S,
        ),
        context,
    )
    metrics = None
    if config.metrics_port:
        try:
            metrics = start_http_server(config.metrics_port, addr=config.host, registry=registry(context))
        except OSError as error:
            bound.close()
            raise ConfigError(
                f"cannot listen on METRICS_PORT={config.metrics_port} ({error.strerror}): choose another, or 0 for none"
            ) from None
    try:
        server.run(sockets=[bound])
    finally:
        bound.close()
        if metrics is not None:
            metrics[0].shutdown()
            metrics[0].server_close()
    return 0 if server.started else 1
