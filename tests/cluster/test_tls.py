"""The shared connection works over TLS with a password, as redis-py set it up."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.traffic import use_every_operation
from tests.redis_servers import ask, redis_cluster
from tests.support import NodeProcess, RedisServer, cluster, server_binaries


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1."""
    key, crt = folder / "key.pem", folder / "crt.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(crt)]
    subprocess.run(command, check=True, capture_output=True)
    return key, crt


def skip_without_tls() -> None:
    if "redis-7" not in server_binaries():
        pytest.skip("no Redis built with TLS on this machine (Debian's redis-server is)")
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")


def test_every_primary_of_a_cluster_is_reached_over_tls_as_the_user_of_the_url(tmp_path: Path) -> None:
    skip_without_tls()
    key, crt = certificate(tmp_path)
    files = {"--tls-cert-file": crt, "--tls-key-file": key, "--tls-ca-cert-file": crt}
    options = [part for option, file in files.items() for part in (option, str(file))]
    options += [
        "--tls-auth-clients",
        "no",
        "--tls-cluster",
        "yes",
        "--user",
        "app",
        "on",
        ">secret",
        "~*",
        "&*",
        "+@all",
    ]
    with redis_cluster(tmp_path / "redis", "redis-7", options=tuple(options), with_tls=True) as redis:
        url = f"rediss+cluster://app:secret@127.0.0.1:{redis.tls_ports[0]}?ssl_ca_certs={crt}"
        with cluster(tmp_path, url, nodes=1) as (node,):
            use_every_operation(node, "tls")
            up = [line for line in node.log.read_text().splitlines() if " is up: " in line]
            assert len(up) == 3
            assert all(any(f":{port} is up" in line for line in up) for port in redis.tls_ports)
            for server in redis.servers:
                users = [one["user"] for one in ask(server, "CLIENT LIST") if one["name"].startswith("simpul-n1")]
                assert set(users) == {"app"}


def test_a_node_serves_over_tls_and_refuses_a_certificate_it_does_not_know(tmp_path: Path) -> None:
    skip_without_tls()
    key, crt = certificate(tmp_path)
    server = RedisServer(tmp_path / "redis", "redis-7", "--requirepass", "secret", "--tls-auth-clients", "no")
    port, server.port = server.port, 0
    files = {"--tls-cert-file": crt, "--tls-key-file": key, "--tls-ca-cert-file": crt}
    server.start(
        "--tls-port", str(port), *(part for option, file in files.items() for part in (option, str(file))), wait=False
    )
    known = NodeProcess(tmp_path, f"rediss://:secret@127.0.0.1:{port}/0?ssl_ca_certs={crt}", NODE_ID="known")
    unknown = NodeProcess(tmp_path, f"rediss://:secret@127.0.0.1:{port}/0", NODE_ID="unknown")
    try:
        known.start()
        for number in range(50):
            assert known.post("/queue/publish", {"topic": "t", "data": "x" * 10_000}).status == 200, number
        assert len(known.post("/queue/consume", {"topic": "t", "max": 100}).json["messages"]) == 50
        assert known.stop() == 0
        unknown.start(ready=False)
        refused = unknown.post("/cache/get", {"key": "k", "consistency": "strong"})
        assert (refused.status, refused.json["code"]) == (503, "store_unavailable")
    finally:
        for node in (known, unknown):
            if node.process is not None and node.process.poll() is None:
                node.stop()
        server.kill()
