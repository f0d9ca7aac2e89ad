"""What a node may conclude from messages and answers: the rules of service/cache/hearing.py, one by one."""

import pytest

from service.cache.hearing import GRACE, Asked, Hearing, Verdict

P = 3
BOUND_S = 1.0
FIRST = 1 << 36


def begun(counter: int = FIRST, *, at: float = 10.0) -> Hearing:
    """One that hears, and knows that the partition has counted to `counter`."""
    hearing = Hearing(BOUND_S)
    hearing.begin(at)
    hearing.emptied(P)
    assert hearing.answered(P, counter, hearing.ask(P, at)) is Verdict.KEEP
    return hearing


def good_until(hearing: Hearing) -> float:
    return hearing.good_until[P]


def test_copies_are_good_for_the_bound_from_when_the_question_was_asked() -> None:
    hearing = begun(at=10.0)
    assert good_until(hearing) == 11.0
    hearing.answered(P, FIRST, hearing.ask(P, 10.5))
    assert good_until(hearing) == 11.5


def test_an_answer_to_an_older_question_takes_no_time_away() -> None:
    hearing = begun()
    older, newer = hearing.ask(P, 10.2), hearing.ask(P, 10.4)
    hearing.answered(P, FIRST, newer)
    hearing.answered(P, FIRST, older)
    assert good_until(hearing) == 11.4


def test_a_message_alone_prolongs_nothing() -> None:
    hearing = begun()
    hearing.heard(P, FIRST + 1)
    assert good_until(hearing) == 11.0
    assert hearing.covers(P, FIRST + 1)


def test_a_jump_in_the_sequence_ends_local_hits_at_once() -> None:
    hearing = begun()
    hearing.heard(P, FIRST + 2)
    assert (good_until(hearing), hearing.gaps, hearing.is_doubted(P)) == (0.0, 1, True)
    assert not hearing.covers(P, FIRST + 2)
    hearing.answered(P, FIRST + 2, hearing.ask(P, 10.1))
    assert good_until(hearing) == 0.0, "until the copies have been compared"


def test_after_a_comparison_doubted_copies_are_good_again() -> None:
    hearing = begun()
    hearing.heard(P, FIRST + 2)
    assert hearing.compared(P, FIRST + 2, hearing.ask(P, 10.1)) is Verdict.KEEP
    assert (good_until(hearing), hearing.is_doubted(P)) == (11.1, False)


def test_a_comparison_from_before_the_lost_write_settles_nothing() -> None:
    hearing = begun()
    asked = hearing.ask(P, 10.1)
    hearing.heard(P, FIRST + 5)
    assert hearing.compared(P, FIRST + 3, asked) is Verdict.LET_GO
    assert hearing.is_doubted(P)


def test_what_was_read_before_a_lost_write_is_not_kept() -> None:
    hearing = begun()
    asked = hearing.ask(P, 10.1)
    hearing.heard(P, FIRST + 5)
    assert hearing.answered(P, FIRST + 3, asked) is Verdict.LET_GO
    assert hearing.answered(P, FIRST + 4, asked) is Verdict.KEEP, "all that was lost was in it"


def test_after_a_comparison_an_older_answer_is_not_kept() -> None:
    """The write between the two may have been lost, and nobody will tell of it any more."""
    hearing = begun()
    asked = hearing.ask(P, 10.1)
    hearing.compared(P, FIRST + 2, asked)
    assert hearing.answered(P, FIRST + 1, asked) is Verdict.LET_GO


def test_a_counter_that_is_ahead_confirms_once_its_messages_have_come() -> None:
    hearing = begun()
    hearing.answered(P, FIRST + 2, hearing.ask(P, 10.5))
    assert good_until(hearing) == 11.0
    hearing.heard(P, FIRST + 1)
    assert good_until(hearing) == 11.0
    hearing.heard(P, FIRST + 2)
    assert good_until(hearing) == 11.5


def test_messages_that_an_answer_told_of_and_that_do_not_come_were_lost() -> None:
    hearing = begun()
    hearing.answered(P, FIRST + 2, hearing.ask(P, 10.5))
    assert hearing.overdue(10.5 + GRACE * BOUND_S) == []
    assert hearing.overdue(10.6 + GRACE * BOUND_S) == [P]
    assert hearing.is_doubted(P)
    assert hearing.overdue(99.0) == [], "it is said once"


