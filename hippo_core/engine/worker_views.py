"""What people see of workers and their slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hippo_core.engine.engine import Engine
from hippo_core.engine.environments import blocked_workers
from hippo_core.engine.probe_views import (
    probed_by,
)
from hippo_core.engine.states import WorkerState


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """What a slot does."""

    index: int
    device: str
    model: str
    fence: int | None
    project: str  #: empty: it is idle
    study: str
    user: str  #: whose turn it is
    step: int
    probe_of: int | None  #: of which trial of the study it trains a probe
    cordoned: str = ""  #: why it is granted nothing; empty: it is granted paths


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as listed; times are the shell's."""

    name: str
    host: str
    state: WorkerState
    slots: tuple[SlotView, ...]
    environment: Mapping[str, Any]
    labels: Mapping[str, str]
    blocked: str = ""  #: what the storage says, which it cannot read or save to; empty: it can


def worker_views(engine: Engine) -> tuple[WorkerView, ...]:
    """All workers, by name."""
    state = engine.state
    blocked = blocked_workers(state)
    views = []
    for name in sorted(state.workers):
        worker = state.workers[name]
        slots = []
        for slot in worker.slots.values():
            lease = None if slot.fence is None else state.leases.get(slot.fence)
            study = None if lease is None else state.studies.get(lease.study)
            slots.append(
                SlotView(
                    index=slot.index,
                    device=slot.device,
                    model=slot.model,
                    fence=slot.fence,
                    project="" if lease is None else state.plans[lease.plan].project,
                    study="" if study is None else study.name,
                    user="" if lease is None else lease.user,
                    step=0 if lease is None else lease.step,
                    probe_of=None if lease is None else probed_by(state, lease),
                    cordoned=slot.cordoned,
                )
            )
        views.append(
            WorkerView(
                name=worker.name,
                host=worker.host,
                state=worker.state,
                slots=tuple(slots),
                environment=worker.environment,
                labels=worker.labels,
                blocked=blocked.get(name, ""),
            )
        )
    return tuple(views)
