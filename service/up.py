"""The development cluster of `simpul up`: a Valkey and a few nodes as child processes of one foreground command.

Whatever ends it (Ctrl-C, SIGTERM, a child's crash, a failure while starting), everything it started is stopped,
nodes before Valkey, before it returns.
"""

import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from service import child, config, embedded, logs
from service.child import Child
from service.embedded import EmbeddedError, EmbeddedValkey

log = logging.getLogger("simpul.up")

NODES_MAX = 9
READY_S = 30.0
NODE_STOP_GRACE_S = 8.0
_PROBE_EVERY_S = 0.02
_SHOWN_LINES = 8
URL_FILE = "redis-url"
_FORCED_EXIT = 130


class UpError(Exception):
    """The cluster cannot be started, or did not stay up; the message says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `simpul up` was asked for. A port of 0 for metrics turns those ports off, for Valkey takes a free one."""

    nodes: int
    port: int
    metrics_port: int
    data: Path
    redis_url: str | None
    valkey_port: int
    appendfsync: str


def run(options: Options) -> int:
    """Start the cluster, follow it until it is told to stop or something in it ends. Returns the exit code."""
    settings = config.load(_without_node_settings(os.environ))
    colour = logs.wants_colour(settings.log_colour, sys.stderr, os.environ)
    logs.setup("up", level=settings.log_level, colour=colour)
    _check_ports(options, settings.host)
    with _folder_lock(options.data):
        return asyncio.run(Cluster(options, settings.host, colour=colour).run())


class Cluster:
    """The children, in the order they were started."""

    def __init__(self, options: Options, host: str, *, colour: bool) -> None:
        self._options = options
        self._host = host
        self._colour = colour
        self._valkey: EmbeddedValkey | None = None
        self._nodes: list[Child] = []
        self._stop = asyncio.Event()
        self._started = perf_counter()

    async def run(self) -> int:
        self._heed_signals()
        try:
            return await self._until_stopped(self._start_and_follow())
        except EmbeddedError as error:
            raise UpError(str(error)) from error
        finally:
            await self._stop_all()

    async def _start_and_follow(self) -> None:
        """Runs until a child ends. Raises UpError, EmbeddedError."""
        redis_url = self._options.redis_url or await self._start_valkey()
        _remember_url(self._options.data, redis_url)
        await asyncio.gather(*(self._start_node(number, redis_url) for number in range(1, self._options.nodes + 1)))
        following = asyncio.create_task(self._first_end(), name="follow the children")
        becoming_ready = asyncio.create_task(self._wait_ready(), name="wait until ready")
        try:
            await asyncio.wait({following, becoming_ready}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                raise following.result()
            await becoming_ready
            _say(_what_next(self._options, self._urls(), redis_url, perf_counter() - self._started))
            raise await following
        finally:
            following.cancel()
            becoming_ready.cancel()

    async def _until_stopped(self, work: "asyncio.Future[None] | object") -> int:
        working = asyncio.ensure_future(work)  # type: ignore[call-overload]
        stopping = asyncio.create_task(self._stop.wait(), name="wait for a signal")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
            return 0
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
