"""Several locks in one request, without one of their rules each: see test_mutants.py."""

from tests.lua import test_lock_acquire_all as acquire
from tests.lua import test_lock_release_all as release
from tests.lua import test_lock_renew_all as renew
from tests.lua import test_lock_wait_all as wait
from tests.lua import test_lock_withdraw_all as withdraw
from tests.lua import test_several_beside_others as beside
from tests.lua.mutant import Mutant

_TURNS = (
    Mutant(
        "several handed one of their locks",
        "lib/hand_over",
        "if ttl_ms == waits_for_several or ttl_ms == knows_turn then",
        "if false then",
        wait.test_its_turn_is_told_not_given_and_it_takes_all_when_it_asks,
    ),
    Mutant(
        "turn of several told at every look",
        "lib/hand_over",
        "if told then",
        "if false then",
        wait.test_its_turn_in_one_line_is_told_once_and_in_the_last_again,
    ),
    Mutant(
        "known turn of several told again",
        "lib/hand_over",
        "if ttl_ms == knows_turn then",
        "if false then",
        wait.test_its_turn_in_one_line_is_told_once_and_in_the_last_again,
    ),
    Mutant(
        "known turn of several not noted",
        "lock/wait_all",
        "info_of(knows_turn)",
        "info_of(waits_for_several)",
        wait.test_its_turn_in_one_line_is_told_once_and_in_the_last_again,
    ),
    Mutant(
        "unused turn of several kept",
        "lib/hand_over",
        "return ends_at > now_ms and ends_at or nil",
        "return ends_at",
        wait.test_a_turn_that_nobody_uses_passes_on,
    ),
    Mutant(
        "turn of several not told again when the word was lost",
        "lib/hand_over",
        'redis.call("HSET", granted, waiter, turn)',
        "",
        wait.test_a_lost_word_is_named_to_the_node_that_attends_until_it_asks,
    ),
    Mutant(
        "word to several kept though it was heard",
        "lock/wait_all",
        'redis.call("HDEL", granted, waiter)',
        "",
        wait.test_a_lost_word_is_named_to_the_node_that_attends_until_it_asks,
    ),
    Mutant(
        "nobody looks when several die at a free lock",
        "lib/hand_over",
        'return tonumber(redis.call("ZSCORE", sessions, session))',
        "return now_ms + 60000",
        wait.test_who_stands_behind_a_free_lock_looks_again_when_the_one_before_may_be_gone,
    ),
)

_WAITING = (
    Mutant(
        "several granted in part",
        "lock/wait_all",
        "if count == locks then",
        "if count > 0 then",
        wait.test_it_stands_in_all_lines_and_is_told_each_place_and_when_each_is_free,
    ),
    Mutant(
        "place of several kept in one line when lost in another",
        "lock/wait_all",
        "if places < locks then",
        'if not redis.call("ZSCORE", waiters, waiter) then',
        wait.test_who_was_passed_over_in_one_line_stands_at_the_end_of_all,
    ),
    Mutant(
        "several stand before those who came earlier",
        "lock/wait_all",
        "(last or 0) + 1",
        "(last or 0) - 1",
        wait.test_it_stands_in_all_lines_and_is_told_each_place_and_when_each_is_free,
    ),
    Mutant(
        "place of several taken up by another request",
        "lock/wait_all",
        "select(4, parse_waiter(place)) ~= ARGV[2]",
        "false",
        wait.test_a_place_is_not_taken_up_by_another_request,
    ),
    Mutant(
        "no bound on lines of several",
        "lock/wait_all",
        ">= 10000",
        ">= 20000",
        wait.test_a_full_line_refuses_it_in_all_and_not_one_that_waits,
    ),
    Mutant(
        "several granted in quarantine after waiting",
        "lock/wait_all",
        "if begins_in_ms == 0 then",
        "if true then",
        wait.test_in_quarantine_it_stands_in_line_and_is_granted_nothing,
    ),
    Mutant(
        "readers behind readers of several not let in",
        "lock/wait_all",
        "hand_over(now_ms, wake_channel)\n",
        "\n",
        wait.test_readers_of_several_go_in_together_up_to_a_writer_of_one,
    ),
    Mutant(
        "sooner end of several not told",
        "lock/wait_all",
        "tell_if_sooner(lock, waiter_info, wake_channel, held_until(lock, readers, now_ms))",
        "",
        wait.test_who_waits_is_told_when_a_short_lease_takes_the_place_of_a_long_wait,
    ),
    Mutant(
        "lines of several end early",
        "lock/wait_all",
        "local keep_ms = session_ms + ARGV[12]",
        "local keep_ms = session_ms + 0 * ARGV[12]",
        wait.test_lines_are_kept_for_their_most_patient,
    ),
)

