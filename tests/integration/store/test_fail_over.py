"""A database that has failed over to a replica: nobody leads on one that may lack what was committed last, until an
administrator says so, and what is numbered then has numbers that no lost history has given out.

The replica is a copy of the data folder, made while PostgreSQL stood still, and promoted as replicas are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_core.engine.engine import Engine
from hippo_core.errors import Unavailable
from hippo_server.postgres import EmbeddedPostgres, embedded
from hippo_server.store import Store
from hippo_server.store.leader import SKIPPED_FENCES, SKIPPED_TERMS
from tests.integration.store.stored_cluster import StoredCluster
from tests.integration.store.test_schema import execute
from tests.unit.engine.cluster import SETTINGS
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit
from tests.waiting import until


@pytest.fixture
def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """One that can have replicas, which ours need not."""
    monkeypatch.setitem(embedded.SETTINGS, "wal_level", "replica")
    postgres = EmbeddedPostgres(tmp_path / "home")
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture
def leader(postgres: EmbeddedPostgres) -> Iterator[Store]:
    store = Store(postgres.start())
    store.migrate()
    yield store
    store.close()


def promote(postgres: EmbeddedPostgres, copy: Path | None = None) -> str:
    """Goes over to a copy of the data, or to the data as they are, as a replica that becomes the primary does."""
    postgres.stop()
    if copy is not None:
        shutil.rmtree(postgres.data)
        shutil.copytree(copy, postgres.data)
    (postgres.data / "recovery.signal").touch()
    with (postgres.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("restore_command = 'false'\n")
    _own_alike(postgres.data)
    url = postgres.start()
    until(lambda: execute(url, "SELECT pg_is_in_recovery()") == [(False,)], "the end of recovery")
    return url


def _own_alike(folder: Path) -> None:
    """All of it belongs to whom the folder belongs to."""
    owner = folder.stat()
    for each in folder.rglob("*"):
        shutil.chown(each, owner.st_uid, owner.st_gid)


def copy_of(postgres: EmbeddedPostgres, to: Path) -> Path:
    """The data of now, as a replica that hears nothing more would have them."""
    postgres.stop()
    shutil.copytree(postgres.data, to)
    postgres.start()
    return to


def test_a_lost_tail_is_noticed_and_nothing_of_it_comes_back(
    postgres: EmbeddedPostgres, leader: Store, tmp_path: Path
) -> None:
    """1. A study is trained. 2. A replica hears no more; leases are granted and steps committed. 3. The replica becomes
    the database. 4. Nobody leads: neither who knows what is lost, nor who cannot know. 5. An administrator lets one
    server lead: its terms and fences are beyond all that were lost, no lease stands, and the study ends as it is to.
    """
    cluster = StoredCluster(6, {"a": 2}, leader)
    submit(cluster, spec(rates=PIECES[:3], checkpoint_every=2))
    for _ in range(40):
        cluster.act()
    kept = cluster.engine.state.last_fence
    copy = copy_of(postgres, tmp_path / "replica")
    cluster.restart_server()
    while cluster.engine.state.last_fence < kept + 2:
        cluster.act()
    lost = cluster.engine.state.last_fence
    url = promote(postgres, copy)
    with pytest.raises(Unavailable, match=r"the database lacks .*timeline 2.*--accept-timeline 2"):
        leader.lead("one", 10.0)
    for store in (Store(url), Store(url, accepted_timeline=1)):
        with pytest.raises(Unavailable, match=r"the database may lack .*timeline 2.*--accept-timeline 2"):
            store.lead("two", 10.0)
        store.close()
    accepted = Store(url, accepted_timeline=2)
    term = accepted.lead("three", 10.0)
    assert term > SKIPPED_TERMS
    engine = Engine.restore(accepted.load(), SETTINGS, cluster.now)
    assert engine.state.leases == {}
    assert engine.state.last_fence == kept + SKIPPED_FENCES > lost
    cluster.store, cluster.term, cluster.batch, cluster.engine = accepted, term, 0, engine
    for name in cluster.workers:
        cluster.register(name)
    cluster.run()
    cluster.expect_equal_from_rows()
    expect_as_trained_alone(cluster, "study")
    accepted.resign(term)
    next_one = Store(url)  # and from then on it is a history as any
    assert next_one.lead("four", 10.0) == term + 1
    next_one.close()
    accepted.close()


def test_a_leader_that_knows_that_nothing_is_lost_leads_on(postgres: EmbeddedPostgres, leader: Store) -> None:
    """The timeline is another one, and the row is where this server left it."""
    cluster = StoredCluster(6, {"a": 2}, leader)
    submit(cluster, spec(rates=PIECES[:3], checkpoint_every=2))
    for _ in range(40):
        cluster.act()
    url = promote(postgres)
    stranger = Store(url)
    with pytest.raises(Unavailable, match="may lack"):
        stranger.lead("two", 10.0)
    cluster.restart_server()
    cluster.run()
    expect_as_trained_alone(cluster, "study")
    leader.resign(cluster.term)
    assert stranger.lead("two", 10.0) == cluster.term + 1
    stranger.close()
