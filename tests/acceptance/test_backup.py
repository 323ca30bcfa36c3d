"""A backup that is made while a study runs is restored elsewhere, and the study ends there with equal bits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import STUDY_FOLDER, environment
from tests.acceptance.nemesis import Arena
from tests.acceptance.oracle import distinct_prefixes
from tests.acceptance.test_faults import LONGER, between_saves, expect_as_alone, expect_clean, study


def hippo_server(*arguments: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "hippo_server.main", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == exits, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def arenas(tmp_path: Path, empty_database_url: str) -> Iterator[tuple[Arena, Arena]]:
    """Places for a server with a PostgreSQL of its own, and for one on a given database; nothing runs yet."""
    folder = tmp_path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = Arena(tmp_path / "first", "", folder), Arena(tmp_path / "second", empty_database_url, folder)
    try:
        yield made
    finally:
        for each in made:
            each.close()


def test_a_backup_of_a_running_study_goes_on_elsewhere_with_equal_bits(
    arenas: tuple[Arena, Arena], tmp_path: Path
) -> None:
    """1. A study runs; steps are committed that no checkpoint covers, and a backup is made. 2. It runs on there for
    a while: what came after the backup is lost to it. 3. The backup is restored into another home, and a database
    that is not embedded: all checkpoints that its rows name are there. 4. The study ends there as if nothing had
    been, and counts what it trained again; no lease has a number that was given out after the backup. 5. Nothing is
    restored over what is there."""
    first, second = arenas
    backup = tmp_path / "backup"
    first.start_server()
    first.client().submit(study(first))
    first.start_worker("one", 1)
    first.happens("CheckpointPublished", after=0)
    with between_saves(first):
        hippo_server("--home", str(first.path), "backup", "--to", str(backup))
        at_backup = first.rows("SELECT sum(trained - start)::int, max(fence) FROM lease_stages")[0]
    first.happens("LeaseGranted", after=0, where=f"(body->>'fence')::bigint > {at_backup[1]}")
    given_out = first.rows("SELECT max(fence) FROM leases")[0][0]
    assert given_out > at_backup[1]
    first.close()

    elsewhere = ("--home", str(second.path), "--database-url", second.database)
    restored = hippo_server(*elsewhere, "restore", "--from", str(backup))
    assert restored.stdout.startswith("The database is restored, and ")
    second.start_server()
    kept = set(second.rows("SELECT node, step, fence FROM checkpoints WHERE state = 'kept'"))
    assert kept
    assert kept <= second.ledger.published()
    handle = second.client().study("grid")
    assert handle.state == "running"
    second.start_worker("one", 1)
    handle.wait(progress=False, timeout=120)
    expect_as_alone(second.rows, handle)
    expect_clean(second.rows)
    savings = handle.savings()
    trained = second.rows("SELECT sum(trained - start)::bigint FROM lease_stages")[0][0]
    assert savings["steps_trained"] == trained
    assert savings["steps_retrained"] == trained - distinct_prefixes(LONGER) > 0
    fences = [fence for (fence,) in second.rows("SELECT fence FROM leases WHERE fence > %s", at_backup[1])]
    assert fences
    assert min(fences) > given_out
    second.close()

    again = hippo_server(*elsewhere, "restore", "--from", str(backup), exits=6)
    assert "the database is not empty" in again.stderr
