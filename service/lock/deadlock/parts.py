"""Deadlock detection put together: every node has all of it, and only the leader's watch is at work."""

from __future__ import annotations

from service.decisions.node.leader_line import Answering, LeaderLine
from service.keys import Keys
from service.lock.deadlock import told
from service.lock.deadlock.overview import PATH, Asking, Overview
from service.lock.deadlock.teller import Teller
from service.lock.deadlock.watch import Watch
from service.raft.messages import NodeId
from service.raft.runner import Runner
from service.store.scripts import Scripts


class Deadlocks:
    def __init__(self, me: NodeId, runner: Runner, secret: str, scripts: Scripts, keys: Keys) -> None:
        self.watch = Watch(runner, scripts, keys)
        self.overview = Overview(runner, self.watch)
        self._line = LeaderLine(me, runner, secret, self.answers())
        self.teller = Teller(me, runner, self._line)
        self.asking = Asking(self._line)

    def answers(self) -> dict[str, Answering]:
        """What this node answers other nodes, by path."""
        return {told.PATH: self.watch.receive, PATH: self.overview.answer}

    def start(self) -> None:
        self.watch.start()
        self.teller.start()

    async def stop(self) -> None:
        await self.teller.stop()
        await self.watch.stop()
        self._line.close()