def test_a_later_answer_does_not_give_late_messages_more_time() -> None:
    hearing = begun()
    hearing.answered(P, FIRST + 2, hearing.ask(P, 10.5))
    hearing.answered(P, FIRST + 3, hearing.ask(P, 10.7))
    assert hearing.overdue(10.8) == [P]


def test_a_message_that_comes_twice_makes_copies_doubted() -> None:
    """A server that has lost writes and counts them again sends such messages, too."""
    hearing = begun()
    hearing.heard(P, FIRST + 1)
    hearing.heard(P, FIRST + 1)
    assert (hearing.repeats, hearing.is_doubted(P)) == (1, True)


def test_a_message_that_was_made_up_for_may_still_come() -> None:
    hearing = begun()
    hearing.compared(P, FIRST + 3, hearing.ask(P, 10.1))
    for number in (1, 2, 3):
        hearing.heard(P, FIRST + number)
    assert (hearing.repeats, hearing.is_doubted(P)) == (0, False)
    hearing.heard(P, FIRST + 4)
    assert hearing.covers(P, FIRST + 4)


def test_a_counter_below_what_was_heard_empties_the_partition() -> None:
    hearing = begun(FIRST + 9)
    assert hearing.answered(P, FIRST + 8, hearing.ask(P, 10.5)) is Verdict.EMPTY
    assert (good_until(hearing), hearing.rollbacks) == (0.0, 1)


def test_a_message_heard_since_the_question_is_no_sign_of_a_rollback() -> None:
    hearing = begun(FIRST)
    asked = hearing.ask(P, 10.1)
    hearing.heard(P, FIRST + 1)
    assert hearing.answered(P, FIRST, asked) is Verdict.KEEP


def test_when_the_subscription_ends_no_copy_is_good_any_more() -> None:
    hearing = begun()
    hearing.end()
    assert (good_until(hearing), hearing.is_doubted(P)) == (0.0, True)
    assert hearing.answered(P, FIRST, hearing.ask(P, 10.5)) is Verdict.LET_GO


def test_what_was_asked_before_the_subscription_is_not_kept() -> None:
    hearing = begun()
    asked = hearing.ask(P, 10.5)
    hearing.end()
    hearing.begin(10.6)
    hearing.emptied(P)
    assert hearing.answered(P, FIRST, asked) is Verdict.LET_GO


def test_copies_from_before_the_subscription_was_down_are_compared_first() -> None:
    hearing = begun()
    hearing.begin(10.5)
    asked = hearing.ask(P, 10.6)
    assert hearing.answered(P, FIRST + 7, asked) is Verdict.LET_GO
    assert hearing.compared(P, FIRST + 7, asked) is Verdict.KEEP
    assert good_until(hearing) == 11.6


def test_the_first_message_heard_is_no_gap_and_says_what_was_missed() -> None:
    hearing = Hearing(BOUND_S)
    hearing.begin(10.0)
    hearing.emptied(P)
    hearing.heard(P, FIRST + 5)
    assert hearing.gaps == 0
    assert hearing.answered(P, FIRST + 3, Asked(10.1, 0)) is Verdict.LET_GO
    assert hearing.answered(P, FIRST + 5, Asked(10.1, 0)) is Verdict.KEEP


def test_another_generation_begins_with_nothing() -> None:
    hearing = begun()
    asked = hearing.ask(P, 10.5)
    hearing.begin_anew(10.6)
    assert good_until(hearing) == 0.0
    assert hearing.answered(P, FIRST, asked) is Verdict.LET_GO
    assert hearing.answered(P, 2 * FIRST, hearing.ask(P, 10.7)) is Verdict.KEEP
    assert good_until(hearing) == 11.7


def test_only_partitions_in_use_whose_time_runs_out_are_renewed() -> None:
    hearing = begun()
    assert hearing.to_renew(10.9) == [], "nobody reads it"
    hearing.used[P] = 1
    assert hearing.to_renew(10.1) == [], "it is good for long enough"
    hearing.used[P] = 1
    assert hearing.to_renew(10.9) == [P]
    assert hearing.to_renew(10.9) == [], "since then nobody has read it"


@pytest.mark.parametrize("number", [P - 1, P + 1])
def test_partitions_do_not_touch_each_other(number: int) -> None:
    hearing = begun()
    hearing.heard(number, FIRST + 9)
    hearing.heard(number, FIRST + 20)
    assert good_until(hearing) == 11.0
