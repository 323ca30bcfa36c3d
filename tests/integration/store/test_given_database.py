"""A PostgreSQL that somebody else runs: another version, over TCP, with a password."""

from __future__ import annotations

import socket
import time

import pytest

from hippo_core.errors import Unavailable
from hippo_server.store import Store
from tests.integration.store.conftest import QUOTED
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit

OTHER_MAJOR = 16


def test_a_study_lives_in_a_given_database(given_url: str) -> None:
    store = Store(given_url)
    store.migrate()
    assert store.version().startswith(f"PostgreSQL {OTHER_MAJOR}.")
    cluster_of_workers = StoredCluster(6, {"a": 2}, store, 4)
    submit(cluster_of_workers, spec(rates=PIECES[:3], checkpoint_every=2))
    for _ in range(60):
        cluster_of_workers.act()
    cluster_of_workers.restart_server()
    cluster_of_workers.run()
    cluster_of_workers.expect_equal_from_rows()
    expect_as_trained_alone(cluster_of_workers, "study")
    store.close()


def test_a_wrong_password_is_told_without_it(given_url: str) -> None:
    store = Store(given_url.replace(QUOTED, "wrong-secret"))
    with pytest.raises(Unavailable, match="password authentication failed") as refused:
        store.migrate()
    assert "wrong-secret" not in str(refused.value)
    assert refused.value.hint == "Correct --database-url, or the database."
    store.close()


def test_an_address_of_nothing_is_to_be_corrected_not_to_be_waited_for(given_url: str) -> None:
    for url in (given_url.rpartition("/")[0] + "/nothing", "postgresql://owner@nowhere.invalid/given"):
        store = Store(url)
        with pytest.raises(Unavailable) as refused:
            store.migrate()
        assert refused.value.hint == "Correct --database-url, or the database."
        store.close()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as taken:  # by one that takes no connections
        taken.bind(("127.0.0.1", 0))
        store = Store(f"postgresql://owner@127.0.0.1:{taken.getsockname()[1]}/given")
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"Connection refused.*goes on by itself"):
            store.migrate()
        assert time.monotonic() - began < 5.0
        store.close()
