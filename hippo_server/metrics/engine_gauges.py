"""Gauges of what the engine holds, and what sharing has saved by now: looked at when somebody asks for the metrics.

Of studies only those are counted anew of which something has happened since the last look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge

from hippo_core.engine.account_views import seconds_saved
from hippo_core.engine.engine import Engine
from hippo_core.engine.environments import blocked_workers
from hippo_core.engine.evaluations import progress
from hippo_core.engine.events import Event
from hippo_core.engine.journal import KINDS
from hippo_core.engine.retention import STORAGE
from hippo_core.engine.stage_counts import StageState, stage_counts
from hippo_core.engine.state import EngineState, Worker
from hippo_core.engine.states import LeaseState, StudyState, TrialState, WorkerState
from hippo_core.engine.study import Study
from hippo_wire.observing.families import Families

SLOT_STATES = ("busy", "idle", "cordoned")
_OF_STUDIES = frozenset(kind for kind in KINDS.values() if "study" in kind.__dataclass_fields__)
_States = type[StudyState] | type[TrialState] | type[WorkerState] | type[StageState]


@dataclass(slots=True)
class _Seen:
    """What a study had come to at the last look."""

    trials: Counter[str]
    saved: float  #: slot seconds


class EngineGauges:
    """The gauges.

    Args:
        made: Makes them.
    """

    def __init__(self, made: Families) -> None:
        self._studies = made.gauge("hippo_studies", "Studies, by state.", ["state"])
        self._trials = made.gauge(
            "hippo_trials", "Trials, by state; one that is being trained is counted as waiting.", ["state"]
        )
        self._stages = made.gauge(
            "hippo_stages",
            "Stages that are still to run. training; granted (later on the path of a slot); startable (a slot that "
            "fits idles: lasts only where something is wrong); queued (for a slot); unserved (no worker has slots that"
            " fit); held (a pause after a failure, no space for checkpoints, or trials still to be created); waiting"
            " (for a stage before it).",
            ["state"],
        )
        self._workers = made.gauge("hippo_workers", "Workers, by state.", ["state"])
        self._slots = made.gauge("hippo_slots", "Slots of live workers, by state.", ["state"])
        self._gpus = made.gauge("hippo_gpus", "GPUs of live workers' slots, by the slot's state.", ["state"])
        self._leases = made.gauge(
            "hippo_leases", "Leases that stand, by state; orphaned: their worker is not heard of.", ["state"]
        )
        self._blocked = made.gauge(
            "hippo_workers_blocked", "Workers that cannot read their storage, or save to it."
        )
        self._quarantined = made.gauge(
            "hippo_quarantined_nodes", "Nodes that workers died on, and that are given to none."
        )
        self._kept = made.gauge("hippo_checkpoint_kept_bytes", "Bytes of checkpoints that are kept.")
        self._over_budget = made.gauge(
            "hippo_checkpoint_budgets_passed",
            "Budgets for checkpoints that are passed, since all that is left is needed: the storage's, and studies'.",
            ["of"],
        )
        self._seen: dict[int, _Seen] = {}
        self._touched: set[int] = set()  #: studies of which something has happened since
        self._engine: Engine | None = None

    def happened(self, events: Iterable[Event]) -> None:
        """Events were decided."""
        told: Iterable[Any] = (event for event in events if type(event) in _OF_STUDIES)
        self._touched.update(event.study for event in told)

    def look_at(self, engine: Engine) -> Iterator[tuple[float, float]]:
        """Sets the gauges; gives what more was saved since the last look, as seconds of slots and of their GPUs."""
        state = engine.state
        _set(self._studies, StudyState, Counter(study.state.value for study in state.studies.values()))
        _set(self._stages, StageState, Counter(stage_counts(engine)))
        _set(self._workers, WorkerState, Counter(worker.state.value for worker in state.workers.values()))
        self._look_at_slots(state.workers.values())
        leases = Counter(lease.state.value for lease in (*state.leases.values(), *state.orphans.values()))
        for standing in (LeaseState.TRAINING, LeaseState.SAVING, LeaseState.ORPHANED):
            self._leases.labels(standing.value).set(leases[standing.value])
        self._blocked.set(len(blocked_workers(state)))
        self._quarantined.set(
            sum(
                node.failures is not None and len(node.failures.deaths) >= engine.settings.poison_workers
                for node in state.nodes.values()
            )
        )
        self._kept.set(state.kept_bytes)
        passed = [number for number, budget in engine.volatile.budgets.items() if budget.over]
        self._over_budget.labels("storage").set(passed.count(STORAGE))
        self._over_budget.labels("study").set(len(passed) - passed.count(STORAGE))
        return iter(self._look_at_studies(engine))

    def _look_at_slots(self, workers: Iterable[Worker]) -> None:
        slots: Counter[str] = Counter()
        gpus: Counter[str] = Counter()
        for worker in workers:
            if worker.state is not WorkerState.LIVE:
                continue
            for slot in worker.slots.values():
                name = "busy" if slot.fence is not None else "idle" if slot.idle else "cordoned"
                slots[name] += 1
                gpus[name] += slot.gpus
        for name in SLOT_STATES:
            self._slots.labels(name).set(slots[name])
            self._gpus.labels(name).set(gpus[name])

    def _look_at_studies(self, engine: Engine) -> list[tuple[float, float]]:
        """Counts trials; gives what each study has saved more than at the last look, which begins anew with a term."""
        state = engine.state
        known, before = engine is self._engine, self._seen
        self._engine, self._seen = engine, {}
        touched, self._touched = self._touched, set()
        trials: Counter[str] = Counter()
        more: list[tuple[float, float]] = []
        for study in state.studies.values():
            seen = before.get(study.id) if known else None
            if seen is None or study.id in touched:
                counted = Counter(trial.state.value for trial in study.trials.values())
                saved = _saved(state, study)
                gained = saved - seen.saved if seen is not None else saved if known else 0.0
                if gained > 0:
                    gpus = study.billed_gpus / study.billed if study.billed else 0.0
                    more.append((gained, gained * gpus))
                seen = _Seen(counted, saved if seen is None else max(saved, seen.saved))
            self._seen[study.id] = seen
            trials.update(seen.trials)
        _set(self._trials, TrialState, trials)
        return more


def _saved(state: EngineState, study: Study) -> float:
    """Slot seconds that a study's trials would have taken, each trained alone, and that were not billed for it."""
    without = sum(progress(member) for member in study.all_members())
    tree = state.plans[study.plan].tree
    trained = study.steps_trained
    step_seconds = study.seconds / trained if trained else tree.costs.mean() if tree.costs.steps else 0.0
    return seconds_saved(study, without * step_seconds)


def _set(gauge: Gauge, states: _States, found: Counter[str]) -> None:
    for each in states:
        gauge.labels(each.value).set(found[each.value])
