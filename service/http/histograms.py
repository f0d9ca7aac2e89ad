"""A LatencyHistogram as Prometheus shows it."""

from collections.abc import Mapping

from prometheus_client.core import HistogramMetricFamily, Metric

from service.histogram import BOUNDS_S, LatencyHistogram


def histograms(name: str, about: str, label: str, found: Mapping[str, LatencyHistogram]) -> Metric:
    family = HistogramMetricFamily(name, about, labels=[label])
    for value, histogram in list(found.items()):
        total = 0
        buckets = []
        for bound, number in zip((*map(str, BOUNDS_S), "+Inf"), list(histogram.counts), strict=True):
            total += number
            buckets.append((bound, float(total)))
        family.add_metric([value], buckets, histogram.sum_s)
    return family
