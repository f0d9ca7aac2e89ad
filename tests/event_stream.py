"""A client of GET /events: reads server-sent events in a thread, and waits for those that a test expects."""

import contextlib
import http.client
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support import DEADLINE_S


@dataclass
class Told:
    """One event; `id` is empty where the stream sent none."""

    name: str
    data: dict[str, Any]
    id: str = ""

    @property
    def what(self) -> tuple[str, str]:
        return self.name, self.data.get("owner", "")


@dataclass
class Stream:
    """What came so far is in `seen`; `last_id` is what a client sends back."""

    connection: http.client.HTTPConnection
    seen: list[Told] = field(default_factory=list)
    last_id: str = ""
    comments: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    _told: "queue.Queue[Told]" = field(default_factory=queue.Queue)

    def next(self, deadline_s: float = DEADLINE_S) -> Told:
        try:
            told = self._told.get(timeout=deadline_s)
        except queue.Empty:
            raise AssertionError(f"no event within {deadline_s:g} s after {self.seen}") from None
        self.seen.append(told)
        self.last_id = told.id or self.last_id
        return told

    def until(self, is_it: Callable[[Told], bool]) -> Told:
        while not is_it(told := self.next()):
            continue
        return told

    def names(self, number: int) -> list[tuple[str, str]]:
        """Event and owner of the next ones."""
        return [self.next().what for _ in range(number)]

    def _read(self, response: http.client.HTTPResponse) -> None:
        told = Told("", {})
        try:
            for raw in response:
                line = raw.decode().rstrip("\n")
                word, _, rest = line.partition(": ")
                if word == "id":
                    told.id = rest
                elif word == "event":
                    told.name = rest
                elif word == "data":
                    told.data = json.loads(rest)
                elif not line and told.name:
                    self._told.put(told)
                    told = Told("", {})
                elif line.startswith(":"):
                    self.comments += 1
        except (OSError, ValueError, http.client.HTTPException):
            pass  # cut off, or closed by the test
        finally:
            self.is_over.set()


@contextmanager
def watching(url: str, last_id: str = "", **query: Any) -> Iterator[Stream]:
    """A stream that is open until the block ends; `lock` and the like may be lists."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2 * DEADLINE_S)
    headers = {"Last-Event-ID": last_id} if last_id else {}
    connection.request("GET", "/events?" + urlencode(query, doseq=True), headers=headers)
    sock = connection.sock
    response = connection.getresponse()
    assert response.status == 200, response.read()
    stream = Stream(connection, last_id=last_id)
    reader = threading.Thread(target=stream._read, args=(response,), daemon=True)
    reader.start()
    try:
        yield stream
    finally:
        # The reader holds the response's lock while it waits for more: only the socket can be told from here.
        with contextlib.suppress(OSError):  # the node may have closed it
            sock.shutdown(2)
        reader.join(DEADLINE_S)
        response.close()
        connection.close()
