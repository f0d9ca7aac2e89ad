"""Groups of operations without one of their rules: see test_mutants.py."""

from typing import Any

from tests.lua import test_atomic_apply as atomic
from tests.lua.mutant import Mutant


def refused(which: str, index: int = 5) -> tuple[Any, ...]:
    return (*atomic.REFUSALS[which], index)


_untouched = atomic.test_one_refusal_leaves_everything_as_it_was

MUTANTS = (
    Mutant(
        "acknowledged before all is checked",
        "atomic/apply",
        "asked.delivered = delivered",
        'asked.delivered = delivered\n  redis.call("ZREM", inflight, asked.id)',
        _untouched,
        refused("another version"),
    ),
    Mutant(
        "published before all is checked",
        "atomic/apply",
        "own.excess = excess",
        'own.excess = excess\n    redis.call("RPUSH", ready, asked.id)',
        _untouched,
        refused("no hold"),
    ),
    Mutant(
        "counted before all is checked",
        "atomic/apply",
        "function checks.invalidate()\n",
        "function checks.invalidate()\n  next_version()\n",
        _untouched,
        refused("never there"),
    ),
    Mutant(
        "refusal ignored",
        "atomic/apply",
        "  if refusal then\n    table.insert",
        "  if refusal and number == 1 then\n    table.insert",
        _untouched,
        refused("superseded", 3),
    ),
    Mutant(
        "refusal of another operation named",
        "atomic/apply",
        "table.insert(refusal, 2, number - 1)",
        "table.insert(refusal, 2, number)",
        atomic.test_the_first_refusal_in_the_list_is_named_with_what_it_says,
    ),
    Mutant(
        "token not compared in a group",
        "lib/check_hold",
        "own.token ~= token",
        "own.token == nil",
        atomic.test_a_hold_of_any_mode_is_found_by_owner_and_token,
        ("shared",),
    ),
    Mutant(
        "shared hold found by nobody's name",
        "lib/check_hold",
        'if mode ~= "exclusive" then',
        "if mode == nil then",
        _untouched,
        refused("shared without an owner"),
    ),
    Mutant(
        "token from before a loss believed",
        "lib/check_hold",
        "if left_ms > 0 then",
        "if left_ms == nil then",
        atomic.test_a_token_from_before_a_loss_counts_again_after_the_quarantine,
    ),
    Mutant(
        "limit of a topic not kept in a group",
        "atomic/apply",
        "    own.excess = excess\n    return refusal",
        "    own.excess = excess\n    return refusal and nil",
        _untouched,
        refused("full"),
    ),
    Mutant(
        "acknowledgements make no room",
        "atomic/apply",
        "own.present, #own.acks)",
        "own.present)",
        atomic.test_what_a_group_acknowledges_makes_room_for_what_it_publishes,
    ),
    Mutant(
        "stored again by a group when dropped",
        "atomic/apply",
        "own.present[id] and 0 or store",
        "store",
        atomic.test_what_is_dropped_for_others_is_not_stored_again_by_the_same_group,
    ),
    Mutant(
        "only the first message counts for the length",
        "atomic/apply",
        "admit(#own.publishes,",
        "admit(1,",
        atomic.test_what_a_group_acknowledges_makes_room_for_what_it_publishes,
    ),
    Mutant(
        "settings of another topic",
        "lib/group_topic",
        "  if not own.topic then",
        "  own.packed_settings, own.topic = packed_settings, topic\n  if not own.topic then",
        _untouched,
        refused("paused"),
    ),
    Mutant(
        "oldest not dropped for a group",
        "atomic/apply",
        "drop_oldest(own.excess or 0)",
        "drop_oldest(0)",
        atomic.test_a_topic_that_drops_its_oldest_drops_as_many_as_it_must,
    ),
    Mutant(
        "nobody woken by a group",
        "atomic/apply",
        "  if packed_settings then\n    wake_takers()",
        "  if packed_settings and wake_takers == nil then\n    wake_takers()",
        atomic.test_a_parked_consumer_is_woken_for_each_message,
    ),
    Mutant(
        "attributes of a group not marked",
        "atomic/apply",
        "    if asked.option then\n      mark_special()",
        "    if asked.option and mark_special == nil then\n      mark_special()",
        atomic.test_messages_keep_the_order_of_the_list_and_their_attributes,
    ),
    Mutant(
        "ordering key taken for headers",
        "lib/group_operation",
        "{ tonumber(asked.priority), asked.ttl_ms, key, headers }",
        "{ tonumber(asked.priority), asked.ttl_ms, headers, key }",
        atomic.test_messages_keep_the_order_of_the_list_and_their_attributes,
    ),
    Mutant(
        "turn not passed on by a group",
        "atomic/apply",
        "erase(asked.id, key)",
        'erase(asked.id, key and "")',
        atomic.test_an_acknowledged_message_passes_the_turn_of_its_key_on,
    ),
    Mutant(
        "lost counter counted on by a group",
        "atomic/apply",
        "if counts_versions and counter_is_lost then",
        "if counts_versions and counter_is_lost == nil then",
        atomic.test_a_lost_version_counter_stops_groups_that_count_and_no_others,
    ),
    Mutant(
        "lost counter stops all groups",
        "atomic/apply",
        "if counts_versions and counter_is_lost then",
        "if counter_is_lost then",
        atomic.test_a_lost_version_counter_stops_groups_that_count_and_no_others,
    ),
    Mutant(
        "tags of a group left out",
        "atomic/apply",
        "part + 1 + asked.tags do",
        "part + 1 + asked.tags * 0 do",
        atomic.test_a_tag_removes_what_a_group_stored_with_it,
    ),
    Mutant(
        "put of a group not published",
        "lib/cache_write",
        'redis.call("PUBLISH", channel, numeral .. " " .. entry)',
        "local _ = { channel, numeral }",
        atomic.test_near_caches_hear_of_each_version_in_order,
    ),
    Mutant(
        "version not compared in a group",
        "lib/cache_condition",
        "version ~= if_version and version or nil",
        "version == nil and if_version or nil",
        _untouched,
        refused("is there"),
    ),
    Mutant(
        "group done again by a repeat",
        "atomic/apply",
        "return keep_outcome(reply)",
        "return reply",
        atomic.test_a_repeat_gets_the_first_outcome_of_the_whole_group,
    ),
)
