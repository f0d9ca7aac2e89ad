"""Rules that histories are held to: pure functions from a history to the violations found in it.

None of them ever flags a history that a right service can give; tests/chaos/test_checkers.py shows of each what it
does flag.
"""

from collections.abc import Callable

from tests.chaos.checkers.cache import no_stale_read, no_stale_strong_read
from tests.chaos.checkers.effects import each_message_has_one_effect
from tests.chaos.checkers.entries import is_a_fenced_reentrant_mutex, is_a_reentrant_mutex
from tests.chaos.checkers.holds import no_two_holders
from tests.chaos.checkers.models import is_a_fenced_mutex, is_an_owner_aware_mutex
from tests.chaos.checkers.permits import is_a_semaphore
from tests.chaos.checkers.queue import (
    duplicates_have_a_reason,
    no_acknowledged_message_is_lost,
    nothing_comes_before_its_time,
    nothing_unexpected_comes,
    only_a_current_receipt_acts,
    refusals_have_a_reason,
)
from tests.chaos.checkers.queue_order import (
    messages_of_a_key_come_in_order,
    nobody_is_sent_away_from_a_message,
    the_next_message_comes_first,
)
from tests.chaos.checkers.register import no_guarded_update_is_lost, no_update_is_lost_to_a_holder, stale_writers_fail
from tests.chaos.checkers.ticks import every_tick_comes
from tests.chaos.checkers.tokens import tokens_rise
from tests.chaos.history import History, Violation

Checker = Callable[[History], list[Violation]]

LOCKS: tuple[Checker, ...] = (
    no_two_holders,
    tokens_rise,
    no_guarded_update_is_lost,
    stale_writers_fail,
    no_update_is_lost_to_a_holder,
    is_an_owner_aware_mutex,
    is_a_fenced_mutex,
    is_a_reentrant_mutex,
    is_a_fenced_reentrant_mutex,
    is_a_semaphore,
)
QUEUES: tuple[Checker, ...] = (
    no_acknowledged_message_is_lost,
    nothing_unexpected_comes,
    duplicates_have_a_reason,
    only_a_current_receipt_acts,
    refusals_have_a_reason,
    nothing_comes_before_its_time,
    messages_of_a_key_come_in_order,
    the_next_message_comes_first,
    nobody_is_sent_away_from_a_message,
    each_message_has_one_effect,
    every_tick_comes,
)
CACHES: tuple[Checker, ...] = (no_stale_read, no_stale_strong_read)
CHECKERS = LOCKS + QUEUES + CACHES


def violations(history: History) -> list[Violation]:
    return [found for checker in CHECKERS for found in checker(history)]
