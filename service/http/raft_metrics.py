"""Raft in Prometheus text. The alerts worth having: no leader, terms that rise, an index that stands still."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from service.decisions.member import Member
from service.http.histograms import histograms
from service.raft.ready import Role

# Numbers, so that a graph shows them in order of power.
_ROLE_NUMBERS = {Role.FOLLOWER: 0, Role.PRE_CANDIDATE: 1, Role.CANDIDATE: 2, Role.LEADER: 3}


def of(member: Member) -> Iterator[Metric]:
    """Every series of one member."""
    yield from _gauges(member)
    yield from _counters(member)
    yield histograms(
        "simpul_raft_write_seconds",
        "Time for one transaction of the Raft log to be on the disk.",
        "disk",
        {"log": member.writer.flush_times},
    )


def _gauges(member: Member) -> Iterator[Metric]:
    runner = member.runner
    log, soft = runner.core.log, runner.soft_state
    for name, about, value in (
        ("simpul_raft_term", "Term this node is in.", soft.term),
        ("simpul_raft_role", "0 follower, 1 pre-candidate, 2 candidate, 3 leader.", _ROLE_NUMBERS[soft.role]),
        ("simpul_raft_has_leader", "1 while this node knows a leader.", int(soft.leader is not None)),
        ("simpul_raft_commit_index", "Newest entry known to be committed.", log.commit),
        ("simpul_raft_applied_index", "Newest entry that the replicated state shows.", runner.applied),
        ("simpul_raft_commit_lag", "Entries in the log that are not known to be committed.", log.last - log.commit),
        ("simpul_raft_writes_waiting", "Writes that the disk has not answered.", member.writer.pending),
    ):
        yield GaugeMetricFamily(name, about, value=value)
    lag = GaugeMetricFamily("simpul_raft_follower_lag", "Entries a follower lacks, on the leader.", labels=["peer"])
    for url, peer in runner.core.peer_states().items():
        lag.add_metric([member.name_of(url)], log.last - peer.match)
    yield lag


def _counters(member: Member) -> Iterator[Metric]:
    transport, runner = member.transport, member.runner
    for name, about, value in (
        ("simpul_raft_elections", "Elections this node has begun.", member.chronicle.elections),
        ("simpul_raft_stalls", "Times the event loop was silent for longer than a heartbeat.", runner.stalls),
    ):
        yield CounterMetricFamily(name, about, value=value)
    yield _labelled("simpul_raft_proposals", "Decisions asked of this node.", "outcome", member.decisions.counts)
    yield _labelled("simpul_raft_requests", "Requests sent to other nodes.", "path", transport.counts.requests)
    yield _labelled("simpul_raft_requests_received", "Requests of other nodes.", "path", transport.counts.received)
    by_name = Counter({member.name_of(url): count for url, count in transport.counts.failures.items()})
    yield _labelled("simpul_raft_request_failures", "Requests to other nodes that failed.", "peer", by_name)


def _labelled(name: str, about: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([value], count)
    return family
