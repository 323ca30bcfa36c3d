"""Looking at an archive, event by event: an engine trusts its own events, and these are a stranger's.

Each event has values of the types that it says, within bounds, and is one that could follow on those before. What is
planned must lie on the paths of the trials, what is measured or saved must be trained. In the end the invariants of an
engine must hold.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hippo_core.engine import events as ev
from hippo_core.engine import fold
from hippo_core.engine.evaluations import trained_upto
from hippo_core.engine.growing import forget_grown
from hippo_core.engine.invariants import INVARIANTS
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import RequestState, StudyState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.probes import probe_of
from hippo_core.repeats import first_of, repeat_of, trial_of
from hippo_core.sequence import Laws
from hippo_core.study_checks import LARGEST_STEP

LARGEST_NUMBER = 2**62
LONGEST_TEXT = 1 << 20
MOST_METRICS = 10_000
LONGEST_NAME = 200


class Refused(Exception):
    """An event that no engine has decided."""


def require_fields(event: ev.Event, kind: type[Any]) -> None:
    """Makes sure that an event's fields are of their types, and finite.

    Raises:
        Refused: One is not.
    """
    hints = get_type_hints(kind)
    for name in event.__dataclass_fields__:
        if not _fits(getattr(event, name), hints[name]):
            raise Refused(f"its {name} is {str(getattr(event, name))[:100]!r}")


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return any(_fits(value, each) for each in arguments)
    if hint is types.NoneType:
        return value is None
    if hint is int:
        return type(value) is int and 0 <= value <= LARGEST_NUMBER
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    if hint is bool:
        return type(value) is bool
    if hint is str:
        return isinstance(value, str) and len(value) <= LONGEST_TEXT
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, arguments[0]) for each in value)
    if isinstance(hint, type) and issubclass(hint, StrEnum | Laws):
        return isinstance(value, hint)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping) or len(value) > MOST_METRICS:
            return False
        return arguments[1] is Any or all(_fits(each, arguments[1]) for each in value.values())
    raise TypeError(f"no event has a field of type {hint}")


class ArchiveState:
    """What the events of an archive amount to so far."""

    def __init__(self) -> None:
        self.state = EngineState()
        self.ends: dict[int, int] = {}
        self.trained: dict[int, dict[str, Any]] = {}
        self.checkpoints: dict[tuple[int, int], ev.CheckpointPublished] = {}
        self.differing: dict[int, int] = {}
        self._wanted: set[int] = set()  #: nodes that requests are about
        self._sequence = 0
        self._settled = False

    @property
    def study(self) -> Study:
        """The one study."""
        (study,) = self.state.studies.values()
        return study

    def apply(self, event: ev.Event) -> None:
        """Takes an event in.

        Raises:
            Exception: Of any kind: it cannot follow on those before.
        """
        if (number := getattr(event, "study", None)) is not None and not isinstance(event, ev.StudySubmitted):
            _expect(number == self.study.id, f"it is about study {number}")
        match event:
            case ev.PlanCreated():
                _expect(not self.state.plans, "it has several plans")
            case ev.StudySubmitted():
                _expect(not self.state.studies, "it has several studies")
                _expect(event.study > 0, "studies are counted from 1")
            case ev.StudyPlanned():
                _expect(event.plan in self.state.plans, f"there is no plan {event.plan}")
                key = self.state.plans[event.plan].program_key
                _expect(key == self.study.program_key, "its plan is of another program")
            case ev.NodeCreated():
                self._look_at_node(event)
            case (
                ev.StepsTrained() | ev.MetricsRecorded() | ev.CheckpointPublished() | ev.NodeNotReproducible()
            ):
                self._look_at_training(event)
            case ev.CheckpointPinned():
                self._reach(event.node, event.step)
            case ev.StudyStateChanged():
                self._settled = event.state is not StudyState.RUNNING
            case ev.StudyCredited():
                _expect(
                    event.steps_retrained <= event.steps_trained and event.seconds >= 0,
                    "it cannot be counted",
                )
            case ev.StudyRan():
                _expect(event.seconds >= 0, "its time runs backwards")
            case ev.PolicyAnswered():
                _expect(event.number == len(self.study.answers), "an answer lacks")
                _expect(event.mark <= len(self.study.history), "its policy was told what has not happened")
            case ev.ProposalWanted():
                _expect(event.trial == len(self.study.trials), f"trial {event.trial} is not the next one")
                _expect(all(each in self.study.trials for each in event.pending), "a trial lacks")
            case ev.TrialCreated():
                self._look_at_trial(event)
            case ev.TrialLimited():
                _expect(0 < event.max_steps <= LARGEST_STEP, "it is not to be trained so far")
                self._look_at_length(self.study.member(event.trial), event.max_steps)
            case ev.TrialWanted():
                _expect(event.step <= LARGEST_STEP, "it is not to be trained so far")
                self._look_at_length(self.study.member(event.trial), event.step)
            case ev.RequestOpened():
                self._look_at_opening(event)
            case ev.RequestClosed():
                self._look_at_closing(event)
            case _:
                pass
        fold.apply(self.state, event)
        if isinstance(event, ev.StudySubmitted):
            _expect(self.study.spec.program.key == event.program_key, "its program has another key")
            _expect(self.study.spec.name == event.name, "its name is another")
        elif isinstance(event, ev.StudyChanged):
            _expect(self.study.spec.program.key == self.study.program_key, "its program was changed")
            _expect(self.study.spec.name == self.study.name, "its name was changed")
        elif isinstance(event, ev.TrialCreated):
            trial = self.study.member(event.trial)
            self.study.hyperparameters(trial)
            self._look_at_length(trial, event.max_steps)

    def require_whole(self) -> None:
        """Makes sure that nothing lacks, and nothing contradicts.

        Raises:
            Exception: Of any kind: something does.
        """
        study = self.study
        _expect(study.plan > 0, "it is in no plan")
        _expect(bool(study.trials) or study.spec.sampler.learns, "it has no trials")
        on_paths = {each.id for node in self._wanted for each in self.state.nodes[node].ancestry()}
        _expect(on_paths == set(self.state.nodes), "it has nodes that no trial goes through")
        nodes = self.state.nodes.values()
        _expect(
            all(
                node.parent is None or node.trained == node.start or node.parent.trained >= node.start
                for node in nodes
            ),
            "it has steps that follow on none",
        )
        if any(node.trained > node.start for node in nodes):
            _expect(bool(self.state.plans[study.plan].environment), "it was trained in no environment")
        for node in nodes:
            every = study.spec.program.evaluate_every
            for step in (*node.metrics, *node.training, *node.checkpoints):
                _expect(node.start < step <= node.trained, f"node {node.id} has no step {step}")
            _expect(all(step % every == 0 for step in node.metrics), f"node {node.id} was evaluated between")
            self.ends[node.id] = max(self.ends.get(node.id, 0), node.start + 1, node.trained)
            if node.parent is not None:
                self.ends[node.parent.id] = max(self.ends.get(node.parent.id, 0), node.start)
        if not self._settled:
            fold.apply(self.state, ev.StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason=""))
        forget_grown(self.state)
        for invariant in INVARIANTS:
            for violation in invariant(self.state):
                raise Refused(violation)

    def _look_at_node(self, event: ev.NodeCreated) -> None:
        nodes = self.state.nodes
        _expect(event.plan == self.study.plan, "its node is of another plan")
        _expect(event.node not in nodes and event.node > 0, f"node {event.node} is there twice")
        _expect(event.start <= LARGEST_STEP, "it begins too late")
        plan = self.state.plans[event.plan].plan
        if event.parent is None:
            _expect(event.start == 0, "a root begins later than at step 0")
        else:
            _expect(event.parent < event.node, "a node comes before its parent")
            _expect(event.start > nodes[event.parent].start, "a node begins before its parent")
        laws = event.laws
        key = laws.key(event.start)
        siblings = plan.roots if event.parent is None else nodes[event.parent].children
        place: Any = key if event.parent is None else (event.start, key)
        _expect(place not in siblings, f"node {event.node} is there already")
        if event.parent is not None:
            _expect(nodes[event.parent].laws.names == laws.names, "a node has other names than its parent")

    def _look_at_training(
        self,
        event: ev.StepsTrained | ev.MetricsRecorded | ev.CheckpointPublished | ev.NodeNotReproducible,
    ) -> None:
        node = self.state.nodes[event.node]
        match event:
            case ev.StepsTrained():
                _expect(node.start <= event.start < event.stop <= LARGEST_STEP, "its steps are no steps")
                _expect(event.train_seconds >= 0 and event.evaluate_seconds >= 0, "it took less than no time")
                sums = self.trained.setdefault(
                    node.id, {"steps": 0, "train_seconds": 0.0, "evaluate_seconds": 0.0}
                )
                sums["steps"] += event.stop - event.start
                sums["train_seconds"] += event.train_seconds
                sums["evaluate_seconds"] += event.evaluate_seconds
            case ev.MetricsRecorded():
                names = [*(event.metrics or ()), *(event.training or ())]
                _expect(all(0 < len(each) <= LONGEST_NAME for each in names), "a metric has no fitting name")
                self._reach(event.node, event.step)
            case ev.CheckpointPublished():
                self.checkpoints[event.node, event.step] = event
                self._reach(event.node, event.step)
            case ev.NodeNotReproducible():
                self.differing[event.node] = event.step
                self._reach(event.node, event.step)

    def _reach(self, node: int, step: int) -> None:
        """Notes that a state of a node is spoken of."""
        _expect(self.state.nodes[node].start < step <= LARGEST_STEP, f"node {node} has no state {step}")
        self.ends[node] = max(self.ends.get(node, 0), step)

    def _look_at_trial(self, event: ev.TrialCreated) -> None:
        study, number = self.study, event.trial
        _expect(0 < event.max_steps <= LARGEST_STEP, "it is not to be trained so far")
        first = first_of(number)
        if repeat_of(number):
            there = study.probes if probe_of(number) else study.trials
            _expect(first in there and repeat_of(number) < study.spec.repeats, f"{number} is no repeat")
            _expect(number not in (study.probes if probe_of(number) else study.repeats), f"{number} is there")
        elif probe_of(number):
            _expect(trial_of(number) in study.trials and event.fork is not None, f"{number} is no probe")
            _expect(number not in study.probes, f"{number} is there")
        else:
            _expect(number == len(study.trials), f"trial {number} is not the next one")
        if event.fork is not None:
            fork = event.fork
            _expect(fork["trial"] in study.trials, "it is forked from no trial")
            _expect(type(fork["at"]) is int and 0 <= fork["at"] <= LARGEST_STEP, "it is forked nowhere")
            _expect(fork.get("instead_of", 0) in study.trials, "it takes the place of no trial")
            if probe_of(number):
                _expect(
                    isinstance(fork["factors"], Mapping) and isinstance(fork["reason"], str), "it is no probe"
                )

    def _look_at_length(self, trial: Trial, step: int) -> None:
        unfit = trial.sequence.first_not_finite(step)
        _expect(unfit is None, f"{unfit} is not finite")

    def _look_at_opening(self, event: ev.RequestOpened) -> None:
        trial = self.study.member(event.trial)
        _expect(0 < event.step <= LARGEST_STEP, "it asks for no step")
        self._look_at_length(trial, event.step)
        node = self.state.nodes[event.node]
        place = self.state.plans[node.plan].plan.locate(trial.sequence, event.step)
        _expect(not place.missing and place.node is node, f"node {node.id} is not on its path")
        self._wanted.add(node.id)
        self._reach(node.id, event.step)

    def _look_at_closing(self, event: ev.RequestClosed) -> None:
        trial = self.study.member(event.trial)
        _expect(trial.target == event.step and trial.node is not None, "nothing was asked for")
        assert trial.node is not None
        _expect(event.sequence > self._sequence, "its order is another")
        self._sequence = event.sequence
        _expect(event.state is not RequestState.OPEN, "it is open still")
        reached = event.state is RequestState.REACHED
        most = max(trained_upto(trial.node, event.step), trial.reached)
        _expect(
            event.reached == event.step if reached else event.reached <= most, "it has come to no such step"
        )
        if reached:
            _expect(
                trained_upto(trial.node, event.step) == event.step and event.step in trial.node.metrics,
                "what it came to is not known",
            )


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)
