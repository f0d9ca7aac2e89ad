"""Tasks a node cannot live without: when one ends by a defect, the node says so and stops, rather than limping on."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Coroutine
from typing import Any

log = logging.getLogger("simpul.node")


def start(work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_ended)
    return task


def finite(work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    """Like `start`, for work that may come to its end; only a defect in it stops the node."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_failed)
    return task


async def stop(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def first_of(events: tuple[Awaitable[object], ...], within_s: float | None = None) -> None:
    """Until one of them happens, or `within_s` seconds."""
    tasks = [asyncio.ensure_future(event) for event in events]
    try:
        await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _failed(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        _ended(task)


def _ended(task: "asyncio.Task[None]") -> None:
    if task.cancelled():
        return
    error = task.exception()
    log.critical("%s ended by a defect; this node stops", task.get_name(), exc_info=error)
    os.kill(os.getpid(), signal.SIGTERM)
