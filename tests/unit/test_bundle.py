"""The bundle: what a flattened script is made of, which headers are refused, and what names a version."""

import dataclasses
import shutil
import zlib
from pathlib import Path

import pytest

from service.store import bundle
from service.store.bundle import BundleError

SCRIPT = """\
--- noun.act: does something.
-- Promises: nothing more,
--   on two lines.
-- KEYS:
--   1 fence: the fence
--   2 thing: what it acts on
-- ARGV:
--   1 fence: of the caller
--   2+ item: one of many
-- Replies:
--   OK count: done
--   LOCK_HELD mode [owner]: refused
-- Complexity: O(1)
-- Retry: safe
--- @include lib/fence
--- @include lib/more
local thing = KEYS[2]
if redis.call("EXISTS", thing) == 1 then
  return { LOCK_HELD, "x" }
end
return { OK, #ARGV - 1 }
"""
FENCE = """\
-- Refuses strangers.
-- Replies: FENCE_MISSING, FENCE_STALE
if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return { FENCE_MISSING }
end
"""


LAYOUT = "writes = 2\nreads = [1, 2]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "layout.toml": LAYOUT,
        "noun/act.lua": SCRIPT,
        "lib/fence.lua": FENCE,
        "lib/more.lua": "--- @include lib/fence\nlocal more = 1\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def change(root: Path, shipped: str, changed: str, path: str = "noun/act.lua") -> None:
    text = (root / path).read_text()
    assert shipped in text
    (root / path).write_text(text.replace(shipped, changed))


def test_a_header_is_read_whole(root: Path) -> None:
    script = bundle.build(root).scripts["noun.act"]
    assert (script.summary, script.promises) == ("does something.", "nothing more, on two lines.")
    assert [(key.name, key.about, key.repeats) for key in script.keys] == [
        ("fence", "the fence", False),
        ("thing", "what it acts on", False),
    ]
    assert [(arg.name, arg.repeats) for arg in script.args] == [("fence", False), ("item", True)]
    assert [(reply.code, reply.fields) for reply in script.replies] == [
        ("ok", "count"),
        ("lock_held", "mode [owner]"),
        ("fence_missing", ""),
        ("fence_stale", ""),
    ]
    assert (script.complexity, script.retry, script.writes) == ("O(1)", "safe", True)


def test_the_keys_of_a_piece_stand_where_the_header_asks_for_them(root: Path) -> None:
    change(root, "--   2 thing: what it acts on\n", "--   2-4 lib/keys\n")
    listed = "-- Keys.\n-- KEYS:\n--   2 thing: what it acts on\n--   3 more: things\n--   4? rare: seldom\n"
    (root / "lib/keys.lua").write_text(listed + "local both = { KEYS[3], KEYS[4] }\n")
    change(root, "local thing", "--- @include lib/keys\nlocal thing")
    keys = bundle.build(root).scripts["noun.act"].keys
    assert [(key.name, key.is_optional) for key in keys] == [
        ("fence", False),
        ("thing", False),
        ("more", False),
        ("rare", True),
    ]
    assert keys[3].about == "where used: seldom"


def test_keys_of_a_piece_that_is_not_there_are_refused(root: Path) -> None:
    change(root, "--   2 thing: what it acts on\n", "--   2-4 lib/nothing\n")
    with pytest.raises(BundleError, match=r"takes the keys of lib/nothing, which does not exist"):
        bundle.build(root)


def test_an_include_is_flattened_once_however_often_it_is_asked_for(root: Path) -> None:
    source = bundle.build(root).scripts["noun.act"].source
    assert source.count('redis.call("GET", KEYS[1])') == 1
    assert "@include" not in source
    assert source.index("KEYS[1]") < source.index("local more") < source.index("local thing")


def test_an_include_that_includes_itself_ends(root: Path) -> None:
    change(root, "local more", "--- @include lib/more\nlocal more", "lib/more.lua")
    assert bundle.build(root).scripts["noun.act"].source.count("local more") == 1


def test_every_reply_becomes_a_constant(root: Path) -> None:
    lines = bundle.build(root).scripts["noun.act"].source.splitlines()
    assert lines[0] == "-- noun.act: flattened from lua/noun/act.lua"
    assert lines[1:5] == [
        'local OK = "ok"',
        'local LOCK_HELD = "lock_held"',
        'local FENCE_MISSING = "fence_missing"',
        'local FENCE_STALE = "fence_stale"',
    ]


