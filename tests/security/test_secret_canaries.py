"""S09. Secrets that are known to a whole system are nowhere in what it keeps, says or writes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from click.testing import CliRunner

from hippo_client.cli.main import app
from tests.acceptance.conftest import COMMAND, Pool, device, environment, pool
from tests.waiting import until

__all__ = ["device", "pool"]

SECRET, DSN, TRACKED = "canary-of-a-worker", "canary-in-an-address", "canary-in-the-environment"

TRAINER = """
import os
import sys

import torch

import hippo_client as hippo


class Talkative(hippo.Trainer):
    def setup(self, context):
        self.weight = torch.zeros(1)
        self.key = os.environ["SERVICE_KEY"]

    def apply(self, hp):
        self.lr = hp["lr"]

    def train(self, step):
        for part in ("the key is ", self.key[:7], self.key[7:], "\\n"):
            sys.stdout.write(part)
            sys.stdout.flush()
        print("as an error", self.key, file=sys.stderr)
        if self.lr > 0.1:
            raise RuntimeError(f"the service refused {self.key}")
        self.weight += self.lr

    def evaluate(self):
        return {"loss": float(self.weight)}

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight.copy_(state["weight"])
"""
STUDY = """
import hippo_client as hippo

study = hippo.Study(
    "talkative:Talkative", {"lr": hippo.space.choice([0.1, 0.2])}, minimize="loss", max_steps=3,
    secrets=["SERVICE_KEY"], env={"SERVICE": "tracking"}, name="talkative",
)
"""


def files(path: Path) -> Iterator[Path]:
    """All below a folder; other than with ``Path.rglob``, folders may go meanwhile."""
    return (Path(folder, file) for folder, _, names in os.walk(path) for file in names)


def everything(pool: Pool) -> Iterator[tuple[str, bytes]]:
    """Whatever lies on disk or in the database, and what calls, pages and process lists say; each with its place."""
    secrets = pool.path / "w" / "secrets.env"
    for path in files(pool.path):
        if path != secrets and path.suffix != ".token" and path.is_file():
            with contextlib.suppress(FileNotFoundError):
                yield str(path), path.read_bytes()
    for (table,) in pool.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = pool.query(f'SELECT t::text FROM "{table}" t')
        yield f"table {table}", "\n".join(row for (row,) in rows).encode()
    token = (pool.path / "server" / "admin.token").read_text().strip()
    for command in (
        ["study", "show", "talkative"],
        ["trial", "ls", "talkative"],
        ["trial", "logs", "talkative", "0"],
        ["trial", "logs", "talkative", "1"],
        ["trial", "show", "talkative", "1"],
        ["trial", "explain", "talkative", "1"],
        ["study", "export", "talkative"],
        ["worker", "ls"],
        ["token", "ls"],
        ["audit"],
    ):
        done = CliRunner().invoke(app, command, env={"HIPPO_SERVER": pool.address, "HIPPO_TOKEN": token})
        assert done.exit_code == 0, done.output
        yield " ".join(command), done.output_bytes
    said = json.loads((pool.path / "server" / "server.json").read_text())
    metrics = httpx.get(
        f"http://{said['http']}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=60
    )
    yield "/metrics", metrics.content
    yield "title", Path(f"/proc/{pool.processes['server'].pid}/cmdline").read_bytes()


def test_secrets_are_nowhere_in_what_a_run_leaves(pool: Pool) -> None:
    """A trainer prints its secret, also in pieces, and fails with it; the database's address has a password.

    1. both trials run, one of them to its failure: the secret was there
    2. neither files nor tables, answers, pages nor logs hold it, nor the password, nor any token
    """
    pool.end("server")
    path, plain = pool.path, pool.database
    parts = urlsplit(plain)
    pool.database = urlunsplit(
        parts._replace(netloc=f"{parts.username}:{DSN}@{parts.netloc.rpartition('@')[2]}")
    )
    pool.start_server("--lease-seconds", "30")
    (pool.folder / "talkative.py").write_text(TRAINER)
    (pool.folder / "talkative_study.py").write_text(STUDY)
    (path / "w").mkdir()
    (path / "w" / "secrets.env").write_text(f"SERVICE_KEY={SECRET}\n")
    (path / "w" / "secrets.env").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKING_KEY", TRACKED)
        pool.start_worker("w")
    token = (path / "server" / "admin.token").read_text().strip()
    done = subprocess.run(
        [*COMMAND, "submit", "talkative_study.py"],
        cwd=pool.folder,
        env=environment(HIPPO_SERVER=pool.address, HIPPO_TOKEN=token),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    pool.database = plain
    ended = ("completed", "failed")
    until(
        lambda: [s in ended for (s,) in pool.query("SELECT state FROM trials")] == [True, True], "both ends"
    )
    assert pool.end("w") == 0  # what it had spooled is shipped and gone
    found = dict(everything(pool))
    hidden = b"*" * len(SECRET)
    assert found["trial logs talkative 0"].count(b"the key is " + hidden) == 3
    assert b"the service refused " + hidden in found["trial show talkative 1"]
    tokens = [file.read_text().strip() for file in files(path) if file.suffix == ".token"]
    assert len(tokens) >= 2
    for canary in (SECRET, DSN, TRACKED, *tokens):
        assert [place for place, content in found.items() if canary.encode() in content] == []
