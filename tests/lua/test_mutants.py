"""Each rule of the scripts, taken out: the test that states it must go red, or it proves nothing.

A mutant is one textual change of one source, and the claim that catches it. The claims are the tests of this folder,
called on the mutated script set; that they are green on the shipped one is what running this folder shows.
"""

import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.store import bundle
from tests.lua import (
    test_cache_invalidate,
    test_cache_put,
    test_every_script,
    test_fence_install,
    test_lock_acquire,
    test_lock_inspect,
    test_lock_release,
    test_lock_renew,
    test_queue_ack,
    test_queue_consume,
    test_queue_extend,
    test_queue_inspect,
    test_queue_nack,
    test_queue_publish,
    test_queue_receipts,
)
from tests.lua.runner import Runner
from tests.support import DEFAULT_FLAVOUR, RedisServer


class Mutant(NamedTuple):
    rule: str
    """That is taken out."""
    source: str
    shipped: str
    mutated: str
    claim: Callable[..., None]
    args: tuple[Any, ...] = ()


fence = test_every_script.test_another_fence_is_refused_before_anything_is_touched
no_fence = test_every_script.test_a_missing_fence_is_refused_before_anything_is_touched
once = test_every_script.test_a_repeated_request_gets_the_first_outcome_and_changes_nothing
reused = test_every_script.test_a_request_id_used_for_something_else_is_refused_untouched
kept = test_every_script.test_an_outcome_is_kept_for_its_time_and_no_longer
acquire, release, renew = test_lock_acquire, test_lock_release, test_lock_renew
publish, consume, receipts = test_queue_publish, test_queue_consume, test_queue_receipts
put, install = test_cache_put, test_fence_install
settle = receipts.SETTLES

