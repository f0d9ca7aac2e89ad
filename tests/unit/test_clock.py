"""The clock of leases."""

import time

from service import clock


def test_it_goes_on_while_the_machine_is_suspended_where_the_system_has_such_a_clock() -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        assert not clock.COUNTS_FROM_BOOT
        return
    assert clock.COUNTS_FROM_BOOT
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clock.steady_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)