_ACQUIRING = (
    Mutant(
        "several granted past a holder",
        "lib/keeps_out",
        'or mode == "exclusive" or',
        "or",
        acquire.test_when_one_is_held_none_is_granted_and_its_holder_is_named,
        ("y",),
    ),
    Mutant(
        "several granted past readers",
        "lib/keeps_out",
        'held.mode ~= mode or mode == "exclusive" or',
        "",
        acquire.test_all_are_shared_with_readers_and_none_when_one_is_held_alone,
    ),
    Mutant(
        "several share what their owner shares",
        "lib/keeps_out",
        " or ends_of_reader(readers, owner) > now_ms",
        "",
        acquire.test_an_owner_that_shares_one_of_them_already_is_refused,
    ),
    Mutant(
        "no bound on holders of several",
        "lib/keeps_out",
        "held.live >= 10000",
        "held.live >= 20000",
        acquire.test_the_10001st_holder_of_one_is_refused_all,
    ),
    Mutant(
        "several barge",
        "lock/acquire_all",
        'or redis.call("EXISTS", waiters) == 1 and LOCK_HELD',
        "",
        acquire.test_nobody_barges_past_those_who_wait_for_one_of_them,
        ("shared",),
    ),
    Mutant(
        "the dead keep several out",
        "lock/acquire_all",
        "hand_over(now_ms, wake_channel)",
        "",
        acquire.test_a_line_of_the_dead_keeps_nobody_out,
    ),
    Mutant(
        "several granted in quarantine",
        "lock/acquire_all",
        "if begins_in_ms > 0 then",
        "if false then",
        acquire.test_in_quarantine_none_is_granted,
    ),
    Mutant(
        "one token for several",
        "lib/take_all",
        '"INCRBY", tokens, locks)',
        '"INCRBY", tokens, 1)',
        acquire.test_their_tokens_are_above_and_below_those_of_single_grants,
    ),
    Mutant(
        "ended grant of several repeated",
        "lib/granted_all",
        "~= token then",
        '== "" then',
        acquire.test_a_retry_gets_the_same_tokens_while_all_are_held,
    ),
    Mutant(
        "outcome of several kept anew by a retry",
        "lib/granted_all",
        '"KEEPTTL"',
        '"PX", ARGV[3]',
        acquire.test_a_retry_keeps_the_outcome_no_longer,
    ),
)

_ENDING = (
    Mutant(
        "token of several not compared on release",
        "lock/release_all",
        'elseif wanted ~= "" and wanted ~= own.token then',
        "elseif false then",
        release.test_what_became_of_each_is_said_and_what_is_held_ends,
    ),
    Mutant(
        "released several not handed on",
        "lock/release_all",
        "grants, more, sooner_at = hand_over(now_ms, wake_channel)",
        "",
        release.test_each_goes_to_the_next_in_its_line,
    ),
    Mutant(
        "sooner end by a release of several not told",
        "lock/release_all",
        "if grants == 0 and",
        "if false and",
        release.test_a_reader_that_leaves_several_tells_when_the_rest_ends_sooner,
    ),
    Mutant(
        "release of nothing kept as an outcome",
        "lock/release_all",
        "return ended > 0 and keep_outcome(reply) or reply",
        "return keep_outcome(reply)",
        release.test_when_nothing_was_held_no_outcome_is_kept,
    ),
    Mutant(
        "several renewed in part",
        "lock/renew_all",
        "if lost then",
        "if false then",
        renew.test_a_stranger_or_an_old_token_renews_none,
    ),
    Mutant(
        "several renewed past the longest time of one",
        "lock/renew_all",
        "if exceeded_ms then",
        "if false then",
        beside.test_one_that_was_held_as_long_as_it_may_be_keeps_all_from_being_renewed,
    ),
    Mutant(
        "rest of what several are lost by a renewal",
        "lock/renew_all",
        "write_hold(lock, readers, reader_holds, owner, own)",
        "own.more = nil; write_hold(lock, readers, reader_holds, owner, own)",
        beside.test_what_is_more_than_plain_is_told_of_each_that_is_renewed_and_kept,
    ),
    Mutant(
        "shorter lease of several not marked",
        "lock/renew_all",
        "reply[2] = 2",
        "reply[2] = 0",
        renew.test_one_lease_made_shorter_is_marked,
    ),
    Mutant(
        "several that are shown renewed in quarantine",
        "lock/renew_all",
        "if left_ms > 0 then",
        "if false then",
        renew.test_what_redis_shows_of_an_older_generation_is_not_renewed_in_quarantine,
    ),
    Mutant(
        "places of several given up by another session",
        "lock/withdraw_all",
        "if whose == session then",
        "if whose then",
        withdraw.test_places_that_another_session_took_up_are_not_given_up,
    ),
    Mutant(
        "grant of a later caller taken back",
        "lock/withdraw_all",
        "and kept[2][locks + 3] == caller",
        "",
        withdraw.test_a_grant_that_came_through_a_later_caller_is_not_taken_back,
    ),
    Mutant(
        "later caller of several not noted",
        "lib/granted_all",
        "first[locks + 3] = caller",
        "",
        withdraw.test_a_grant_that_came_through_a_later_caller_is_not_taken_back,
    ),
    Mutant(
        "later hold ended by a grant taken back",
        "lock/withdraw_all",
        'if own and own.token == string.format("%.0f", grant[number + 2]) then',
        "if own then",
        withdraw.test_a_grant_taken_back_late_ends_no_later_hold,
    ),
    Mutant(
        "outcome of what was taken back kept",
        "lock/withdraw_all",
        'redis.call("DEL", KEYS[2])',
        "",
        withdraw.test_a_grant_taken_back_frees_all_and_its_outcome_is_forgotten,
    ),
    Mutant(
        "word to several that left kept",
        "lock/withdraw_all",
        'redis.call("HDEL", granted, waiter)',
        "",
        withdraw.test_who_is_told_of_its_turn_and_leaves_passes_it_on,
    ),
    Mutant(
        "what several leave handed on in quarantine",
        "lock/withdraw_all",
        "if begins_in_ms == 0 then",
        "if true then",
        withdraw.test_in_quarantine_nothing_is_handed_on,
    ),
)

MUTANTS = (*_TURNS, *_WAITING, *_ACQUIRING, *_ENDING)
