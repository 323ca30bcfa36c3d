"""A pool whose connections are encrypted, set up by the commands that people are told to use."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.acceptance.conftest import COMMAND, Pool, environment

STUDY = """
import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainers:Dropout",
    {"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01], milestones=[2])]), "momentum": 0.9, "batch_size": 16},
    maximize="accuracy", max_steps=3,
)
"""


def test_a_study_is_trained_over_tls_by_whoever_logged_in(pool: Pool) -> None:
    """`hippo certs init`, a server that wants certificates of its callers, a worker and a person who have some."""
    home = pool.path / "person"

    def hippo(*arguments: str, given: str = "") -> Any:
        done = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            cwd=pool.folder,
            env=environment(HIPPO_HOME=str(home)),
            input=given,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    certs = pool.path / "certs"
    pool.end("server")
    assert "localhost" in hippo("certs", "init", "--dir", str(certs))["hosts"]
    pool.start_server(
        *("--tls-cert", str(certs / "server.pem"), "--tls-key", str(certs / "server.key")),
        *("--tls-client-ca", str(certs / "ca.pem")),
    )
    ours = [
        *("--ca", str(certs / "ca.pem")),
        *("--cert", str(certs / "client.pem"), "--key", str(certs / "client.key")),
    ]
    pool.start_worker("encrypted", 1, *ours)
    token = (pool.path / "server" / "admin.token").read_text()
    assert hippo("login", pool.address, *ours, given=token)["role"] == "admin"
    assert token.strip() not in (pool.path / "server.log").read_text()
    (pool.folder / "study.py").write_text(STUDY)
    hippo("submit", "study.py", "--watch")
    found = hippo("study", "show", "study")
    assert (found["state"], found["trials"]["completed"]) == ("completed", 2)
    assert (found["savings"]["steps_trained"], found["savings"]["steps_without_sharing"]) == (4, 6)
    assert hippo("logout") == {"server": pool.address}
