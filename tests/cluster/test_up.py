"""`simpul up`: a real Valkey and real nodes under one foreground command, and nothing of it left behind."""

import asyncio
import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import embedded
from tests.cluster.releases import simpul
from tests.support import DEADLINE_S, ROOT, RedisServer, call, free_ports, wait_until

STOP_S = 10.0


class Up:
    """One running `simpul up`, its output and every process it started."""

    def __init__(self, folder: Path, *words: str, nodes: int = 3) -> None:
        self.data = folder
        self.ports = free_ports(nodes)
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.output = folder.parent / f"{folder.name}.log"
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "service.cli",
            "up",
            "--data",
            str(folder),
            "--metrics-port",
            "0",
        ]
        command += ["--nodes", str(nodes), "--port", str(self.ports[0]), *words]
        env = {name: value for name, value in os.environ.items() if not name.startswith("SIMPUL_")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(command, env={**env, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def ready(self) -> "Up":
        def is_ready() -> bool:
            assert self.process.poll() is None, self.said
            return "Simpul is ready" in self.said

        wait_until(is_ready, f"a ready cluster; see {self.output}", 30)
        return self

    def children(self) -> dict[str, int]:
        """Process numbers by name, `valkey` and `n1`..."""
        found = {}
        for number in _children_of(self.process.pid):
            environment = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
            names = [entry[8:].decode() for entry in environment if entry.startswith(b"NODE_ID=")]
            if b"valkey-server" in Path(f"/proc/{number}/cmdline").read_bytes():
                names = ["valkey"]
            # Between fork and exec a child still looks like its parent: it has no name yet.
            for name in names:
                found[name] = number
        return found

    def end(self, number: int = signal.SIGINT, within_s: float = STOP_S) -> int:
        self.process.send_signal(number)
        return self.process.wait(within_s)


def _children_of(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_gone(pids: dict[str, int]) -> bool:
    return not any(is_running(pid) for pid in pids.values())


@pytest.fixture
def ups() -> Iterator[list[Up]]:
    """Clusters to end when the test does. SIGKILL is enough: their children go with them."""
    started: list[Up] = []
    yield started
    for up in started:
        children = up.children() if up.process.poll() is None else {}
        up.process.kill()
        up.process.wait()
        wait_until(lambda children=children: all_gone(children), f"the end of {children}")  # type: ignore[misc]


def test_three_nodes_are_ready_answer_and_the_lines_it_prints_work_as_pasted(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data").ready())
    for number, url in enumerate(up.urls, 1):
        assert call(f"{url}/health").json == {"ok": True, "node": f"n{number}"}
    lines = re.findall(r"^ +curl (\S+) -d (.+)$", up.said, re.MULTILINE)
    assert len(lines) == 3
    for url, quoted in lines:
        (body,) = shlex.split(quoted)
        # What curl sends with -d.
        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert call(url, "POST", body.encode(), kind).status == 200


def test_ctrl_c_stops_everything_in_order_and_leaves_no_process(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data").ready())
    children = up.children()
    assert set(children) == {"n1", "n2", "n3", "valkey"}
    before = len(up.said)
    assert up.end(signal.SIGINT) == 0
    assert all_gone(children)
    assert "carries no traffic" not in up.said[before:], "a node outlived Valkey"
    assert "killed" not in up.said
    assert not (up.data / "redis-url").exists()
    assert not (up.data / "node-url").exists()


def test_sigterm_stops_everything_too(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data", nodes=1).ready())
    children = up.children()
    assert up.end(signal.SIGTERM) == 0
    assert all_gone(children)


def test_a_stop_while_it_starts_leaves_no_process(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data"))
    children = wait_until(up.children, "a first child")
    assert up.end() == 0
    assert all_gone(children)


@pytest.mark.parametrize("victim", ["n2", "valkey"])
def test_a_killed_child_is_reported_by_name_and_exit_code_and_ends_the_rest(
    victim: str, tmp_path: Path, ups: list[Up]
) -> None:
    ups.append(up := Up(tmp_path / "data").ready())
    children = up.children()
    os.kill(children[victim], signal.SIGKILL)
    assert up.process.wait(STOP_S * 2) == 1
    assert f"{victim} was killed by SIGKILL (exit code -9), so the others are stopped too. Its last lines:" in up.said
    assert all_gone(children)


def test_killing_up_itself_leaves_no_orphan(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data").ready())
    children = up.children()
    up.process.kill()
    up.process.wait()
    wait_until(lambda: all_gone(children), f"the end of {children}")


def test_a_port_in_use_is_named_and_nothing_is_started(tmp_path: Path, ups: list[Up]) -> None:
    first, taken, _ = free_ports(3)
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        ups.append(up := Up(tmp_path / "data", "--port", str(first)))
        assert up.process.wait(STOP_S) == 1
    assert f"port {taken} is in use by another program: choose another --port or stop it" in up.said
    assert not (up.data / "valkey").exists()


def test_a_port_asked_for_twice_is_named(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data", "--port", "18001", "--metrics-port", "18003"))
    assert up.process.wait(STOP_S) == 1
    assert "port 18003 is asked for twice: --metrics-port overlaps --port" in up.said


def test_an_answer_of_another_server_is_not_taken_for_the_embedded_one(tmp_path: Path, server: RedisServer) -> None:
    with pytest.raises(embedded.EmbeddedError, match=f"port {server.port} is in use by another program"):
        asyncio.run(embedded.start(tmp_path / "valkey", port=server.port))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(embedded.EmbeddedError, match="file/valkey cannot hold Valkey's data"):
        asyncio.run(embedded.start(tmp_path / "file" / "valkey"))


def test_a_platform_without_a_binary_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(embedded.EmbeddedError, match=r"riscv64.*pass its address with --redis-url"):
        asyncio.run(embedded.start(tmp_path / "valkey"))


def test_the_port_of_another_server_is_refused_for_valkey(tmp_path: Path, ups: list[Up], server: RedisServer) -> None:
    ups.append(up := Up(tmp_path / "data", "--valkey-port", str(server.port)))
    assert up.process.wait(STOP_S) == 1
    assert f"port {server.port} is in use by another program: choose another --valkey-port or stop it" in up.said


def test_a_second_up_on_the_same_folder_is_refused(tmp_path: Path, ups: list[Up]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with (folder / "up.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        ups.append(up := Up(folder, nodes=1))
        assert up.process.wait(STOP_S) == 1
        assert f"{folder} is in use by another `simpul up` (process 4711)" in up.said
    ups.append(Up(folder, nodes=1).ready())
    ups.append(second := Up(folder, nodes=1))
    assert second.process.wait(STOP_S) == 1
    assert f"(process {ups[1].process.pid})" in second.said


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("policy", ["everysec", "always"])
def test_embedded_data_survives_a_restart(ending: signal.Signals, policy: str, tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data", "--appendfsync", policy, nodes=1).ready())
    put = call(f"{up.urls[0]}/cache/put", "POST", {"key": "k", "value": {"x": 1}}).json
    assert put["ok"] is True
    up.end(ending)
    ups.append(again := Up(tmp_path / "data", "--appendfsync", policy, nodes=1).ready())
    got = call(f"{again.urls[0]}/cache/get", "POST", {"key": "k"}).json
    assert got == {"value": {"x": 1}, "found": True, "version": put["version"], "source": "redis"}


def test_other_nodes_on_the_same_folder_take_over_its_data(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(up := Up(tmp_path / "data", nodes=3).ready())
    assert call(f"{up.urls[1]}/queue/publish", "POST", {"topic": "t", "data": {"x": 1}, "id": "m"}).status == 200
    held = call(f"{up.urls[2]}/lock/acquire", "POST", {"resource": "r", "owner": "alice"}).json
    assert up.end() == 0
    ups.append(other := Up(tmp_path / "data", nodes=1).ready())
    assert "adopted what Valkey holds of cluster" in other.said
    assert call(f"{other.urls[0]}/queue/consume", "POST", {"topic": "t"}).json["message"]["data"] == {"x": 1}
    refused = call(f"{other.urls[0]}/lock/acquire", "POST", {"resource": "r", "owner": "bob", "timeout": 0})
    assert [holder["owner"] for holder in refused.json["holders"]] == ["alice"]
    granted = call(f"{other.urls[0]}/lock/acquire", "POST", {"resource": "r2", "owner": "bob", "timeout": 10})
    assert granted.status == 200, "nothing was lost, so nothing is held back for long"
    assert granted.json["token"] > held["token"]


def test_and_the_first_nodes_take_it_back(tmp_path: Path, ups: list[Up]) -> None:
    ups.append(first := Up(tmp_path / "data", nodes=1).ready())
    call(f"{first.urls[0]}/cache/put", "POST", {"key": "k", "value": "of the first"})
    assert first.end() == 0
    ups.append(second := Up(tmp_path / "data", nodes=1).ready())
    version = call(f"{second.urls[0]}/cache/put", "POST", {"key": "k", "value": "of the second"}).json["version"]
    assert second.end() == 0
    ups.append(again := Up(tmp_path / "data", "--port", str(first.ports[0]), nodes=1))
    again.urls = first.urls
    again.ready()
    assert call(f"{again.urls[0]}/cache/get", "POST", {"key": "k"}).json["value"] == "of the second"
    assert call(f"{again.urls[0]}/cache/put", "POST", {"key": "k", "value": 3}).json["version"] > version


def test_data_of_another_cluster_in_a_given_redis_is_not_taken_over(
    tmp_path: Path, ups: list[Up], server: RedisServer
) -> None:
    ups.append(up := Up(tmp_path / "one", "--redis-url", server.url, nodes=1).ready())
    assert up.end() == 0
    ups.append(other := Up(tmp_path / "two", "--redis-url", server.url, nodes=1))
    found = wait_until(lambda: re.search(r"simpul (adopt (\w+)) --quarantine-ms N --url (\S+)", other.said), "advice")
    assert found
    with server.client() as client:
        owners = set(client.mget(client.keys("simpul:*:cluster")))
    assert owners == {found[2].encode()}, "the data still belongs to the first cluster"
    asked = call(f"{other.urls[0]}/cache/get", "POST", {"key": "k"})
    assert (asked.status, asked.json["code"]) == (503, "cluster_foreign")
    words = [*found[1].split(), "--quarantine-ms", "0", "--url", found[3]]
    assert simpul(ROOT, *words).returncode == 0
    other.ready()


def test_a_given_redis_is_used_and_not_stopped(tmp_path: Path, ups: list[Up], server: RedisServer) -> None:
    ups.append(up := Up(tmp_path / "data", "--redis-url", server.url, nodes=1).ready())
    assert set(up.children()) == {"n1"}
    assert up.end() == 0
    with server.client() as client:
        assert client.ping()


def test_evalsha_prints_a_line_for_a_running_up_that_works_as_pasted(tmp_path: Path, ups: list[Up]) -> None:
    if shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli on this machine (Debian: redis-tools)")
    ups.append(up := Up(tmp_path / "data", nodes=1).ready())
    words = ["lock.acquire", "resource=it's mine", "owner=alice", "--data", str(up.data)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": ""}
    printed = subprocess.run(
        [sys.executable, "-m", "service.cli", "evalsha", *words], env=env, capture_output=True, text=True, check=True
    )
    assert printed.stderr == ""
    reply = subprocess.run(["sh", "-c", printed.stdout], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    assert reply.stdout.splitlines()[0] == "ok"
    held = call(f"{up.urls[0]}/lock/acquire", "POST", {"resource": "it's mine", "owner": "bob", "timeout": 0})
    assert held.status == 409
    assert [holder["owner"] for holder in held.json["holders"]] == ["alice"]


def test_valkey_allocates_with_jemalloc_where_the_machine_has_it(tmp_path: Path) -> None:
    preloaded = embedded.environment({}).get("LD_PRELOAD")
    if preloaded is None:
        pytest.skip("this machine has no libjemalloc.so.2 (Debian: libjemalloc2)")

    async def mapped() -> str:
        valkey = await embedded.start(tmp_path / "valkey")
        try:
            return Path(f"/proc/{valkey.child.pid}/maps").read_text()
        finally:
            await valkey.stop()

    assert str(Path(preloaded).resolve()) in asyncio.run(mapped())


def test_what_is_preloaded_already_stays(tmp_path: Path) -> None:
    given = {"LD_PRELOAD": str(tmp_path / "libother.so"), "PATH": "/bin"}
    assert embedded.environment(given) == given
