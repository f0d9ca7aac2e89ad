"""The fence, request ids, counters and the cache without one of their rules each: see test_mutants.py."""

from tests.lua import test_cache_compare as compare
from tests.lua import test_cache_fill as fill
from tests.lua import test_cache_invalidate as invalidate
from tests.lua import test_cache_put as put
from tests.lua import test_cache_put_many as many
from tests.lua import test_cache_read as reading
from tests.lua import test_cache_tagged as tagged
from tests.lua import test_cache_untag as untag
from tests.lua import test_every_script as every
from tests.lua import test_lock_acquire as acquire
from tests.lua.mutant import Mutant

fence = every.test_another_fence_is_refused_before_anything_is_touched
no_fence = every.test_a_missing_fence_is_refused_before_anything_is_touched
once = every.test_a_repeated_request_gets_the_first_outcome_and_changes_nothing
reused = every.test_a_request_id_used_for_something_else_is_refused_untouched
kept = every.test_an_outcome_is_kept_for_its_time_and_no_longer

MUTANTS = (
    Mutant(
        "no fence compare",
        "lib/fence_compare",
        "installed ~= ARGV[1]",
        "not installed and ARGV[1]",
        fence,
        ("lock.acquire", ""),
    ),
    Mutant(
        "no fence is let through",
        "lib/fence_compare",
        "if installed ~=",
        "if installed and installed ~=",
        no_fence,
        ("queue.ack",),
    ),
    Mutant(
        "a script without the fence",
        "cache/get",
        "--- @include lib/fence_compare\n",
        "local _ = { ARGV[1], installed }\n",
        fence,
        ("cache.get", ""),
    ),
    Mutant(
        "outcome not looked up",
        "lib/first_outcome",
        'local kept = redis.call("GET", KEYS[2])',
        "local kept = type(KEYS[2]) == 0",
        once,
        ("queue.publish",),
    ),
    Mutant("fingerprint not compared", "lib/first_outcome", "kept[1] ~= ARGV[2]", "false", reused, ("cache.put",)),
    Mutant("outcome kept for ever", "lib/once", ', "PX", ARGV[3])', ") local _ = { ARGV[3] }", kept, ("cache.put",)),
    Mutant(
        "counter floor skipped",
        "lib/counter",
        "or counter < ",
        "or 0 > ",
        acquire.test_a_counter_below_its_floor_grants_nothing,
    ),
    Mutant(
        "lost counter counted on",
        "lib/counter",
        "= not counter or",
        "= counter and",
        acquire.test_a_lost_counter_grants_nothing,
        ("exclusive",),
    ),
    Mutant(
        "lost counter of versions counted on",
        "cache/put",
        "if counter_is_lost then",
        "if false then",
        put.test_a_lost_counter_stores_nothing,
    ),
    Mutant(
        "version not compared",
        "cache/put",
        "if version ~= if_version then",
        "if false then",
        put.test_if_version_stores_only_over_that_version,
    ),
    Mutant(
        "put without lifetime", "cache/put", ', "PX", ARGV[5])', ")", put.test_a_lifetime_is_kept_and_ends_the_value
    ),
    Mutant(
        "put not published",
        "cache/put",
        'redis.call("PUBLISH", ARGV[7], numeral .. " " .. entry)',
        "local _ = { ARGV[7] }",
        put.test_every_put_is_published_with_version_and_key,
    ),
    Mutant(
        "version in 14 digits",
        "cache/put",
        'string.format("%.0f", version)',
        'version .. ""',
        put.test_the_largest_version_is_exact_everywhere,
    ),
    Mutant(
        "removal not published",
        "lib/cache_remove",
        'redis.call("PUBLISH", channel, numeral .. " " .. entry)',
        "local _ = { channel, numeral }",
        invalidate.test_every_key_is_published_also_one_that_redis_no_longer_had,
    ),
    Mutant(
        "only the first key removed",
        "cache/invalidate",
        "for at = 4, #KEYS do",
        "for at = 4, 4 do",
        invalidate.test_the_keys_named_are_gone_and_no_others,
    ),
    Mutant(
        "known value sent again",
        "cache/read",
        'entry, left_ms = "=", -1',
        "left_ms = -1",
        reading.test_a_value_that_the_caller_has_is_not_sent_again,
    ),
    Mutant(
        "replaced value taken for known",
        "cache/read",
        'string.sub(entry, 1, #known + 1) == known .. " "',
        "string.sub(entry, 1, #known) == known",
        reading.test_a_value_that_was_replaced_is_sent,
    ),
    Mutant(
        "copies not compared",
        "cache/compare",
        "== ARGV[at - 1] and 1",
        "and 1",
        compare.test_copies_are_compared_by_version,
    ),
    Mutant(
        "lost counter read on",
        "cache/read",
        "if not counter then",
        "if false then",
        reading.test_a_lost_counter_is_a_loss_of_data,
    ),
    Mutant(
        "late filler let in",
        "cache/store",
        "if token ~= fill_token then",
        "if not token and fill_token == nil then",
        fill.test_a_lease_ends_by_itself_and_its_filler_is_refused,
    ),
    Mutant(
        "two fillers at a time",
        "cache/fill",
        'token ~= "" and lease_until > now_ms',
        "false",
        fill.test_of_a_missing_value_the_first_caller_fills_and_the_others_are_told_for_how_long,
    ),
    Mutant(
        "ended value passed off as fresh",
        "cache/read",
        "fresh_until > now_ms and fresh_until - now_ms or nil",
        "fresh_until - now_ms",
        fill.test_a_value_that_ended_is_given_to_those_who_accept_it,
    ),
    Mutant(
        "lease shown as a value",
        "cache/read",
        'absent == "0" and at > #entry',
        "false",
        fill.test_a_lease_is_no_value,
    ),
    Mutant(
        "value stored since removed by its old tag",
        "cache/untag",
        'if version == string.format("%.0f", tagged) then',
        "if version then",
        untag.test_a_value_stored_since_without_the_tag_stays,
    ),
    Mutant(
        "tag outlived by its keys",
        "lib/cache_tag",
        "left_ms < kept_ms",
        "false",
        tagged.test_a_tag_lives_as_long_as_its_longest_lived_key,
    ),
    Mutant(
        "version of one of many not compared",
        "cache/put_many",
        "local against = version_against(entry, ARGV[value_at + 2])",
        "local against",
        many.test_one_that_is_refused_leaves_the_others_alone,
    ),
)