MUTANTS = (
    Mutant("no fence compare", "lib/fence", "installed ~= ARGV[1]", "not installed and ARGV[1]", fence, ("lock.acquire", "")),
    Mutant("no fence is let through", "lib/fence", "if installed ~=", "if installed and installed ~=", no_fence, ("queue.ack",)),
    Mutant("a script without the fence", "cache/get", "--- @include lib/fence\n", "local _ = { ARGV[1], KEYS[1] }\n", fence, ("cache.get", "")),
    Mutant("outcome not looked up", "lib/once", 'local kept = redis.call("GET", KEYS[2])', "local kept = false", once, ("queue.publish",)),
    Mutant("outcome not kept", "lock/release", "return keep_outcome({ OK })", "return { OK }", once, ("lock.release",)),
    Mutant("fingerprint not compared", "lib/once", "kept[1] ~= ARGV[2]", "false", reused, ("cache.put",)),
    Mutant("outcome kept for ever", "lib/once", ', "PX", ARGV[3])', ") local _ = { ARGV[3] }", kept, ("cache.put",)),
    Mutant("a refusal kept", "queue/ack", "if acked > 0 then", "if acked >= 0 then", test_queue_ack.test_an_ack_that_acknowledged_nothing_is_judged_again),
    Mutant("counter floor skipped", "lib/counter", "or last < ", "or 0 > ", acquire.test_a_counter_below_its_floor_grants_nothing),
    Mutant("lost counter counted on", "lib/counter", "return not last or", "return last and", acquire.test_a_lost_counter_grants_nothing, ("exclusive",)),
    Mutant("lost counter of versions counted on", "cache/put", "if counter_is_lost() then", "if false then", put.test_a_lost_counter_stores_nothing),
    Mutant("older generation installed", "fence/install", "> generation then", "> generation + 9 then", install.test_an_older_generation_is_refused_with_the_fence_it_met),
    Mutant("generations compared as text", "fence/install", 'tonumber(string.match(installed, "^%d+")) > generation', 'string.match(installed, "^%d+") > string.match(ARGV[1], "^%d+")', install.test_generations_are_compared_as_numbers),
    Mutant("counters not lifted", "fence/install", 'redis.call("SET", counter, floor)', 'redis.call("SETNX", counter, floor)', install.test_a_new_generation_lifts_the_counters_above_all_earlier_numbers),
    Mutant("counter lowered to the floor", "fence/install", "last < tonumber(floor)", "last ~= tonumber(floor)", install.test_a_counter_above_the_floor_stays),
    Mutant("lost counter brought back", "fence/install", "if #low > 0 and", "if false and", install.test_a_counter_lost_under_a_generation_does_not_come_back_under_it),
    Mutant("exclusive lease ignored", "lock/acquire", "blocked = tonumber(held[2]) > now_ms", "blocked = false", acquire.test_an_exclusive_hold_keeps_everybody_out, ("exclusive",)),
    Mutant("writer let in among readers", "lock/acquire", "blocked = live > 0", "blocked = false", acquire.test_shared_holders_stand_together_and_keep_a_writer_out),
    Mutant("writer let in among few readers", "lock/acquire", "blocked = live > 0", "blocked = live > 1", acquire.test_one_live_reader_of_many_keeps_a_writer_out),
    Mutant("reader granted twice", "lock/acquire", "blocked = mine and tonumber(mine) > now_ms", "blocked = false", acquire.test_the_holder_itself_is_refused_too, ("shared",)),
    Mutant("ended leases count as live", "lock/acquire", '"ZCOUNT", readers, "(" .. now_ms, "+inf")', '"ZCARD", readers)', acquire.test_a_lease_that_ended_is_taken_over_whole, ("shared", "exclusive", True)),
    Mutant("no bound on readers", "lock/acquire", "live >= 10000", "live > 10000", acquire.test_the_10001st_reader_is_refused),
    Mutant("dead grant repeated", "lock/acquire", "  if mine then\n", "  if true then\n", acquire.test_a_repeat_after_the_release_never_gets_the_dead_token, ("exclusive",)),
    Mutant("grant repeated without its token", "lock/acquire", "and held[4] == token and", "and", acquire.test_a_repeat_after_a_newer_grant_to_the_same_owner_is_lock_released, ("exclusive", "exclusive")),
    Mutant("exclusive hold without an end", "lock/acquire", 'redis.call("PEXPIREAT", lock, ends_at)', "", acquire.test_an_exclusive_lease_ends_by_itself_in_redis),
    Mutant("shared hold without an end", "lock/acquire", 'redis.call("PEXPIREAT", readers, last)', "", acquire.test_shared_leases_end_by_themselves_with_the_longest),
    Mutant("keys end with the latest grant", "lock/acquire", "local last = ", "local last = ends_at or ", acquire.test_a_shared_grant_does_not_shorten_the_lock_of_other_readers),
    Mutant("readers left behind a writer", "lock/acquire", 'redis.call("UNLINK", lock, readers)', "", acquire.test_a_lease_that_ended_is_taken_over_whole, ("shared", "exclusive", True)),
    Mutant("ended readers never cleared", "lock/acquire", 'redis.call("ZREM", readers, gone)', "", acquire.test_readers_whose_lease_ended_do_not_count_and_leave_a_hundred_at_a_time),
    Mutant("mark of waiting shortened", "lock/acquire", 'until_ms > tonumber(redis.call("HGET", lock, "waited_until") or 0)', "true", acquire.test_the_mark_of_waiting_lasts_as_long_as_the_most_patient),
    Mutant("token printed in 14 digits", "lock/acquire", '"token", string.format("%.0f", token)', '"token", token .. ""', acquire.test_the_largest_token_is_exact_everywhere, ("exclusive",)),
    Mutant("undeclared key", "lock/acquire", 'redis.call("INCR", KEYS[3])', 'redis.call("INCR", KEYS[3] .. "x")', acquire.test_a_free_lock_is_granted_with_the_first_token_above_the_floor),
    Mutant("ended writer shown", "lib/holders", "if left_ms > 0 then", "if true then", test_lock_inspect.test_holders_whose_lease_ended_are_not_shown, ("exclusive", True)),
    Mutant("all readers shown", "lib/holders", "0, 100)", "0, 1000)", test_lock_inspect.test_a_hundred_readers_are_shown_and_all_are_counted),
    Mutant("token not compared on release", "lock/release", "ARGV[5] ~= token", "false", release.test_a_stale_token_cannot_release, ("shared",)),
    Mutant("owner not compared on release", "lock/release", "and held[2] == owner", "", release.test_another_owner_cannot_release, ("exclusive",)),
    Mutant("ended hold released", "lock/release", "or expires <= now_ms", "", release.test_a_hold_that_ended_cannot_be_released, ("exclusive", True)),
    Mutant("every reader released", "lock/release", 'if redis.call("ZCOUNT", readers, "(" .. now_ms, "+inf") == 0', "if true", release.test_one_reader_leaves_and_the_others_stay),
    Mutant("release always published", "lock/release", "tonumber(held[5] or 0) > now_ms", "true", release.test_a_release_that_nobody_waits_for_publishes_nothing, ("exclusive",)),
    Mutant("release never published", "lock/release", 'redis.call("PUBLISH", ARGV[6], lock)', "local _ = { ARGV[6] }", release.test_a_release_wakes_the_nodes_of_those_who_wait, ("exclusive",)),
    Mutant("token not compared on renew", "lock/renew", "and held[3] == token", "", renew.test_only_owner_and_token_together_renew, ("exclusive",)),
    Mutant("token of a reader not compared", "lock/renew", "held[6] == token", "held[6]", renew.test_only_owner_and_token_together_renew, ("shared",)),
    Mutant("ended hold renewed", "lock/renew", "and tonumber(held[4]) > now_ms", "", renew.test_a_hold_that_ended_stays_ended, ("exclusive", True)),
    Mutant("ended reader renewed", "lock/renew", "owner)) > now_ms", "owner)) > 0", renew.test_a_hold_that_ended_stays_ended, ("shared", True)),
    Mutant("renewal adds", "lock/renew", "now_ms + ttl_ms", "(held[4] or now_ms) + ttl_ms", renew.test_a_renewal_sets_the_time_left_and_never_adds, ("exclusive",)),
    Mutant("renewed key ends at the first end", "lock/renew", 'redis.call("PEXPIREAT", lock, ends_at)', "", renew.test_a_renewed_lease_outlives_its_first_end, ("exclusive",)),
    Mutant("dead renewal repeated", "lock/renew", "if not mine then", "if not mine and not first_outcome then", renew.test_a_repeat_never_calls_a_lease_renewed_that_has_ended_since, ("exclusive",)),
    Mutant("duplicate stored", "queue/publish", '"HSETNX"', '"HSET"', publish.test_an_id_that_is_in_the_topic_is_not_stored_twice),
    Mutant("duplicate queued", "queue/publish", "if stored == 1 then", "if true then", publish.test_an_id_that_is_in_the_topic_is_not_stored_twice),
    Mutant("last in, first out", "queue/publish", '"RPUSH"', '"LPUSH"', publish.test_messages_come_out_in_the_order_they_went_in),
    Mutant("delay ignored", "queue/publish", 'if ARGV[at + 1] == "0"', "if true", publish.test_a_delayed_message_waits_for_its_time),
    Mutant("delayed batch in order of names", "queue/publish", " + at / 4096", "", publish.test_a_delayed_batch_keeps_its_order),
    Mutant("payload through cjson", "queue/publish", "published .. ARGV[at + 2]", "published .. cjson.encode(cjson.decode(ARGV[at + 2]))", publish.test_a_payload_is_kept_byte_for_byte, (b"[]",)),
    Mutant("lapsed to the tail", "queue/consume", '"LPUSH", ready, lapsed[at]', '"RPUSH", ready, lapsed[at]', consume.test_a_lapsed_delivery_comes_before_newer_messages),
    Mutant("lapsed newest first", "queue/consume", "for at = #lapsed, 1, -1 do", "for at = 1, #lapsed do", consume.test_a_batch_that_lapses_keeps_its_order),
    Mutant("lapsed in order of names", "queue/consume", " + #outcome / 4096", "", consume.test_a_batch_that_lapses_keeps_its_order),
    Mutant("lapsed never moved", "queue/consume", '"ZRANGEBYSCORE", inflight, "-inf", now_ms', '"ZRANGEBYSCORE", inflight, "-inf", "-inf"', consume.test_a_lapsed_delivery_comes_again_and_counts_up),
    Mutant("running deliveries moved", "queue/consume", '"ZRANGEBYSCORE", inflight, "-inf", now_ms', '"ZRANGEBYSCORE", inflight, "-inf", "+inf"', consume.test_a_message_in_flight_is_invisible),
    Mutant("lapsed without a cap", "queue/consume", 'inflight, "-inf", now_ms, "LIMIT", 0, 100', 'inflight, "-inf", now_ms, "LIMIT", 0, 1000', consume.test_of_many_lapsed_deliveries_a_hundred_move_at_a_time),
    Mutant("due without a cap", "queue/consume", 'delayed, "-inf", now_ms, "LIMIT", 0, 100', 'delayed, "-inf", now_ms, "LIMIT", 0, 1000', consume.test_of_many_due_messages_a_hundred_move_at_a_time),
    Mutant("not in flight", "queue/consume", 'redis.call("ZADD", inflight, ends_at + #outcome / 4096, id)', "local _ = ends_at", consume.test_a_lapsed_delivery_comes_again_and_counts_up),
    Mutant("attempt not counted", "queue/consume", '"^%d+")) + 1', '"^%d+"))', consume.test_a_lapsed_delivery_comes_again_and_counts_up),
    Mutant("batch without a bound in bytes", "queue/consume", "bytes > 4194304", "false", consume.test_four_mebibytes_end_a_batch),
    Mutant("repeat delivers what was settled", "queue/consume", "if ends_at and tonumber(ends_at) > now_ms and", "if", consume.test_a_repeat_leaves_out_what_is_no_longer_in_flight, ("nack",)),
    Mutant("repeat delivers a later delivery", "queue/consume", ' and redis.call("HGET", messages, "\\1" .. id) == delivery', "", consume.test_a_repeat_leaves_out_what_is_no_longer_in_flight, ("lapse and move",)),
    Mutant("delivery not compared", "lib/delivery", "delivered ~= delivery or ", "", receipts.test_a_stale_receipt_is_refused_once_the_message_is_delivered_again, (settle["ack"],)),
    Mutant("generation not compared", "lib/delivery", "delivered ~= delivery or generation ~= current_generation", "delivered ~= delivery", receipts.test_a_receipt_of_another_generation_is_refused, (settle["nack"],)),
    Mutant("time of delivery not compared", "queue/consume", '.. "." .. now_ms', '.. ".1"', receipts.test_a_receipt_of_an_earlier_message_with_the_same_id_is_refused, (settle["ack"],)),
    Mutant("lapsed delivery settled", "lib/delivery", "if ends_at and tonumber(ends_at) > now_ms then", "if ends_at then", receipts.test_a_delivery_that_lapsed_is_refused, (settle["extend"],)),
    Mutant("acknowledged message stays", "queue/ack", 'redis.call("HDEL", messages, id, "\\1" .. id)', "", test_queue_ack.test_an_acknowledged_message_never_comes_back_and_leaves_nothing),
    Mutant("acknowledged message comes back", "queue/ack", 'redis.call("ZREM", inflight, id)', "", test_queue_ack.test_an_acknowledged_message_never_comes_back_and_leaves_nothing),
    Mutant("given back to the tail", "queue/nack", '"LPUSH"', '"RPUSH"', test_queue_nack.test_a_message_given_back_comes_next_and_keeps_its_count),
    Mutant("given back and still in flight", "queue/nack", 'redis.call("ZREM", inflight, id)', "", receipts.test_a_message_given_back_is_refused, (settle["ack"],)),
    Mutant("extension adds", "queue/extend", "now_ms + ARGV[7]", 'redis.call("ZSCORE", inflight, id) + ARGV[7]', test_queue_extend.test_an_extension_sets_the_time_left_and_never_adds),
    Mutant("lapsed counted in flight", "queue/inspect", '"ZCOUNT", inflight, still, "+inf")', '"ZCARD", inflight)', test_queue_inspect.test_what_would_be_delivered_now_counts_as_ready),
    Mutant("version not compared", "cache/put", "if version ~= if_version then", "if false then", put.test_if_version_stores_only_over_that_version),
    Mutant("put without lifetime", "cache/put", ', "PX", ARGV[5])', ")", put.test_a_lifetime_is_kept_and_ends_the_value),
    Mutant("put not published", "cache/put", 'redis.call("PUBLISH", ARGV[7], numeral .. " " .. entry)', "local _ = { ARGV[7] }", put.test_every_put_is_published_with_version_and_key),
    Mutant("version in 14 digits", "cache/put", 'string.format("%.0f", version)', 'version .. ""', put.test_the_largest_version_is_exact_everywhere),
    Mutant("removal not published", "cache/invalidate", 'redis.call("PUBLISH", ARGV[4], version .. " " .. KEYS[at])', "local _ = { ARGV[4], version }", test_cache_invalidate.test_every_key_is_published_also_one_that_redis_no_longer_had),
    Mutant("only the first key removed", "cache/invalidate", "for at = 4, #KEYS do", "for at = 4, 4 do", test_cache_invalidate.test_the_keys_named_are_gone_and_no_others),
)  # fmt: skip


