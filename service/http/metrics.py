"""The node in Prometheus text: read from the counters that the hot path keeps as plain integers."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.http import raft_metrics
from service.http.context import Context
from service.http.histograms import histograms as _histograms


class NodeCollector(Collector):
    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        context = self._context
        traffic = context.traffic
        yield _histograms("simpul_request_seconds", "Time to answer a request.", "endpoint", traffic.latency)
        yield _histograms(
            "simpul_script_seconds", "Time from sending a script call to its reply.", "script", context.scripts.latency
        )
        yield _histograms(
            "simpul_event_loop_lag_seconds",
            "How late a timer of this node's event loop fires.",
            "loop",
            {"main": traffic.loop_lag},
        )
        yield _histograms(
            "simpul_near_cache_lag_seconds",
            "From the answer to one of this node's writes (one of 16) to hearing its publication.",
            "channel",
            {"invalidate": context.near.lag},
        )
        yield _histograms(
            "simpul_near_cache_audit_stale_seconds",
            "How long copies that the audit found overwritten could still be served after that.",
            "source",
            {"local": context.auditor.ages},
        )
        answers = CounterMetricFamily(
            "simpul_answers", "Answers by endpoint and status.", labels=["endpoint", "status"]
        )
        for endpoint, by_status in list(traffic.answers.items()):
            for status, number in list(by_status.items()):
                answers.add_metric([endpoint, str(status)], number)
        yield answers
        near = context.near
        reads = CounterMetricFamily("simpul_cache_reads", "Values read, by where they came from.", labels=["source"])
        for source, number in (
            ("local", near.hits),
            ("unchanged", near.unchanged),
            ("redis", near.sent),
            ("none", near.not_found),
        ):
            reads.add_metric([source], number)
        yield reads
        yield _histograms(
            "simpul_deadlock_seconds",
            "Time from the closing of a circle of waits to the end of one of them.",
            "by",
            {"leader": context.deadlocks.watch.seconds},
        )
        yield from self._gauges()
        yield from self._counters()
        yield from raft_metrics.of(context.member)

    def _gauges(self) -> Iterator[Metric]:
        context = self._context
        for name, about, value in (
            ("simpul_requests_in_flight", "Requests being answered.", context.traffic.in_flight),
            ("simpul_store_in_flight", "Script calls waiting for Redis.", context.primaries.in_flight),
            ("simpul_store_up", "1 while every partition's primary carries traffic.", int(context.primaries.is_up)),
            ("simpul_subscription_up", "1 while invalidations and wake-ups are heard.", int(context.subscriber.is_up)),
            ("simpul_generation", "Generation this node works with.", context.authority.fence.generation),
            (
                "simpul_delegation_left_seconds",
                "How long this node may grant locks yet without a leader.",
                context.authority.delegation.left_s(),
            ),
            (
                "simpul_quarantine_left_seconds",
                "How long no lock is granted after a loss of data; 0 on all nodes but the leader.",
                context.authority.office.quarantine_left_s(),
            ),
            ("simpul_partitions_owned", "Partitions whose duties this node does.", context.authority.owned()),
            ("simpul_queue_consumers", "Requests that wait on this node for a message.", context.takers.parked),
            ("simpul_lock_waiters", "Requests parked on this node.", context.waiting.parked),
            (
                "simpul_lock_waits_told",
                "Waits that the leader knows of; 0 on all nodes but the leader.",
                context.deadlocks.watch.told,
            ),
            (
                "simpul_lock_waits_unexplored",
                "Waits of those that the leader has not looked at yet.",
                context.deadlocks.watch.unexplored,
            ),
            ("simpul_event_watchers", "Streams of events open on this node.", context.watching.watchers),
            ("simpul_event_partitions", "Partitions whose events this node reads.", context.watching.mirrored),
            ("simpul_near_cache_entries", "Entries in the near cache.", len(context.near)),
            ("simpul_cache_fill_waiters", "Reads that wait for a value to be made.", context.caches.filler.parked),
            ("simpul_near_cache_bytes", "Bytes of keys and values in the near cache.", context.near.bytes),
        ):
            yield GaugeMetricFamily(name, about, value=value)

    def _counters(self) -> Iterator[Metric]:
        auditor = self._context.auditor
        near, watching, watch = self._context.near, self._context.watching, self._context.deadlocks.watch
        for name, about, value in (
            ("simpul_store_connects", "Connections to Redis that carried traffic.", self._context.primaries.connects),
            ("simpul_lock_tellings", "Messages to the leader about waits.", self._context.deadlocks.teller.tellings),
            ("simpul_deadlocks", "Deadlocks that this node found while it led.", watch.found),
            ("simpul_deadlock_victims", "Waits that this node ended for them.", watch.ended),
            ("simpul_deadlock_lines_read", "Lines of locks read to find deadlocks.", watch.sight.lines_read),
            ("simpul_events_sent", "Events written to streams.", watching.sent),
            ("simpul_event_gaps", "Times a stream said that something may be missing.", watching.gaps),
            ("simpul_near_cache_hits", "Reads answered by the near cache.", near.hits),
            ("simpul_near_cache_misses", "Reads that asked Redis.", near.misses),
            ("simpul_near_cache_evictions", "Entries dropped to stay within bounds.", near.evictions),
            ("simpul_near_cache_invalidations", "Publications heard.", near.invalidations),
            ("simpul_cache_fills", "Leases to make a value granted.", self._context.caches.filler.granted),
            (
                "simpul_cache_refills_avoided",
                "Reads that did not make a value, because another did.",
                self._context.caches.filler.refills_avoided,
            ),
            ("simpul_near_cache_lapsed", "Reads whose copy had to be compared with Redis first.", near.lapsed),
            ("simpul_near_cache_unchanged", "Copies that Redis found to be the latest: no value sent.", near.unchanged),
            ("simpul_near_cache_gaps", "Losses of publications noticed.", near.hearing.gaps),
            ("simpul_near_cache_repeats", "Publications heard twice.", near.hearing.repeats),
            ("simpul_near_cache_rollbacks", "Times Redis had counted less than before.", near.hearing.rollbacks),
            ("simpul_near_cache_audited", "Copies that were held against Redis.", auditor.sampled),
            ("simpul_near_cache_audit_stale", "Of those, copies that Redis had overwritten.", auditor.stale),
            ("simpul_near_cache_audit_broken", "Of those, copies served for longer than the bound.", auditor.broken),
            (
                "simpul_near_cache_comparisons",
                "Times a partition's copies were compared.",
                self._context.keeper.repairs,
            ),
        ):
            yield CounterMetricFamily(name, about, value=value)


def registry(context: Context) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(NodeCollector(context))
    ProcessCollector(registry=made)
    GCCollector(registry=made)
    return made