@pytest.mark.parametrize(
    ("shipped", "changed", "refusal"),
    [
        ("--- noun.act: does", "--- noun.other: does", "starts with '--- noun.act: what it does'"),
        ("-- Promises: nothing more,\n--   on two lines.\n", "", "has, in order, Promises"),
        ("-- Complexity: O(1)\n-- Retry: safe\n", "-- Retry: safe\n-- Complexity: O(1)\n", "has, in order"),
        ("--   2 thing: what", "--   3 thing: what", "should read '2 name: meaning, unit'"),
        ("--   2 thing: what it acts on", "--   2 thing", "should read '2 name: meaning, unit'"),
        ("--   LOCK_HELD mode", "--   lock_held mode", "should read 'CODE field field: meaning'"),
        ("--   OK count: done\n", "", "no OK reply"),
        ("lib/more", "lib/none", "includes lib/none.lua, which does not exist"),
        ("#ARGV - 1", "ARGV[3]", "uses ARGV[3], which the header does not declare"),
        ("local thing = KEYS[2]", "local thing = KEYS[1]", "never uses KEYS[2] (thing)"),
        ("local thing = KEYS[2]", "local other = KEYS[2]", "KEYS[2] is 'thing' in the header and 'other' in the code"),
        ("--   2+ item", "--   2 item", "never uses ARGV[2] (item)"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused_by_name(root: Path, shipped: str, changed: str, refusal: str) -> None:
    change(root, shipped, changed)
    with pytest.raises(BundleError, match="noun") as refused:
        bundle.build(root)
    assert refusal in str(refused.value)


def test_an_empty_script_is_refused(root: Path) -> None:
    (root / "noun/act.lua").write_text("")
    with pytest.raises(BundleError, match=r"noun\.act"):
        bundle.build(root)


def test_a_folder_without_scripts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no scripts found"):
        bundle.build(tmp_path)


def test_a_comment_uses_no_arguments(root: Path) -> None:
    change(root, "local thing", "-- not KEYS[9]\nlocal thing")
    bundle.build(root)


@pytest.mark.parametrize("path", ["noun/act.lua", "lib/fence.lua", "lib/more.lua"])
def test_the_version_changes_with_any_source(root: Path, path: str) -> None:
    before = bundle.build(root).version
    (root / path).write_text((root / path).read_text() + "local _ = 1\n")
    assert bundle.build(root).version != before


def test_the_version_changes_with_the_name_of_a_script(root: Path) -> None:
    before = bundle.build(root).version
    change(root, "noun.act", "noun.do")
    (root / "noun/act.lua").rename(root / "noun/do.lua")
    assert bundle.build(root).version != before


def test_equal_sources_are_the_same_version_anywhere(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy") / "lua"
    shutil.copytree(root, copy)
    assert bundle.build(copy) == bundle.build(root)


def test_an_unused_library_does_not_change_the_version(root: Path) -> None:
    before = bundle.build(root).version
    (root / "lib/unused.lua").write_text("local unused = 1\n")
    assert bundle.build(root).version == before


def test_the_words_of_a_header_do_not_change_the_version(root: Path) -> None:
    before = bundle.build(root).version
    change(root, "does something", "does the same, better told")
    assert bundle.build(root).version == before


def test_sources_come_from_the_checkout_or_from_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "__file__", str(tmp_path / "service/store/bundle.py"))
    assert bundle.sources_dir() == tmp_path / "lua"
    (tmp_path / "service/_lua").mkdir(parents=True)
    assert bundle.sources_dir() == tmp_path / "service/_lua"


def test_the_shipped_set_is_built_once() -> None:
    assert bundle.shipped() is bundle.shipped()
    assert bundle.shipped() == bundle.build(bundle.sources_dir())


def test_the_data_layouts_are_read_and_are_part_of_the_version(root: Path) -> None:
    before = bundle.build(root)
    assert (before.layout, before.reads) == (2, (1, 2))
    change(root, "reads = [1, 2]", "reads = [2]", "layout.toml")
    assert bundle.build(root).version != before.version


@pytest.mark.parametrize("layouts", ["", "writes = 1\n", "writes = 3\nreads = [1, 2]\n", 'writes = 1\nreads = ["1"]\n'])
def test_a_set_that_cannot_read_what_it_writes_is_refused(root: Path, layouts: str) -> None:
    change(root, LAYOUT, layouts, "layout.toml")
    with pytest.raises(BundleError, match=r"layout\.toml: says"):
        bundle.build(root)


def test_a_packed_set_is_the_same_set_when_unpacked() -> None:
    assert bundle.unpack(bundle.pack(bundle.shipped())) == bundle.shipped()


def test_a_packed_script_that_is_not_what_its_hash_says_is_refused(root: Path) -> None:
    script_set = bundle.build(root)
    script = script_set.scripts["noun.act"]
    forged = dataclasses.replace(script, source=script.source + "return 1\n")
    with pytest.raises(BundleError, match=r"noun\.act: the source does not have the hash"):
        bundle.unpack(bundle.pack(dataclasses.replace(script_set, scripts={"noun.act": forged})))


def test_what_is_no_packed_set_is_refused() -> None:
    packed = bundle.pack(bundle.shipped())
    for broken in (b"", b"x", packed[:-1], packed[:100], zlib.compress(b"\x90")):
        with pytest.raises(BundleError, match="not a packed script set"):
            bundle.unpack(broken)