@pytest.fixture
def mutant_server(servers: dict[str, RedisServer]) -> RedisServer:
    server = servers[DEFAULT_FLAVOUR]
    client = server.client()
    client.flushall()
    client.close()
    return server


@pytest.fixture
def run(request: pytest.FixtureRequest, mutant_server: RedisServer, tmp_path: Path) -> Iterator[Runner]:
    mutant: Mutant = request.param
    shutil.copytree(bundle.sources_dir(), tmp_path / "lua")
    source = tmp_path / "lua" / f"{mutant.source}.lua"
    text = source.read_text()
    assert mutant.shipped in text, "the source has changed: change the mutant with it"
    source.write_text(text.replace(mutant.shipped, mutant.mutated, 1))
    runner = Runner(mutant_server, bundle.build(tmp_path / "lua"))
    yield runner
    runner.close()


@pytest.mark.parametrize(
    ("run", "mutant"), [(one, one) for one in MUTANTS], ids=[one.rule for one in MUTANTS], indirect=["run"]
)
def test_the_claim_goes_red_without_its_rule(run: Runner, mutant: Mutant) -> None:
    names = list(inspect.signature(mutant.claim).parameters)[1:]
    # An unpacking that does not fit is as red as an assert.
    with pytest.raises((AssertionError, ValueError)):
        mutant.claim(run, **dict(zip(names, mutant.args, strict=True)))
