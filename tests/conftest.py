"""What all tests share: cases that are the same on every machine, and PostgreSQL.

One embedded server per test process, one migrated template, one clone per test.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests import event_loops

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from hippo_server.store import Store
    from tests.s3 import S3Server

# NumPy reads it when it is loaded. Tests share cores: threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell lets what it starts in the background ignore interrupts, which would pass on to the commands under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the fixtures need is imported in them: tests of the core load neither SQLAlchemy nor the server.

TEMPLATE = "hippo_template"
FEWEST_EXAMPLES = 20


def pytest_configure(config: pytest.Config) -> None:
    """Property tests try the same cases in every run; with ``--hypothesis-seed=N``, others. None is timed."""
    slow = [hypothesis.HealthCheck.too_slow]
    same = _tries_the_same(config)
    hypothesis.settings.register_profile("hippo", derandomize=same, deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("hippo")
    event_loops.watch()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that need a GPU are skipped where there is none.

    Of cases that are the same in every run a third is enough; the soak tries others, and all of them.
    """
    _skip_without_gpu([item for item in items if item.get_closest_marker("gpu")])
    if not _tries_the_same(config):
        return
    functions = {item.function for item in items if isinstance(item, pytest.Function)}
    for function in functions:
        # Where hypothesis keeps a test's settings; there is no public way to scale them all.
        found = getattr(function, "_hypothesis_internal_use_settings", None)
        if found is not None and found.max_examples > FEWEST_EXAMPLES:
            fewer = max(FEWEST_EXAMPLES, found.max_examples // 3)
            function._hypothesis_internal_use_settings = hypothesis.settings(found, max_examples=fewer)


def _skip_without_gpu(items: list[pytest.Item]) -> None:
    if not items:
        return
    import torch

    if not torch.cuda.is_available():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="torch sees no GPU on this machine"))


def _tries_the_same(config: pytest.Config) -> bool:
    return config.getoption("--hypothesis-seed", default=None) is None


@pytest.fixture(scope="module", autouse=True)
def event_loops_are_closed() -> Iterator[None]:
    """Names the tests of a module that left event loops open, in place of whoever runs when they are collected."""
    yield
    left = event_loops.left_open()
    assert not left, f"event loops were left open: {left}"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """The address of a running PostgreSQL, without anything in it."""
    import sqlalchemy

    from hippo_server.postgres import EmbeddedPostgres

    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    url = sqlalchemy.make_url(postgres.start())
    _stop_syncing(url)
    yield url
    postgres.stop()


def _stop_syncing(url: URL) -> None:
    """Spares tests the disk: nobody pulls the plug on this server, and it goes with the test process."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()


@pytest.fixture(scope="session")
def administer(postgres_server: URL) -> Callable[[str], None]:
    """Runs a statement that no transaction may contain."""
    import psycopg2

    def run(statement: str) -> None:
        connection = psycopg2.connect(
            host=str(postgres_server.query["host"]), user=postgres_server.username, dbname="postgres"
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    return run


@pytest.fixture(scope="session")
def database_template(postgres_server: URL, administer: Callable[[str], None]) -> str:
    """The name of a migrated database, to be cloned."""
    from hippo_server.store import Store

    administer(f"CREATE DATABASE {TEMPLATE}")
    store = Store(postgres_server.set(database=TEMPLATE).render_as_string(hide_password=False))
    store.migrate()
    store.close()
    return TEMPLATE


@pytest.fixture(scope="session")
def new_database(postgres_server: URL, administer: Callable[[str], None]) -> Callable[[str], str]:
    """Makes a database from a template and gives its address; it goes with the server."""
    numbers = itertools.count(1)

    def make(template: str) -> str:
        name = f"hippo_test_{next(numbers)}"
        # Copied as files, which takes a third less than what is logged page by page.
        administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return postgres_server.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture
def empty_database_url(new_database: Callable[[str], str]) -> str:
    """The address of a database with nothing in it."""
    return new_database("template0")


@pytest.fixture
def database_url(new_database: Callable[[str], str], database_template: str) -> str:
    """The address of a migrated database of the test's own."""
    return new_database(database_template)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on a migrated database of the test's own."""
    from hippo_server.store import Store

    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server on loopback."""
    from tests.s3 import s3_server

    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server
