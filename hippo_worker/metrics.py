"""What the worker counts, for Prometheus. All names begin with ``hippo_worker_``: no sum mixes them with the server's.

What the server knows as well (leases, results of stages, GPU seconds) is on its page, over all workers, and not here.
"""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from hippo_wire.observing.families import CALL_SECONDS, Families, Family
from hippo_wire.versions import own_version

TRANSFER_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
SLOT_STATES = ("training", "idle", "broken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """How a worker is now.

    Attributes:
        connected: Whether the server can be reached.
        draining: Whether it takes no further lease.
        slots: What each slot does, one of ``SLOT_STATES``.
        leases: How many it holds.
        unacknowledged: Reports that the server has not acknowledged.
        cache_bytes: What its cache of checkpoints holds.
        cache_limit_bytes: What that may hold.
        folder: Its data folder.
    """

    connected: bool
    draining: bool
    slots: tuple[str, ...]
    leases: int
    unacknowledged: int
    cache_bytes: int
    cache_limit_bytes: int
    folder: Path


class WorkerMetrics:
    """All metrics of a worker; each has a registry of its own."""

    def __init__(self) -> None:
        made = self._made = Families(CollectorRegistry())
        made.process()
        made.info(
            "hippo_worker_build",
            "1, with the versions of Hippo and of Python.",
            version=own_version(),
            python=platform.python_version(),
        )
        self._connected = made.gauge("hippo_worker_connected", "1 while the server can be reached, else 0.")
        self._draining = made.gauge(
            "hippo_worker_draining", "1 while the worker saves and gives back what it trains, to leave."
        )
        self._slots = made.gauge(
            "hippo_worker_slots",
            "Slots: training, idle, or broken (their device failed its check).",
            ["state"],
        )
        self._leases = made.gauge("hippo_worker_leases", "Leases that the worker holds.")
        self._unacknowledged = made.gauge(
            "hippo_worker_unacknowledged_reports", "Reports that the server has not acknowledged yet."
        )
        self._published = made.histogram(
            "hippo_worker_checkpoint_publish_seconds",
            "Seconds per attempt to bring a checkpoint's files into the shared storage that succeeded.",
            TRANSFER_SECONDS,
        )
        self._failures = made.counter(
            "hippo_worker_checkpoint_publish_failures_total",
            "Attempts to bring a checkpoint's files into the shared storage that failed; most are made again.",
        )
        self._obtained = made.histogram(
            "hippo_worker_checkpoint_load_seconds",
            "Seconds until the files to start from were there and verified, from the cache or from the storage.",
            TRANSFER_SECONDS,
        )
        self._runners = made.counter("hippo_worker_runners_started_total", "Processes started to train in.")
        self._prepared = made.counter(
            "hippo_worker_trainers_prepared_total",
            "Times that an idle slot was made ready for a path to come: kept for one, given up, or failed.",
            ["result"],
        )
        self._deaths = made.counter(
            "hippo_worker_runner_deaths_total",
            "Those that died while they trained, by whose fault.",
            ["reason_class"],
        )
        self._cache = made.gauge("hippo_worker_cache_bytes", "What the cache of checkpoints holds.")
        self._cache_limit = made.gauge("hippo_worker_cache_limit_bytes", "What the cache may hold.")
        self._free = made.gauge(
            "hippo_worker_data_free_bytes", "What is free on the disk of the worker's data folder."
        )
        self.event_loop_lag = made.histogram(
            "hippo_worker_event_loop_lag_seconds",
            "By how much the worker's event loop comes late to what is due, looked at each second.",
            CALL_SECONDS,
        )

    @property
    def families(self) -> tuple[Family, ...]:
        """All that there is on the page."""
        return tuple(self._made.made)

    def published(self, seconds: float) -> None:
        """A checkpoint's files are durable."""
        self._published.observe(seconds)

    def publish_failed(self) -> None:
        """An attempt at that failed."""
        self._failures.inc()

    def loaded(self, seconds: float) -> None:
        """The files of a checkpoint to start from are there."""
        self._obtained.observe(seconds)

    def runner_started(self) -> None:
        """A runner was started."""
        self._runners.inc()

    def prepared(self, result: str) -> None:
        """What came of making a slot ready for a path to come: "kept", "given_up" or "failed"."""
        self._prepared.labels(result).inc()

    def runner_died(self, failure: str) -> None:
        """A runner died while it trained."""
        self._deaths.labels(failure).inc()

    def page(self, glance: Glance) -> bytes:
        """All metrics, in Prometheus' text format."""
        self._connected.set(glance.connected)
        self._draining.set(glance.draining)
        slots = Counter(glance.slots)
        for state in SLOT_STATES:
            self._slots.labels(state).set(slots[state])
        self._leases.set(glance.leases)
        self._unacknowledged.set(glance.unacknowledged)
        self._cache.set(glance.cache_bytes)
        self._cache_limit.set(glance.cache_limit_bytes)
        self._free.set(shutil.disk_usage(glance.folder).free)
        return generate_latest(self._made.registry)
