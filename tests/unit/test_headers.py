"""The header of a script is its contract: what it says is what the code does and what every caller sends."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from service.error_registry import BY_CODE
from service.store import bundle
from service.store.bundle import OK, Argument, LuaScript
from service.store.registry import read
from service.store.scripts import declared
from tests.support import ROOT, RedisServer

SCRIPTS = bundle.shipped().scripts
each_script = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
OF_THE_LEADER = {name for name in SCRIPTS if name.startswith("fence.")}
"""Called from service/decisions only, by the leader's own version of them and not by the active script set's."""
OF_THE_CACHE = {"cache.fill", "cache.untag", "cache.begin_names", "cache.add_names", "cache.remove_named"}
"""A lease whose answer was lost ends by itself, what was removed is not there any more, and a name is kept once."""
OF_A_LINE = {"lock.withdraw", "lock.hand_over", "lock.attend", "lock.cancel", "queue.attend"}
"""What nodes do about lines: known by waiter and session, and done again it changes nothing."""
OF_EVENTS = {"lock.record", "lock.note_end", "lock.force_release"}
"""What nodes bring about and record: known by the token of the hold, and done again it changes nothing."""

UNPACKED_WHOLE = {
    *("redis.call", "option"),  # a fixed number of values
    *("fields_of", "deliveries", "ends", "fields"),  # two for each of a chunk, of 500 at the most
    *("asked", "marks", "named"),  # one for each of a chunk, of 500 at the most
    *("forgotten", "late", "topics"),  # read with a LIMIT of 100
}
"""What is unpacked without saying from where to where; anything else says so, and at most 1000 values."""

_CALLERS = ("atomic", "lock.locks", "queue.queues", "queue.subscriptions", "cache", "duties.quarantine")
for module in _CALLERS:
    import_module(f"service.{module}")


def names(arguments: tuple[Argument, ...]) -> tuple[str, ...]:
    return tuple(argument.name for argument in arguments)


def is_duty(script: LuaScript) -> bool:
    return "duty" in names(script.keys)


def code_of(script: LuaScript) -> str:
    return re.sub(r"--[^\n]*", "", script.source)


def test_every_script_has_a_call_site_that_declares_it() -> None:
    assert set(declared()) == set(SCRIPTS) - OF_THE_LEADER


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - OF_THE_LEADER))
def test_callers_send_what_the_header_declares_in_its_order(name: str) -> None:
    call, script = declared()[name], SCRIPTS[name]
    assert call.keys == names(script.keys)
    assert call.args == names(script.args)


@pytest.mark.parametrize("name", sorted(declared()))
def test_callers_repeat_what_the_header_repeats(name: str) -> None:
    script = SCRIPTS[name]
    assert declared()[name].items == {one.name for one in (*script.keys, *script.args) if one.repeats}


@each_script
def test_only_the_last_arguments_repeat(script: LuaScript) -> None:
    for arguments in (script.keys, script.args):
        repeats = [argument.repeats for argument in arguments]
        assert repeats == sorted(repeats)


@each_script
def test_the_fence_is_the_first_thing_a_script_reads(script: LuaScript) -> None:
    first = re.search(r"redis\.call\((.*)\)", code_of(script))
    assert first
    assert first[1] == '"GET", KEYS[1]' or first[1].startswith('"MGET", KEYS[1], ')
    assert script.keys[0].name in ("fence", "installed")
    assert script.args[0].name == "fence"


@each_script
def test_a_local_that_stands_for_an_argument_has_its_name(script: LuaScript) -> None:
    """`local lock, owner = KEYS[4], ARGV[4]`, checked against the header."""
    bound = re.findall(r"local ([\w, ]+) = ((?:(?:KEYS|ARGV)\[\d+\](?:, )?)+)", code_of(script))
    for locals_, values in bound:
        for local, value in zip(locals_.split(", "), values.split(", "), strict=False):
            table, number = value.rstrip("]").split("[")
            arguments = script.keys if table == "KEYS" else script.args
            assert local == arguments[int(number) - 1].name


@each_script
def test_the_codes_of_the_code_are_those_of_the_header(script: LuaScript) -> None:
    without_texts = re.sub(r'"(?:[^"\\]|\\.)*"', '""', code_of(script))
    without_constants = re.sub(r'^local [A-Z_]+ = ""$', "", without_texts, flags=re.MULTILINE)
    used = {name.lower() for name in re.findall(r"\b[A-Z][A-Z_]+\b", without_constants)} - {"keys", "argv"}
    assert used == {reply.code for reply in script.replies}


@each_script
def test_every_reply_is_in_the_registry(script: LuaScript) -> None:
    assert {reply.code for reply in script.replies} <= {OK, *BY_CODE}


@each_script
def test_a_script_that_does_not_write_says_so(script: LuaScript) -> None:
    writes = re.findall(
        r'redis\.call\("(SET|HSET\w*|XADD|INCR|DEL|UNLINK|[LR]PUSH|LPOP|Z(?:ADD|REM)|HDEL|PEXPIREAT|PUBLISH)"',
        code_of(script),
    )
    assert bool(writes) == script.writes


@each_script
def test_what_clients_change_is_kept_as_an_outcome_and_nothing_else_is(script: LuaScript) -> None:
    """Duties and the leader's work bring about a state: doing them again changes nothing, so there is no outcome."""
    is_of_clients = not is_duty(script) and script.name not in OF_THE_LEADER | OF_A_LINE | OF_THE_CACHE | OF_EVENTS
    assert ("outcome" in names(script.keys)) == (script.writes and is_of_clients)


@each_script
def test_a_duty_is_refused_to_whoever_lost_it(script: LuaScript) -> None:
    assert is_duty(script) == ("duty_stale" in {reply.code for reply in script.replies})


@each_script
def test_no_script_asks_for_unbounded_work(script: LuaScript) -> None:
    """What a caller sends is bounded by the limits of the API: at most 1000 keys may be unpacked."""
    code = code_of(script).replace("cmsgpack.unpack(", "").replace("unpack(KEYS, ", "")
    assert not re.search(r'"(KEYS|SCAN|HGETALL|SMEMBERS|HKEYS|HVALS)"|"LRANGE", [^)]*, 0, -1\)|cjson', code)
    unpacked = set(re.findall(r"\bunpack\(([\w.]+)(?:\([^()]*\))?\)", code))
    assert unpacked <= UNPACKED_WHOLE


@each_script
def test_every_script_has_tests_of_its_own(script: LuaScript) -> None:
    assert (ROOT / f"tests/lua/test_{script.name.replace('.', '_')}.py").is_file()


def test_the_registry_has_no_dead_entries() -> None:
    replied = {reply.code for script in SCRIPTS.values() for reply in script.replies}
    sources = "".join(
        path.read_text() for path in (ROOT / "service").rglob("*.py") if path.name not in ("error_registry.py",)
    )
    for entry in read(Path(bundle.sources_dir()) / "errors.toml"):
        assert entry.code in replied or re.search(rf"\b{entry.class_name}\b", sources), f"nothing raises {entry.code}"


def test_every_refusal_of_a_script_is_known_to_python() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "service").rglob("*.py") if path.name != "error_registry.py")
    for script in SCRIPTS.values():
        for reply in script.replies:
            if reply.code != OK:
                assert re.search(rf'"{reply.code}"|\b{BY_CODE[reply.code].__name__}\b', sources), reply.code


@each_script
def test_the_sha_is_the_one_redis_computes(script: LuaScript, any_server: RedisServer) -> None:
    client = any_server.client()
    assert client.script_load(script.source) == script.sha
    client.close()
