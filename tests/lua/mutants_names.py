"""Removal by prefix without one of its rules each: see test_mutants.py."""

from tests.lua import test_cache_add_names as adding
from tests.lua import test_cache_begin_names as begin
from tests.lua import test_cache_named as named
from tests.lua import test_cache_remove_named as removing
from tests.lua.mutant import Mutant

MUTANTS = (
    Mutant(
        "plain put leaves out the name",
        "cache/put",
        'names_are_kept and ARGV[8] == "1"',
        'not names_are_kept and ARGV[8] == "0"',
        begin.test_a_plain_put_is_sent_to_the_script_that_keeps_names_and_stores_nothing,
    ),
    Mutant(
        "name of a stored key left out",
        "cache/store",
        "keep_name(KEYS[5], entry)",
        "local _ = { keep_name, KEYS[5] }",
        begin.test_every_way_to_write_a_new_key_keeps_its_name,
    ),
    Mutant(
        "names of many left out",
        "cache/put_many",
        "keep_name(KEYS[4], entry)",
        "local _ = { keep_name, KEYS[4] }",
        begin.test_every_way_to_write_a_new_key_keeps_its_name,
    ),
    Mutant(
        "name of a key put by a group left out",
        "atomic/apply",
        "keep_name(KEYS[part + 1], KEYS[part])",
        "local _ = { keep_name, KEYS[part + 1] }",
        begin.test_every_way_to_write_a_new_key_keeps_its_name,
    ),
    Mutant(
        "name of a lease left out",
        "cache/fill",
        "keep_name(KEYS[4], KEYS[3])",
        "local _ = { keep_name, KEYS[4] }",
        begin.test_every_way_to_write_a_new_key_keeps_its_name,
    ),
    Mutant(
        "names begun twice",
        "cache/begin_names",
        "if not names_are_kept then",
        'if not names_are_kept or redis.call("ZSCORE", names, "") then',
        begin.test_versions_go_on_above_and_are_not_moved_twice,
    ),
    Mutant(
        "writers not told that names are kept",
        "cache/begin_names",
        'redis.call("INCRBY", KEYS[3], "34359738368")',
        "local _ = { KEYS[3] }",
        begin.test_every_way_to_write_a_new_key_keeps_its_name,
    ),
    Mutant(
        "names of an older generation stay",
        "cache/begin_names",
        'redis.call("UNLINK", names)',
        "local _ = { names }",
        begin.test_names_of_an_older_generation_are_not_trusted,
    ),
    Mutant(
        "names of an older generation trusted",
        "cache/named",
        'names_are_kept and redis.call("ZSCORE", names, "")',
        'redis.call("ZSCORE", names, "")',
        begin.test_names_of_an_older_generation_are_not_trusted,
    ),
    Mutant(
        "names told before all are there",
        "cache/named",
        'names_are_kept and redis.call("ZSCORE", names, "")',
        "names_are_kept",
        adding.test_names_are_not_told_before_they_are_whole,
    ),
    Mutant(
        "look that began too early makes whole",
        "cache/add_names",
        'if not redis.call("ZSCORE", names, mark) then',
        "if not mark then",
        adding.test_a_look_that_began_before_the_names_did_is_refused,
    ),
    Mutant(
        "name of a key that is gone added",
        "cache/add_names",
        'redis.call("EXISTS", KEYS[at]) == 1',
        "KEYS[at]",
        adding.test_names_are_not_told_before_they_are_whole,
    ),
    Mutant(
        "page told again",
        "cache/named",
        'after ~= "" and "(" .. after or',
        'after ~= "" and "[" .. after or',
        named.test_a_prefix_finds_the_names_that_begin_so_in_order,
        ("a:", "a: a:1 a:2"),
    ),
    Mutant(
        "marks told as names",
        "cache/named",
        '(prefix ~= "" and prefix or " ")',
        "prefix",
        named.test_a_prefix_finds_the_names_that_begin_so_in_order,
        ("", "A a a: a:1 a:2 ab b é éa"),
    ),
    Mutant(
        "value put since removed by prefix",
        "cache/remove_named",
        "tonumber(entry_version(head)) <= tonumber(up_to)",
        "entry_version(head) and tonumber(up_to)",
        removing.test_what_was_written_since_stays_with_its_name,
    ),
    Mutant(
        "removal by prefix not told",
        "cache/remove_named",
        'redis.call("PUBLISH", ARGV[2], string.format("%.0f", redis.call("INCR", KEYS[3])) .. " " .. entry)',
        "local _ = { ARGV[2], KEYS[3] }",
        removing.test_values_go_and_every_near_cache_is_told,
    ),
    Mutant(
        "name outlives its key",
        "cache/remove_named",
        'local is_gone = head == ""',
        "local is_gone = false",
        removing.test_names_of_keys_that_are_gone_are_swept_and_no_value_with_them,
    ),
    Mutant(
        "name goes without its key",
        "cache/remove_named",
        "if is_gone then",
        "if is_gone or head then",
        removing.test_what_was_written_since_stays_with_its_name,
    ),
)
