"""Asks several servers the same question at once, and does not wait for the ones that hang."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from service.errors import SimpulError
from service.store.dial import DialError

Answer = TypeVar("Answer")


async def survey(asks: Sequence[Coroutine[Any, Any, Answer]], timeout_s: float) -> tuple[list[Answer], list[str]]:
    """The answers there are when a majority has answered, all have ended, or time is up; and why others did not.

    A majority, because whatever was elected was elected by one: of any two majorities one member is in both, so
    the newest decision is among the answers (or its member is just hearing of it, and the caller asks again).
    """
    running = {asyncio.ensure_future(ask) for ask in asks}
    total = len(running)
    answers: list[Answer] = []
    failures: list[str] = []
    deadline = asyncio.get_running_loop().time() + timeout_s
    try:
        while running and len(answers) * 2 <= total:
            left_s = deadline - asyncio.get_running_loop().time()
            done, running = await asyncio.wait(running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                failures.append(f"{len(running)} did not answer within {timeout_s:g} s")
                break
            for one in done:
                try:
                    answers.append(one.result())
                except (DialError, SimpulError, TimeoutError, OSError) as error:
                    failures.append(str(error))
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return answers, failures
