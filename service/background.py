"""Tasks a node cannot live without: when one ends by a defect, the node says so and stops, rather than limping on.

And the beat that their regular work shares: to wake an idle process costs more than what it then does.
"""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Awaitable, Coroutine
from typing import Any

log = logging.getLogger("simpul.node")

_PHASE_S = random.random()  # noqa: S311 - so that the nodes of one machine do not wake together
_TOO_SOON_S = 0.05
"""A timer may be early by its grain; and what has just been done need not be done again."""


def start(work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_ended)
    return task


def finite(work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    """Like `start`, for work that may come to its end; only a defect in it stops the node."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_failed)
    return task


def until_beat_s(every_s: float) -> float:
    """Seconds, about `every_s` at the most, until what is done so often is done next: all of it at one moment."""
    left_s = every_s - (asyncio.get_running_loop().time() + _PHASE_S) % every_s
    return left_s if left_s > _TOO_SOON_S * every_s else left_s + every_s


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
