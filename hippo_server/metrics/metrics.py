"""What the server is told to count. Names begin with ``hippo_``, units are base units, no ids are labels."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest

from hippo_server.metrics.engine_counters import EngineCounters
from hippo_server.metrics.engine_gauges import EngineGauges
from hippo_storage.storage import Space, Swept
from hippo_wire.observing.families import CALL_SECONDS, Families, Family
from hippo_wire.versions import own_version

PAGE_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SUBMISSIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """All metrics of a server.

    Args:
        registry: Where they are registered; each server has one of its own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        made = self._made = Families(registry)
        self._made_of_engine = Families(CollectorRegistry())
        self.registry = registry
        made.process()
        made.info(
            "hippo_build",
            "1, with the versions of Hippo and of Python.",
            version=own_version(),
            python=platform.python_version(),
        )
        self._leader = made.gauge(
            "hippo_scheduler_leader", "1 while this server leads and answers calls, 0 while it does not."
        )
        self._insecure = made.gauge(
            "hippo_insecure_mode", "1 where nothing is encrypted, as is possible on loopback alone."
        )
        self._certificate = made.unknown_gauge(
            "hippo_certificate_expiry_timestamp_seconds",
            "When the server's certificate runs out, in seconds since 1970; with TLS alone.",
        )
        self._rpc = made.histogram(
            "hippo_rpc_duration_seconds",
            "Seconds per unary gRPC call, its commit included.",
            CALL_SECONDS,
            ["method", "code"],
        )
        self._streams = made.counter(
            "hippo_rpc_streams_total", "Streaming gRPC calls that have ended.", ["method", "code"]
        )
        self._pages = made.histogram(
            "hippo_http_request_duration_seconds",
            "Seconds per HTTP request, by the page's path as it is written in the program; streams left out.",
            PAGE_SECONDS,
            ["page", "code"],
        )
        self._listeners = made.gauge(
            "hippo_sse_clients", "Browsers and programs that listen to server-sent events."
        )
        self.event_loop_lag = made.histogram(
            "hippo_event_loop_lag_seconds",
            "By how much the server's event loop comes late to what is due, looked at each second.",
            CALL_SECONDS,
        )
        self._database_up = made.gauge(
            "hippo_db_up",
            "1 while the database answers; 0 where it refused what it was last asked, or has been silent for two "
            "thirds of the leader's lease.",
        )
        self._database_errors = made.counter(
            "hippo_db_errors_total",
            "Errors of PostgreSQL by the first two letters of their SQLSTATE; 08 where there was no connection.",
            ["sqlstate_class"],
        )
        self._database_retries = made.counter(
            "hippo_db_retries_total",
            "Transactions that were tried again, since the database undid them for another's sake.",
        )
        self._commit_seconds = made.histogram(
            "hippo_db_commit_duration_seconds", "Seconds per transaction of the writer.", CALL_SECONDS
        )
        self._commit_size = made.histogram(
            "hippo_db_commit_submissions",
            "What was asked, reported or due, per transaction of the writer: reports count each.",
            SUBMISSIONS,
        )
        self._rebuilds = made.counter(
            "hippo_rebuilds_total", "How often the engine was rebuilt from the database."
        )
        self._free = made.unknown_gauge(
            "hippo_storage_free_bytes", "What is free on the disk of a storage that is a folder."
        )
        self._size = made.unknown_gauge(
            "hippo_storage_size_bytes", "The size of the disk of a storage that is a folder."
        )
        self._sweeps = made.counter(
            "hippo_storage_sweeps_total",
            "Sweeps of the storage for what dead writers left, by how they went.",
            ["outcome"],
        )
        self._leftovers = made.counter(
            "hippo_storage_leftovers_total",
            "What dead writers left in the storage, removed or not to be removed.",
            ["outcome"],
        )
        self.engine = EngineCounters(made, EngineGauges(self._made_of_engine))
        self._space_known = False
        self._certificate_known = False

    # Calls

    def call(self, method: str, code: str, seconds: float | None) -> None:
        """A call was answered; streams have no seconds."""
        name = method.rpartition("/")[2]
        if seconds is None:
            self._streams.labels(name, code).inc()
        else:
            self._rpc.labels(name, code).observe(seconds)

    def request(self, path: str, status: int, seconds: float) -> None:
        """An HTTP request was answered.

        Args:
            path: The page's, with the names of its parts in place of what was asked for; empty: there is none.
            status: HTTP's.
            seconds: How long it took.
        """
        self._pages.labels(path, str(status)).observe(seconds)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Somebody listens to server-sent events."""
        self._listeners.inc()
        try:
            yield
        finally:
            self._listeners.dec()

    # Database

    def commit(self, submissions: int, seconds: float) -> None:
        """A transaction was committed."""
        self._commit_size.observe(submissions)
        self._commit_seconds.observe(seconds)

    def rebuild(self) -> None:
        """The engine was rebuilt."""
        self._rebuilds.inc()

    def undone(self) -> None:
        """A transaction is tried again."""
        self._database_retries.inc()

    def database_error(self, sqlstate: str) -> None:
        """PostgreSQL, or the way to it, failed; an empty code where there was no connection."""
        self._database_errors.labels(sqlstate[:2] or "08").inc()

    def database_up(self, up: bool) -> None:
        """Whether the database answered when it was last asked."""
        self._database_up.set(up)

    # What is looked at now and then

    @property
    def families(self) -> tuple[Family, ...]:
        """All that there may be on the page."""
        return (*self._made.made, *self.families_of_leader)

    @property
    def families_of_leader(self) -> tuple[Family, ...]:
        """What only the server that leads shows."""
        return tuple(self._made_of_engine.made)

    def page(self, *, leads: bool) -> bytes:
        """All metrics, in Prometheus' text format.

        Args:
            leads: Whether this server leads and answers calls. What the engine holds, only the leader's knows, so that
                sums over servers count nothing twice.
        """
        self._leader.set(leads)
        own = generate_latest(self.registry)
        return own + generate_latest(self._made_of_engine.registry) if leads else own

    def encryption(self, expires: float | None) -> None:
        """When the server's certificate runs out, in seconds since 1970; None: nothing is encrypted."""
        self._insecure.set(expires is None)
        if expires is not None:
            if not self._certificate_known:
                self._made.known(self._certificate)
                self._certificate_known = True
            self._certificate.set(expires)

    def swept(self, swept: Swept | None) -> None:
        """The storage was swept; None: it could not be."""
        if swept is not None:
            self._leftovers.labels("removed").inc(swept.removed)
            self._leftovers.labels("failed").inc(len(swept.failures))
        self._sweeps.labels("failed" if swept is None else "done").inc()

    def space(self, space: Space) -> None:
        """How much room the storage's disk has."""
        if not self._space_known:
            self._made.known(self._free)
            self._made.known(self._size)
            self._space_known = True
        self._free.set(space.free_bytes)
        self._size.set(space.size_bytes)
