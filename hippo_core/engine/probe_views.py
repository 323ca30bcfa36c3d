"""What people see of probes: beside their trials, and never among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hippo_core.engine.evaluations import open_below, progress
from hippo_core.engine.spread import point_evaluations, step_of
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import is_running, walk
from hippo_core.lease import Lease
from hippo_core.plan import Metrics, Node
from hippo_core.probes import probe_of
from hippo_core.repeats import trial_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeView:
    """A probe of a trial.

    Attributes:
        probe: Which of the trial's it is, from 1.
        at: The step from which on it parts from its trial.
        to: Up to where it is trained.
        factors: By hyper-parameter, by what the value at the step before is multiplied; all others are held.
        reason: Why its policy asked for it, in words and numbers.
        state: As a trial's.
        step: The step that it has come to.
        metrics: At ``to``, over repeats the means; empty while it has not come there.
        spread: Over repeats, their standard deviations; empty without repeats.
        failure: Why it diverged, failed or was given up; else empty.
    """

    probe: int
    at: int
    to: int
    factors: Mapping[str, float]
    reason: str
    state: TrialState
    step: int
    metrics: Metrics
    spread: Metrics
    failure: str


def probe_views(state: EngineState, study: Study, trial: Trial) -> tuple[ProbeView, ...]:
    """A trial's probes, in the order in which they were asked for."""
    return tuple(_view(state, study, probe) for probe in study.probes_of(trial.number))


def _view(state: EngineState, study: Study, probe: Trial) -> ProbeView:
    fork = probe.fork
    assert fork is not None
    members = study.members(probe.number)
    running = any(is_running(state, study, member) for member in members)
    metrics: Metrics = {}
    spread: Metrics = {}
    if probe.state is TrialState.COMPLETED:
        *_, (_, metrics, spread) = point_evaluations(study, probe, probe.max_steps)
    return ProbeView(
        probe=probe.probe,
        at=fork["at"],
        to=probe.max_steps,
        factors=fork["factors"],
        reason=fork["reason"],
        state=TrialState.RUNNING if running else probe.state,
        step=step_of(study, probe),
        metrics=metrics,
        spread=spread,
        failure=probe.reason,
    )


def own_stretches(probe: Trial, step: int) -> Iterator[tuple[Node, int, int]]:
    """The stretches of a probe's path below ``step``, from where it parts from its trial."""
    assert probe.fork is not None
    at = probe.fork["at"]
    for node, start, stop in walk(probe, step):
        if stop > at:
            yield node, max(start, at), stop


def steps_in_probes(study: Study) -> int:
    """How many steps only the probes of a study have come to, and no trial: each once."""
    if not study.probes:
        return 0
    stops: dict[int, int] = {}  # by node: up to where a trial goes
    for member in study.all_members():
        for node, _, stop in walk(member, progress(member)):
            stops[node.id] = max(stops.get(node.id, 0), stop)
    steps = {
        (node.id, step)
        for probe in study.probes.values()
        for node, start, stop in own_stretches(probe, progress(probe))
        for step in range(max(start, stops.get(node.id, 0)), stop)
    }
    return len(steps)


def probed_by(state: EngineState, lease: Lease) -> int | None:
    """Of which trial of the lease's study a path trains a probe, where no trial waits for its next step."""
    study = state.studies.get(lease.study)
    if study is None or not lease.training:
        return None
    node = state.nodes[lease.stages[lease.index][0]]
    found = None
    for number in open_below(study, node):
        if not probe_of(number):
            return None
        found = trial_of(number) if found is None else min(found, trial_of(number))
    return found
