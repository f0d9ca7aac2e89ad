"""Latency histograms: every observation is counted once, below the bound it does not exceed."""

from service.histogram import BOUNDS_S, LatencyHistogram


def test_an_observation_counts_under_the_smallest_bound_it_does_not_exceed() -> None:
    for at, bound in enumerate(BOUNDS_S):
        histogram = LatencyHistogram()
        histogram.observe(bound)
        assert histogram.counts.index(1) == at, "a bound includes itself, as in Prometheus"
        histogram.observe(bound * 1.0001)
        assert histogram.counts[at + 1] == 1


def test_what_exceeds_every_bound_is_counted_last() -> None:
    histogram = LatencyHistogram()
    histogram.observe(3_600.0)
    assert histogram.counts == [0] * len(BOUNDS_S) + [1]


def test_counts_and_sum_tell_of_every_observation() -> None:
    histogram = LatencyHistogram()
    for seconds in (0.0, 0.0002, 0.5, 20.0):
        histogram.observe(seconds)
    assert sum(histogram.counts) == 4
    assert histogram.sum_s == 20.5002


def test_bounds_rise() -> None:
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
