"""Machines of a network that can be cut: one network namespace a node, joined by a bridge in another namespace.

Every address and route is inside these namespaces; nothing outside them changes. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.support import Answer, NodeProcess

Value = TypeVar("Value")

_CLONE_NEWNET = 0x40000000
PORT = 8000


def why_not() -> str:
    """Why there are no network namespaces here; empty if there are."""
    if shutil.which("ip") is None:
        return "real partitions need `ip` of iproute2"
    if os.geteuid() != 0:
        return "real partitions need root, for network namespaces"
    probe = f"simpul-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"real partitions need network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return ""


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Network:
    """`count` machines with addresses 10.77.0.1 and following."""

    def __init__(self, count: int) -> None:
        tag = f"simpul-{os.getpid()}"
        self.hub = f"{tag}-hub"
        self.machines = [f"{tag}-{number}" for number in range(1, count + 1)]

    @staticmethod
    def address(number: int) -> str:
        return f"10.77.0.{number + 1}"

    def __enter__(self) -> Network:
        _ip("netns", "add", self.hub)
        _ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.hub, "link", "set", "bridge", "up")
        for number, machine in enumerate(self.machines):
            _ip("netns", "add", machine)
            _ip(
                "link",
                "add",
                "eth0",
                "netns",
                machine,
                "type",
                "veth",
                "peer",
                "name",
                f"to{number}",
                "netns",
                self.hub,
            )
            _ip("-n", machine, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", machine, "link", "set", link, "up")
            _ip("-n", self.hub, "link", "set", f"to{number}", "master", "bridge", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (*self.machines, self.hub):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def isolate(self, number: int) -> None:
        """Cut one machine off from all others: packets vanish, connections are not closed."""
        _ip("-n", self.hub, "link", "set", f"to{number}", "down")

    def rejoin(self, number: int) -> None:
        _ip("-n", self.hub, "link", "set", f"to{number}", "up")

    def cut(self, one: int, other: int) -> None:
        """Cut two machines off from each other only."""
        for here, there in ((one, other), (other, one)):
            _ip("-n", self.machines[here], "route", "add", "blackhole", f"{self.address(there)}/32")

    def mend(self, one: int, other: int) -> None:
        for here, there in ((one, other), (other, one)):
            _ip("-n", self.machines[here], "route", "del", "blackhole", f"{self.address(there)}/32")


class RemoteNode(NodeProcess):
    """A node on machine `number`, asked from there."""

    def __init__(self, network: Network, number: int, folder: Path, redis_url: str, **env: str) -> None:
        address = network.address(number)
        super().__init__(
            folder,
            redis_url,
            NODE_ID=f"n{number + 1}",
            HTTP_PORT=str(PORT),
            SIMPUL_HOST=address,
            SELF_URL=f"http://{address}:{PORT}",
            **env,
        )
        self.number = number
        self.command = ("ip", "netns", "exec", network.machines[number], *NodeProcess.command)
        # setns moves one thread for good: this one asks for this node alone.
        self._asker = ThreadPoolExecutor(1, initializer=_enter, initargs=(network.machines[number],))

    def get(self, path: str) -> Answer:
        return self._there(lambda: NodeProcess.get(self, path))

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self._there(lambda: NodeProcess.post(self, path, body, **headers))

    def _there(self, ask: Callable[[], Answer]) -> Answer:
        return self._asker.submit(ask).result()

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._asker.shutdown()


def _enter(machine: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{machine}", "rb") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {machine}")
