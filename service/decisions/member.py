"""This node as a member of the cluster: storage, core, loop and transport of Raft around the replicated state."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from urllib.parse import urlsplit

from service import background
from service.config import Config
from service.decisions.decide import Decisions
from service.decisions.replicated.commands import FoundCluster, RegisterNode
from service.decisions.replicated.machine import DecisionMachine
from service.error_registry import DecisionUnknown, NotCommitted, RaftDiskReplaced
from service.raft.admission import Admission
from service.raft.chronicle import Chronicle
from service.raft.config import Config as RaftConfig
from service.raft.core import Raft
from service.raft.messages import Message, NodeId
from service.raft.runner import Runner, Timing
from service.raft.storage import Identity, Storage
from service.raft.transport import Events, Transport
from service.raft.writer import Writer

log = logging.getLogger("simpul.raft")

HEARTBEAT_TICKS = 2
"""Ticks wake an idle process, and waking costs more than the tick: two a heartbeat still spread election timeouts over
a dozen values."""
HAND_OVER_S = 0.3
WRITER_GRACE_S = 2.0
JOIN_TIMEOUT_S = 10.0
EXIT_CODE = 1


class Member:
    """Everything of Raft in one node. Made before the event loop runs, started and stopped with the application."""

    def __init__(self, config: Config) -> None:
        """Reads the stored state. Raises StorageRefused, or RaftError when what is stored contradicts itself."""
        self.config = config
        self.machine = DecisionMachine()
        raft_config = raft_config_of(config)
        storage = Storage(storage_path(config))
        identity = Identity(config.cluster_name, config.self_url, config.node_id, config.members, uuid.uuid4().hex)
        try:
            loaded = storage.load(identity)
            core = Raft(raft_config, SystemRandom(), loaded.stored)
        except BaseException:
            storage.close()
            raise
        if loaded.stored.snapshot is not None:
            self.machine.restore(loaded.stored.snapshot.data)
        self.identity = loaded.identity
        self.is_first_life = loaded.identity.disk == identity.disk
        """The disk was empty: no earlier life of this node used it."""
        tick_s = config.heartbeat_ms / 1000 / HEARTBEAT_TICKS
        self.writer = Writer(storage, self._disk_failed)
        self.chronicle = Chronicle(config.self_url, round(tick_s * 1000), self.name_of)
        self.runner = Runner(
            core,
            self.machine,
            self.writer,
            Timing(tick_s, int(config.disk_hung_ms / 1000 / tick_s)),
            self.chronicle,
            # The transport is made below: it needs the runner, too.
            send=self._send,
            fatal=self._end,
            snapshot_entries=lambda: self.machine.setting("snapshot_entries"),
        )
        self.admission = Admission(loaded.peers, self.writer.submit)
        self.transport = Transport(
            self.identity,
            Events(
                message=self.runner.step,
                unreachable=self.runner.unreachable,
                snapshot_ended=self.runner.snapshot_ended,
                refused=self._refused,
                admit=self.admission.admits,
                disk_of=self.admission.disk_of,
                replaced=self._replaced,
            ),
            secret=config.cluster_secret,
            deadline_s=config.election_ms / 2000,
            hold_s=config.heartbeat_ms / 1000,
        )
        self.transport.name_of = self.name_of
        self.decisions = Decisions(self.runner, config.cluster_secret)
        self.end_process: Callable[[], None] = _end_process
        self._joining: asyncio.Task[None] | None = None
        self.machine.on_change(self._decided)

    # Life

    def start(self) -> None:
        """Take part. Does not wait for a leader: operations on Redis need none."""
        self._warn_if_unheard()
        self.writer.start()
        self.runner.start()
        self._joining = background.finite(self._join(), "joining the cluster")

    async def hand_over(self) -> None:
        """Give leadership away, if this node has it, and take no more part: the others need no election timeout."""
        if self.runner.leads() and len(self.config.members) > 1:
            handed = await self.runner.hand_over(HAND_OVER_S)
            log.info("leadership %s before stopping", "handed over" if handed else "could not be handed over")
        self.runner.stop()

    async def stop(self) -> None:
        """Close everything; what was accepted for writing is written."""
        await background.stop(self._joining)
        self.runner.stop()
        await self.decisions.stop()
        await self.transport.stop()
        if not await asyncio.to_thread(self.writer.stop, WRITER_GRACE_S):
            log.error("the disk under %s does not answer; stopping without it", self.config.data_dir)

    def name_of(self, url: NodeId) -> str:
        """What people call the node at `url`: its NODE_ID once registered, its address before."""
        if url == self.config.self_url:
            return self.config.node_id
        known = self.machine.state.nodes.get(url)
        return known.name if known is not None else urlsplit(url).netloc or url

    # Joining

    async def _join(self) -> None:
        """Register this node and its disk; the first leader founds the cluster. Ends once both are decided."""
        me, disk = self.config.self_url, self.identity.disk
        found = FoundCluster(uuid.uuid4().hex)
        register = RegisterNode(me, self.config.node_id, disk)
        while True:
            while self.runner.soft_state.leader is None:
                await self.runner.changed()
            state = self.machine.state
            known = state.nodes.get(me)
            is_registered = known is not None and (known.name, known.disk) == (self.config.node_id, disk)
            if is_registered and state.cluster_id:
                return
            try:
                if not state.cluster_id:
                    # Every node may propose it: the first one counts.
                    await self.decisions.propose(found, f"found:{disk}", JOIN_TIMEOUT_S)
                if not is_registered:
                    name = self.config.node_id
                    await self.decisions.propose(register, f"register:{disk}:{name}:{uuid.uuid4().hex}", JOIN_TIMEOUT_S)
            except RaftDiskReplaced as error:
                self.runner.die(f"{error.detail} {error.advice}")
                return
            except (NotCommitted, DecisionUnknown) as error:
                log.debug("not registered yet: %s", error.detail)
            else:
                return

    # Ends

    def _send(self, messages: list[Message]) -> None:
        self.transport.send(messages)

    def _disk_failed(self, why: str) -> None:
        self.runner.die(why)

    def _refused(self, peer: NodeId, code: str, detail: str) -> None:
        if code == RaftDiskReplaced.code:
            self._replaced(peer, detail)

    def _replaced(self, peer: NodeId, detail: str) -> None:
        self.runner.die(f"{self.name_of(peer)} refuses this node: {detail}")

    def _decided(self) -> None:
        for node in self.admission.forget(self.machine.state.lost_disks):
            self.runner.disk_replaced(node)

    def _end(self, why: str) -> None:
        log.critical("%s can no longer take part in the cluster and ends: %s", self.config.node_id, why)
        self.end_process()

    def _warn_if_unheard(self) -> None:
        hosts = {urlsplit(url).hostname or "" for url in self.config.members}
        if not self.config.cluster_secret and not all(map(is_loopback, hosts)):
            log.warning(
                "PEERS are not on loopback and SIMPUL_CLUSTER_SECRET is not set: the nodes will refuse each other. "
                "Set the same secret on all of them"
            )


def raft_config_of(config: Config) -> RaftConfig:
    """The core's settings, in ticks of half a heartbeat."""
    tick_ms = config.heartbeat_ms / HEARTBEAT_TICKS
    election_ticks = round(config.election_ms / tick_ms)
    return RaftConfig(
        node=config.self_url,
        members=config.members,
        heartbeat_ticks=HEARTBEAT_TICKS,
        election_ticks=election_ticks,
        snapshot_retry_ticks=max(40, 4 * election_ticks),
    )


def storage_path(config: Config) -> Path:
    """With the node's name in it: several nodes may be started in one folder with default settings."""
    return Path(config.data_dir) / f"raft-{config.cluster_name}-{config.node_id}.sqlite3"


def is_loopback(host: str) -> bool:
    """True for what an operating system never routes: 127.0.0.0/8, ::1, localhost, a UNIX socket (empty)."""
    return host in ("", "localhost", "::1") or host.startswith(("127.", "::ffff:127."))


def _end_process() -> None:
    # Not by SIGTERM and a tidy stop: this node may have lost a write it promised, or its disk hangs, and every tidy
    # step would speak for a state that no longer holds. Clients see a lost connection and ask another node.
    logging.shutdown()
    os._exit(EXIT_CODE)
