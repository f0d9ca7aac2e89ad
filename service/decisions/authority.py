"""Who may operate, as this node knows it and helps to decide: the parts of decisions put together."""

from __future__ import annotations

from pathlib import Path

from service.clock import steady_s
from service.config import Config
from service.decisions.leader import questions
from service.decisions.leader.desk import Desk
from service.decisions.leader.fencing import Fencing
from service.decisions.leader.office import Office
from service.decisions.leader.questions import Asking, Questions
from service.decisions.leader.rollout import Rollout
from service.decisions.member import Member
from service.decisions.node import lease_memory, reports, witnesses
from service.decisions.node.delegation import Delegation
from service.decisions.node.fence import Fence
from service.decisions.node.forced import ForcedReleases
from service.decisions.node.leader_line import Answering, LeaderLine
from service.decisions.node.leases import Leases
from service.decisions.node.reporter import Reporter
from service.decisions.node.witnesses import Witnesses
from service.keys import Keys, Partition
from service.store.bundle import ScriptSet
from service.store.primaries import Primaries
from service.store.scripts import Scripts


class Authority:
    """`fence` is the store's gate; `leases`, `delegation` and `witnesses` are what locks ask; the leader's part is the
    `office`."""

    def __init__(self, config: Config, member: Member, fence: Fence, keys: Keys, shipped: ScriptSet) -> None:
        self.member = member
        self.fence = fence
        self.shipped = shipped
        self.leases = Leases()
        machine, decisions = member.machine, member.decisions
        self.forced = ForcedReleases(machine, keys, self.leases)
        self.delegation = Delegation(config.self_url, machine, decisions, self.leases, usual_ms=config.lease_cover_ms)
        others = tuple(url for url in config.members if url != config.self_url)
        self.witnesses = Witnesses(self.leases, others, config.cluster_secret)
        self._config = config
        self._keys = keys
        self._memory = Path(config.data_dir) / f"leases-{config.cluster_name}-{config.node_id}.json"

    def connect(self, primaries: Primaries, scripts: Scripts) -> None:
        """Redis as the parts see it, which needs the fence to be made first."""
        config, member = self._config, self.member
        machine, decisions, runner = member.machine, member.decisions, member.runner
        desk = Desk(steady_s)
        self.office = Office(
            runner,
            machine,
            decisions,
            desk=desk,
            fencing=Fencing(machine, decisions, primaries, self._keys, self.shipped),
            rollout=Rollout(machine, decisions, desk, self.shipped, is_automatic=config.scripts_auto),
        )
        self.questions = Questions(runner, machine, self.office)
        self._line = LeaderLine(config.self_url, runner, config.cluster_secret, self._leaders_answers())
        self.asking = Asking(self._line)
        self._reporter = Reporter(
            config.self_url,
            runner=runner,
            machine=machine,
            decisions=decisions,
            line=self._line,
            fence=self.fence,
            leases=self.leases,
            delegation=self.delegation,
            primaries=primaries,
            shipped=self.shipped.version,
            crashed_before=self._recall(),
            is_first_life=member.is_first_life,
        )
        self.fence.connect(primaries, scripts, self._reporter)

    def answers(self) -> dict[str, Answering]:
        """What this node answers other nodes, by path."""
        return {**self._leaders_answers(), witnesses.PATH: self.witnesses.answer}

    def _leaders_answers(self) -> dict[str, Answering]:
        return {reports.PATH: self.office.receive, questions.PATH: self.questions.answer}

    def _recall(self) -> float | None:
        """What is known of the leases of this node's life before; a time when that is nothing."""
        end_at = lease_memory.take(self._memory)
        if end_at is not None:
            self.leases.earlier(end_at)
            return None
        return steady_s()

    def owner_of(self, partition: Partition) -> str | None:
        """The name of the node that does the partition's duties; None before any was assigned."""
        owners = self.member.machine.state.owners
        return self.member.name_of(owners[partition.number]) if owners else None

    def owned(self) -> int:
        """How many partitions' duties this node does."""
        return self.member.machine.state.owners.count(self._config.self_url)

    def start(self) -> None:
        self.member.start()
        self.office.start()
        self._reporter.start()

    async def stop(self) -> None:
        """Only once no request is answered any more: what was granted up to then is noted."""
        await self._reporter.stop()
        await self.office.stop()
        await self.member.stop()
        self._line.close()
        lease_memory.leave(self._memory, self._reporter.leases_end_at())
