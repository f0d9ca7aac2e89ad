"""The one thread that waits for the disk, so that the event loop never does.

Jobs are written in the order they were given. What piled up while one transaction was flushed goes into the next
one together: under load the cost of a flush is shared by all that wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import NamedTuple

from service.histogram import LatencyHistogram
from service.raft.storage import Job, Save, Storage, StorageFailed

log = logging.getLogger("simpul.raft")

BATCH_JOBS_MAX = 256
BATCH_BYTES_MAX = 16 << 20
"""Entry bytes in one transaction, beyond which the next one is begun; one job is always taken."""

Done = Callable[[], None]


class _Order(NamedTuple):
    job: Job
    done: Done


class Writer:
    """`submit` from the event loop; `done` callbacks run there, in order, each after its job is durable."""

    def __init__(self, storage: Storage, on_failure: Callable[[str], None]) -> None:
        """`on_failure` is called on the event loop, once; nothing is written or reported done after it."""
        self._storage = storage
        self._on_failure = on_failure
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        # A daemon: a thread that hangs in the kernel must not keep the process from ending.
        self._thread = Thread(target=self._run, name="raft writer", daemon=True)
        self.pending = 0
        """Jobs submitted and not reported done; only the event loop touches it."""
        self.flush_times = LatencyHistogram()
        self.flushes = 0

    def start(self) -> None:
        """Begin, reporting to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, job: Job, done: Done) -> None:
        """Queue a job. Unbounded here: the core bounds what is uncommitted, the runner ends a process whose disk
        does not answer."""
        self.pending += 1
        self._orders.put(_Order(job, done))

    def stop(self, grace_s: float) -> bool:
        """Write what is queued, then close the file. False if the disk does not answer within `grace_s` seconds."""
        if not self._thread.is_alive():
            self._storage.close()
            return True
        self._orders.put(None)
        self._thread.join(grace_s)
        return not self._thread.is_alive()

    # On the writer's thread

    def _run(self) -> None:
        while True:
            batch, is_last = self._take()
            if batch:
                try:
                    self._write(batch)
                except StorageFailed as error:
                    self._report(self._on_failure, str(error))
                    return
                except Exception as error:
                    log.critical("defect in the storage of Raft", exc_info=error)
                    self._report(self._on_failure, f"a defect in the storage of Raft: {error!r}")
                    return
            if is_last:
                self._storage.close()
                return

    def _take(self) -> tuple[list[_Order], bool]:
        """Wait for an order, and take those that wait behind it; True with the last ones."""
        first = self._orders.get()
        if first is None:
            return [], True
        batch, size = [first], _size(first.job)
        while len(batch) < BATCH_JOBS_MAX and size < BATCH_BYTES_MAX:
            try:
                order = self._orders.get_nowait()
            except Empty:
                break
            if order is None:
                return batch, True
            batch.append(order)
            size += _size(order.job)
        return batch, False

    def _write(self, batch: list[_Order]) -> None:
        started = perf_counter()
        self._storage.save(order.job for order in batch)
        self.flush_times.observe(perf_counter() - started)
        self.flushes += 1
        self._report(self._done, batch)

    def _report(self, callback: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None  # noqa: S101 - set before the thread starts
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)

    # On the event loop

    def _done(self, batch: list[_Order]) -> None:
        self.pending -= len(batch)
        for order in batch:
            order.done()


def _size(job: Job) -> int:
    return sum(len(entry.data) for entry in job.entries) if isinstance(job, Save) else 0
