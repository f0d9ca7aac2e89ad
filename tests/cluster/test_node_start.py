"""A node that cannot start says which setting is at fault and ends."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, RedisServer, cluster, free_port


def start(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "PYTHONPATH": str(ROOT), "SIMPUL_DATA": str(folder), "HTTP_PORT": str(free_port()), **env}
    command = [sys.executable, "-m", "service.cli", "node"]
    return subprocess.run(command, env=full, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("setting", ["HTTP_PORT", "METRICS_PORT"])
def test_a_port_in_use_is_named_by_its_setting(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = start(tmp_path, **{setting: str(taken.getsockname()[1])})
    assert ended.returncode == 2
    assert setting in ended.stderr


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = start(tmp_path, SIMPUL_DATA=str(tmp_path / "file"))
    assert ended.returncode == 2
    assert "SIMPUL_DATA" in ended.stderr


def test_a_quorum_that_is_no_majority_ends_the_start(tmp_path: Path) -> None:
    ended = start(tmp_path, QUORUM="1", PEERS="http://127.0.0.1:8002,http://127.0.0.1:8003")
    assert ended.returncode == 2
    assert "QUORUM=1 is not the majority of 3 members" in ended.stderr


def test_an_invalidation_that_part_of_the_partitions_refused_is_an_unknown_outcome(
    tmp_path: Path, server: RedisServer
) -> None:
    with cluster(tmp_path, server.url, nodes=1) as (node,), server.client() as client:
        keys = [f"k{number}" for number in range(200)]
        outcome = sorted(client.keys("*{p00}:fence"))[0].replace(b"fence", b"outcome:once")
        client.lpush(outcome, "of another program")
        answer = node.post("/cache/invalidate", {"keys": keys, "request_id": "once"})
        assert (answer.status, answer.json["code"]) == (504, "outcome_unknown")
        assert "1 of" in answer.json["detail"]
