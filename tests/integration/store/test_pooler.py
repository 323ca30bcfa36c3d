"""A PgBouncer in transaction mode between the store and PostgreSQL: everything works, and who leads is still told.

No session of the store's lasts longer than a transaction there: settings are said in each, and a leader is known to
have gone by its silence alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import psycopg2
import pytest
import sqlalchemy

from hippo_core.errors import Standby
from hippo_server.store import Store
from tests.integration.server.conftest import RunningServer, upload
from tests.integration.server.conftest import submit as submit_to
from tests.integration.server.test_work import ended, first_lease
from tests.integration.server.worker import Worker, working
from tests.integration.store.conftest import PASSWORD, on_free_port, takes_connections
from tests.integration.store.stored_cluster import StoredCluster
from tests.integration.store.test_store import take
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer is installed")

# Two connections for all: what one client leaves in a session, the next one meets.
SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=owner password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
"""


@pytest.fixture(scope="module")
def pooler(given_server: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer before a PostgreSQL."""
    assert PGBOUNCER is not None
    folder = tmp_path_factory.mktemp("pooler")
    file = folder / "pgbouncer.ini"
    # It does not run as root, and need not.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    folder.chmod(0o755)

    def start(port: int) -> Popen[bytes]:
        file.write_text(SETTINGS.format(server=given_server, password=PASSWORD, port=port))
        return Popen([PGBOUNCER, *user, str(file)])

    process, port = on_free_port(start, takes_connections)
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def pooled_url(given_url: str, pooler: int) -> str:
    """The address of an empty database by way of the pooler."""
    return sqlalchemy.make_url(given_url).set(port=pooler).render_as_string(hide_password=False)


@pytest.fixture
def pooled_store(pooled_url: str) -> Iterator[Store]:
    store = Store(pooled_url)
    store.migrate()
    yield store
    store.close()


def test_it_is_a_pooler_of_transactions(pooled_url: str) -> None:
    """Two transactions of one connection are two sessions' by turns: else these tests show nothing."""
    connection = psycopg2.connect(pooled_url)
    connection.autocommit = True
    others = psycopg2.connect(pooled_url)
    others.autocommit = True
    with connection.cursor() as cursor, others.cursor() as busy:
        found = set()
        for _ in range(10):
            busy.execute("BEGIN")
            busy.execute("SELECT 1")
            cursor.execute("SELECT pg_backend_pid()")
            found.add(cursor.fetchone())
            busy.execute("COMMIT")
    connection.close()
    others.close()
    assert len(found) == 2


def test_a_study_lives_through_a_pooler(pooled_store: Store) -> None:
    cluster = StoredCluster(6, {"a": 2}, pooled_store, 4)
    submit(cluster, spec(rates=PIECES[:3], checkpoint_every=2))
    for _ in range(60):
        cluster.act()
    cluster.restart_server()
    cluster.run()
    cluster.expect_equal_from_rows()
    expect_as_trained_alone(cluster, "study")


def test_each_transaction_has_our_settings(pooled_store: Store) -> None:
    for _ in range(4):
        with pooled_store._database.transaction() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
            assert cursor.fetchone() == ("10s", "2s")


def test_a_leader_behind_a_pooler_is_replaced_by_its_silence_only(
    pooled_store: Store, given_url: str, pooled_url: str
) -> None:
    """Sessions come and go without it, and the session that looks may be the very one that it wrote with."""
    term = pooled_store.lead("one", 3600.0)
    for url in (pooled_url, given_url):
        second = Store(url)
        for _ in range(5):
            with pytest.raises(Standby):
                second.lead("two", 5.0)
        second.close()
    pooled_store.renew(term)
    with pooled_store._database.transaction() as cursor:
        cursor.execute("UPDATE leader SET lease_seconds = 0.2")
    second = Store(given_url)
    with pytest.raises(Standby):
        second.lead("two", 5.0)
    assert take(second, "two") == term + 1
    second.close()


def test_a_server_serves_through_a_pooler(tmp_path: Path, pooled_url: str) -> None:
    """All of it: migrations, tokens, a study with a worker, the audit log, and the same again after a restart."""
    server = RunningServer(tmp_path / "home", pooled_url)
    try:
        client = server.connect()
        upload(client)
        submit_to(client)
        worker = Worker(server.connect(server.token("worker")))
        with working(worker) as stream:
            order = first_lease(worker, stream)
            worker.train(order)
            worker.work(lambda: ended(client), stream)
    finally:
        server.stop()
    again = RunningServer(tmp_path / "home", pooled_url)
    try:
        assert ended(again.connect())
    finally:
        again.stop()
