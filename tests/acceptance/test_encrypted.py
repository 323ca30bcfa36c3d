"""A pool whose connections are encrypted, set up by the commands that people are told to use."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.acceptance.conftest import COMMAND, Pool, environment
from tests.waiting import until

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
    """`hippo certs init`, a server that wants certificates of its callers, a worker that joins, and a person."""
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
    owner = (pool.path / "server" / "admin.token").read_text()
    assert hippo("login", pool.address, *ours, given=owner)["role"] == "admin"
    joining = hippo("token", "create", "pool", "--role", "join", "--uses", "1", "--expires", "1h")["secret"]
    editor = hippo("token", "create", "ada", "--role", "editor")["secret"]
    (pool.path / "join.token").write_text(joining)
    pool.start_worker("encrypted", 1, *ours, "--join-token-file", str(pool.path / "join.token"))
    assert hippo("login", pool.address, *ours, given=editor)["user"] == "ada"
    (pool.folder / "study.py").write_text(STUDY)
    hippo("submit", "study.py", "--watch")
    found = hippo("study", "show", "study")
    assert (found["state"], found["trials"]["completed"]) == ("completed", 2)
    assert (found["savings"]["steps_trained"], found["savings"]["steps_without_sharing"]) == (4, 6)
    assert hippo("logout") == {"server": pool.address}
    hippo("login", pool.address, *ours, given=owner)
    asked = [(each["method"], each["subject"], each["result"]) for each in hippo("audit", "--token", "ada")]
    assert asked == [("SubmitStudy", "study", "OK"), ("UploadBundle", "", "OK")]
    tokens = {each["token"]: each for each in hippo("token", "ls")}
    assert tokens.keys() == {"admin", "worker", "pool", "ada", "worker/encrypted"}
    assert tokens["pool"]["uses_left"] == 0
    assert hippo("token", "revoke", "ada") == {"revoked": "ada"}
    assert hippo("token", "ls")[3]["revoked_at"] is not None
    own = (pool.path / "encrypted" / "worker.token").read_text().strip()
    for secret in (owner.strip(), joining, editor, own):
        for log in pool.path.glob("*.log"):
            assert secret not in log.read_text()
    assert pool.end("encrypted") == 0
    pool.start_worker("encrypted", 1, *ours, "--join-token-file", str(pool.path / "join.token"))
    again = {"encrypted"}
    until(
        lambda: again == {w for (w,) in pool.query("SELECT name FROM workers WHERE state = 'live'")},
        "the worker",
    )
