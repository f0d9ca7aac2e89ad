"""Timetables without one of their rules: see test_mutants.py."""

from tests.lua import test_queue_fire as fire
from tests.lua import test_queue_schedule as schedule
from tests.lua import test_queue_ticks as ticks
from tests.lua.mutant import Mutant

MUTANTS = (
    Mutant(
        "tick published twice",
        "queue/fire",
        "tonumber(planned) == tonumber(expected) and tonumber(planned) <= now_ms",
        "true",
        fire.test_a_tick_is_published_once_and_the_next_one_waits,
    ),
    Mutant(
        "published before its time",
        "queue/fire",
        "tonumber(planned) <= now_ms",
        "true",
        fire.test_nothing_is_published_before_its_time,
    ),
    Mutant(
        "published as it was before",
        "queue/fire",
        'redis.call("HGET", schedules, member) ~= spec',
        "false",
        fire.test_a_schedule_that_was_said_anew_publishes_no_more_what_it_was,
    ),
    Mutant(
        "next tick lost when said again",
        "queue/schedule",
        'string.match(before, "^[^\\n]*") == times',
        "false",
        schedule.test_the_same_times_keep_the_next_tick_and_others_do_not,
    ),
    Mutant(
        "other times keep the next tick",
        "queue/schedule",
        'string.match(before, "^[^\\n]*") == times',
        "true",
        schedule.test_the_same_times_keep_the_next_tick_and_others_do_not,
    ),
    Mutant(
        "paused tick kept",
        "queue/schedule",
        'planned ~= "inf" and',
        "",
        schedule.test_a_paused_schedule_is_never_due_and_goes_on_with_the_tick_it_is_given,
    ),
    Mutant(
        "schedules without limit",
        "queue/schedule",
        "if count >= tonumber(limit)",
        "if count < 0",
        schedule.test_a_topic_has_so_many_and_no_more,
    ),
    Mutant(
        "published where nothing may be",
        "queue/fire",
        "if refusal then",
        "if false then",
        fire.test_a_topic_that_takes_nothing_keeps_the_tick_due,
        ({"paused_in": True}, ("topic_paused", [])),
    ),
    Mutant(
        "nobody woken by a tick",
        "queue/fire",
        "  wake_in_all()\n",
        "",
        fire.test_a_consumer_that_waits_is_woken_by_a_tick,
    ),
    Mutant(
        "owner not told of a tick",
        "lib/timetable",
        "    tell_owner(timetable, at)\n",
        "",
        ticks.test_the_owner_is_told_of_what_comes_sooner_and_of_nothing_else,
    ),
    Mutant(
        "last tick comes again",
        "queue/fire",
        'redis.call("ZREM", timetable, member)',
        "",
        fire.test_a_schedule_without_a_next_tick_is_gone,
    ),
    Mutant(
        "tick for the subscriptions there were",
        "queue/fire",
        "if not find_queues(10, KEYS[3], KEYS[4]) then",
        "if not find_queues(10, KEYS[3], KEYS[4]) and false then",
        fire.test_a_tick_goes_to_all_subscriptions_and_its_payload_is_stored_once,
    ),
    Mutant(
        "tick for some subscriptions only",
        "lib/fan_out",
        "return #queues == #names",
        "return true",
        fire.test_a_tick_goes_to_all_subscriptions_and_its_payload_is_stored_once,
    ),
    Mutant(
        "tick published past a paused subscription",
        "lib/fan_out",
        "refusal, own.excess = admit(count, id_of, present)",
        "own.excess = 0",
        fire.test_a_tick_is_refused_whole_while_one_subscription_takes_nothing,
    ),
)
