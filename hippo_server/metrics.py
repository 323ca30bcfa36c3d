"""What the server counts, for Prometheus. Names begin with ``hippo_``, units are base units, no ids are labels."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from hippo_core.billing import MICROSECONDS
from hippo_core.engine import events as ev
from hippo_core.engine.engine import Engine
from hippo_core.engine.environments import blocked_workers
from hippo_core.engine.events import Event
from hippo_core.engine.retention import STORAGE
from hippo_core.engine.states import StudyState, TrialState, WorkerState
from hippo_storage.storage import Swept

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody asks for

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """All metrics of a server.

    Args:
        registry: Where they are registered; each server has one of its own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._calls = Counter(
            "hippo_calls_total", "Calls, by method and status.", ["method", "code"], registry=registry
        )
        self._call_seconds = Histogram(
            "hippo_call_seconds",
            "Seconds per unary call, its commit included.",
            ["method"],
            buckets=SECONDS,
            registry=registry,
        )
        self._commands = Counter(
            "hippo_commands_total", "Commands that were decided.", ["command"], registry=registry
        )
        self._events = Counter("hippo_events_total", "What happened, by kind.", ["event"], registry=registry)
        self._commit_seconds = Histogram(
            "hippo_commit_seconds", "Seconds per transaction.", buckets=SECONDS, registry=registry
        )
        self._commit_size = Histogram(
            "hippo_commit_submissions", "Submissions per transaction.", buckets=SIZES, registry=registry
        )
        self._rebuilds = Counter(
            "hippo_rebuilds_total", "How often the engine was rebuilt from the database.", registry=registry
        )
        self._undone = Counter(
            "hippo_database_retries_total",
            "Transactions that were tried again, since the database undid them for another's sake.",
            registry=registry,
        )
        self._fenced = Counter(
            "hippo_fenced_writes_total", "Reports of leases that no longer stood.", registry=registry
        )
        self._steps = Counter("hippo_steps_trained_total", "Steps trained.", registry=registry)
        self._step_seconds = Counter(
            "hippo_slot_seconds_total", "Slot seconds of trained steps.", ["kind"], registry=registry
        )
        self._billed = Counter(
            "hippo_billed_seconds_total",
            "Seconds of slots, and of their GPUs, that were billed.",
            ["kind"],
            registry=registry,
        )
        self._checkpoint_bytes = Counter(
            "hippo_checkpoint_bytes_total", "Bytes of checkpoints published.", registry=registry
        )
        self._kept = Gauge(
            "hippo_checkpoint_kept_bytes", "Bytes of checkpoints that are kept.", registry=registry
        )
        self._over_budget = Gauge(
            "hippo_checkpoint_budgets_passed",
            "Budgets for checkpoints that are passed, since all that is left is needed.",
            ["of"],
            registry=registry,
        )
        self._lost = Counter(
            "hippo_checkpoints_lost_total",
            "Checkpoints that were found corrupt or missing when they were to be loaded.",
            ["what"],
            registry=registry,
        )
        for what in ("corrupt", "missing"):
            self._lost.labels(what)  # an alert on its increase needs the 0 before the first
        self._failures = Counter(
            "hippo_path_failures_total", "Failures of paths, by class.", ["failure"], registry=registry
        )
        self._sweeps = Counter(
            "hippo_storage_sweeps_total",
            "Sweeps of the storage for what dead writers left, by how they went.",
            ["outcome"],
            registry=registry,
        )
        self._leftovers = Counter(
            "hippo_storage_leftovers_total",
            "What dead writers left in the storage, removed or not to be removed.",
            ["outcome"],
            registry=registry,
        )
        self._studies = Gauge("hippo_studies", "Studies, by state.", ["state"], registry=registry)
        self._trials = Gauge("hippo_trials", "Trials, by state.", ["state"], registry=registry)
        self._workers = Gauge("hippo_workers", "Workers, by state.", ["state"], registry=registry)
        self._slots = Gauge("hippo_slots", "Slots of live workers.", ["state"], registry=registry)
        self._quarantined = Gauge(
            "hippo_quarantined_nodes", "Nodes that workers died on, and are given to none.", registry=registry
        )
        self._orphans = Gauge(
            "hippo_orphaned_leases", "Leases whose worker is not heard of.", registry=registry
        )
        self._leases = Gauge("hippo_leases", "Leases that stand.", registry=registry)
        self._blocked = Gauge(
            "hippo_workers_blocked",
            "Workers that cannot read their storage, or save to it.",
            registry=registry,
        )
        self._ready = Gauge("hippo_ready", "1 while calls can be answered, else 0.", registry=registry)

    def call(self, method: str, code: str, seconds: float | None) -> None:
        """A call was answered; streams have no seconds."""
        name = method.rpartition("/")[2]
        self._calls.labels(name, code).inc()
        if seconds is not None:
            self._call_seconds.labels(name).observe(seconds)

    def command(self, name: str) -> None:
        """A command was decided."""
        self._commands.labels(name).inc()

    def commit(self, submissions: int, seconds: float) -> None:
        """A transaction was committed."""
        self._commit_size.observe(submissions)
        self._commit_seconds.observe(seconds)

    def rebuild(self) -> None:
        """The engine was rebuilt."""
        self._rebuilds.inc()

    def undone(self) -> None:
        """A transaction is tried again."""
        self._undone.inc()

    def fenced(self) -> None:
        """A report of a lease that no longer stood was refused."""
        self._fenced.inc()

    def happened(self, events: Sequence[Event]) -> None:
        """Events were decided."""
        counted = Counts(type(event).__name__ for event in events)
        for name, count in counted.items():
            self._events.labels(name).inc(count)
        for event in events:
            if isinstance(event, ev.StepsTrained):
                self._steps.inc(event.stop - event.start)
                self._step_seconds.labels("training").inc(event.train_seconds)
                self._step_seconds.labels("evaluation").inc(event.evaluate_seconds)
            elif isinstance(event, ev.StudyCredited):
                self._billed.labels("slot").inc(event.billed / MICROSECONDS)
                self._billed.labels("gpu").inc(event.billed_gpus / MICROSECONDS)
            elif isinstance(event, ev.CheckpointPublished):
                self._checkpoint_bytes.inc(event.size_bytes)
            elif isinstance(event, ev.CheckpointLost):
                self._lost.labels(event.reason.partition(":")[0]).inc()
            elif isinstance(event, ev.PathFailed):
                self._failures.labels(event.failure.value).inc()

    def swept(self, swept: Swept | None) -> None:
        """The storage was swept; None: it could not be."""
        self._sweeps.labels("failed" if swept is None else "done").inc()
        if swept is not None:
            self._leftovers.labels("removed").inc(swept.removed)
            self._leftovers.labels("failed").inc(len(swept.failures))

    def ready(self, ready: bool) -> None:
        """Whether calls can be answered."""
        self._ready.set(1 if ready else 0)

    def look_at(self, engine: Engine) -> None:
        """Sets the gauges to what the engine holds now."""
        state = engine.state
        _count(self._studies, StudyState, [study.state.value for study in state.studies.values()])
        trials = [trial.state.value for study in state.studies.values() for trial in study.trials.values()]
        _count(self._trials, TrialState, trials)
        _count(self._workers, WorkerState, [worker.state.value for worker in state.workers.values()])
        live = [worker for worker in state.workers.values() if worker.state is WorkerState.LIVE]
        slots = [slot.fence is not None for worker in live for slot in worker.slots.values()]
        cordoned = sum(
            slot.fence is None and not slot.idle for worker in live for slot in worker.slots.values()
        )
        self._slots.labels("busy").set(sum(slots))
        self._slots.labels("cordoned").set(cordoned)
        self._slots.labels("idle").set(len(slots) - sum(slots) - cordoned)
        self._quarantined.set(
            sum(
                node.failures is not None and len(node.failures.deaths) >= engine.settings.poison_workers
                for node in state.nodes.values()
            )
        )
        self._leases.set(len(state.leases))
        self._orphans.set(len(state.orphans))
        self._kept.set(state.kept_bytes)
        passed = [number for number, budget in engine.volatile.budgets.items() if budget.over]
        self._over_budget.labels("storage").set(passed.count(STORAGE))
        self._over_budget.labels("study").set(len(passed) - passed.count(STORAGE))
        self._blocked.set(len(blocked_workers(state)))


def _count(gauge: Gauge, states: Iterable[StudyState | TrialState | WorkerState], found: list[str]) -> None:
    for state in states:
        gauge.labels(state.value).set(found.count(state.value))
