"""A study that was really trained, as it was exported: what a simulation of another one can be made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from hippo_core.domains import HORIZON
from hippo_core.engine.export import VERSION
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.proposing import Point
from hippo_core.sequence import Sequence
from hippo_core.simulation.beyond import Continuation
from hippo_core.simulation.costs import Costs
from hippo_core.simulation.recorded import RecordedMetrics
from hippo_core.simulation.recorded_parts import Arrival, RecordedLease, RecordedProbe, RecordedTrial
from hippo_core.study import StudySpec
from hippo_core.trial_schedules import horizon_of
from hippo_core.values import Scalar, typed

SHORTEST_STEP = 1e-9
"""Seconds; what was too short to be measured takes so long."""

Beyond = Literal["error", "power-law"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A study as ``hippo study export`` writes it.

    Attributes:
        name: Its name.
        state: Its state.
        ending: Which of its endings has ended it, in a word; empty: none.
        changes: How often it was extended or edited.
        spec: What was searched.
        environment: What it was trained in.
        created: When it was submitted, in ISO 8601.
        save_seconds: For how long a save kept a slot from training, on average; None: not seen, since the server began.
        start_seconds: How long a slot took from a path's grant to its first step, on average; None: not seen.
        steps_trained: How many steps were trained for it, those that were trained again among them.
        steps_without_sharing: How many training each of its trials alone would have taken.
        trials: By number.
        training: By node, what leases trained of it, in order: (start, stop, seconds of steps, of evaluations, fence).
        leases: By their numbers.
        creations: By trial, when it was made, in seconds since the submission.
        arrivals: In order.
    """

    name: str
    state: str
    ending: str
    changes: int
    spec: StudySpec
    environment: str
    created: str
    save_seconds: float | None
    start_seconds: float | None
    steps_trained: int
    steps_without_sharing: int
    trials: tuple[RecordedTrial, ...]
    training: Mapping[int, tuple[tuple[int, int, float, float, int], ...]]
    leases: Mapping[int, RecordedLease]
    creations: Mapping[int, float]
    arrivals: tuple[Arrival, ...]

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The recording of a document.

        Raises:
            InvalidStudy: It is none that this version knows.
        """
        if not isinstance(json, Mapping) or json.get("hippo_study") != VERSION:
            raise InvalidStudy(
                "recorded",
                "is no study that this version of Hippo has exported",
                "Write one with hippo study export NAME --output FILE.",
            )
        try:
            training: dict[int, list[tuple[int, int, float, float, int]]] = {}
            for each in json["training"]:
                training.setdefault(int(each["node"]), []).append(
                    (
                        int(each["start"]),
                        int(each["stop"]),
                        float(each["train_seconds"]),
                        float(each["evaluate_seconds"]),
                        int(each["fence"]),
                    )
                )
            return cls(
                name=str(json["name"]),
                state=str(json["state"]),
                ending=str(json["ending"]),
                changes=int(json["changes"]),
                spec=StudySpec.from_json(json["spec"]),
                environment=str(json["environment"]),
                created=str(json["created"]),
                save_seconds=_optional(json["save_seconds"]),
                start_seconds=_optional(json["start_seconds"]),
                steps_trained=int(json["steps_trained"]),
                steps_without_sharing=int(json["steps_without_sharing"]),
                trials=tuple(map(RecordedTrial.from_json, json["trials"])),
                training={node: tuple(stretches) for node, stretches in training.items()},
                leases={each["fence"]: RecordedLease.from_json(each) for each in json["leases"]},
                creations={int(trial): float(seconds) for trial, seconds in json["creations"]},
                arrivals=tuple(map(Arrival.from_json, json["arrivals"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidStudy(
                "recorded",
                f"is damaged ({type(error).__name__}: {error})",
                "Export the study again.",
            ) from error

    def metric_names(self) -> list[str]:
        """All metrics: the objectives, what constraints bound, then what trials report besides, by name."""
        reported = {name for trial in self.trials for metrics in trial.means.values() for name in metrics}
        return list(dict.fromkeys([*(each.metric for each in self.spec.observed), *sorted(reported)]))

    def metrics(self, beyond: Beyond = "error", seed: int = 0) -> RecordedMetrics:
        """The metrics, as a response.

        Args:
            beyond: What a state comes to that was not recorded: "error" names it; "power-law" makes it up, as
                :class:`~hippo_core.simulation.beyond.Continuation` says.
            seed: Of what is made up.
        """
        found = RecordedMetrics(
            ([*self._values(each)], each.history) for each in self._branches() if each.step
        )
        for each in self._branches():
            if each.state is TrialState.FAILED:
                sequence = self.sequence(each)
                found.add_failure([sequence.values(step) for step in range(each.step + 1)], each.reason)
        if beyond == "power-law":
            found.beyond = Continuation(self.spec.observed, found.metrics(), seed)
        elif beyond != "error":
            raise InvalidStudy("beyond", f"must be 'error' or 'power-law', not {beyond!r}")
        return found

    def costs(self, **given: Any) -> Costs:
        """What training costs: steps by the values in force, evaluations, saves and loads, as they were measured.

        A step under values that were not trained takes what a step took on average; a load what a start did.

        Args:
            given: Fields of :class:`Costs`, which hold whatever was measured. What was not takes no time.

        Raises:
            InvalidStudy: No step was measured, and ``step_seconds`` is not given.
        """
        measured = self._measured()
        if measured.count:
            given.setdefault("step_seconds", measured)
        elif "step_seconds" not in given:
            raise InvalidStudy("step_seconds", "no step is recorded", "Say what a step takes.")
        given.setdefault("evaluate_seconds", measured.evaluate_seconds)
        given.setdefault("save_seconds", self.save_seconds or 0.0)
        given.setdefault("load_seconds", self.start_seconds or 0.0)
        return Costs(**given)

    def proposal(self, spec: StudySpec, number: int) -> Point | None:
        """What the sampler of an equal space proposed, by the number among those drawn; None: it is not recorded.

        What was noted is of the same sampler only; of a policy that brings its points, which are for steps, so are
        these.
        """
        if spec.space.to_json() != self.spec.space.to_json():
            return None
        same = (spec.sampler, spec.policy, spec.max_steps) == (
            self.spec.sampler,
            self.spec.policy,
            self.spec.max_steps,
        )
        first = self.spec.lengths[0] if self.spec.horizons else 0
        drawn = [
            trial
            for trial in self.trials
            if trial.parent is None and horizon_of(trial.assignment or {}) == first
        ]
        if number >= len(drawn) or (spec.policy.proposes and not same):
            return None
        found = drawn[number]
        point = {name: value for name, value in (found.assignment or {}).items() if name != HORIZON}
        return point, dict(found.notes) if same else {}

    def sequence(self, trial: RecordedTrial | RecordedProbe) -> Sequence:
        """The schedules of a trial, or of a probe."""
        return self.spec.sequence_of(trial.hyperparameters)

    def _branches(self) -> Iterator[RecordedTrial | RecordedProbe]:
        """All trials, then all their probes."""
        yield from self.trials
        for trial in self.trials:
            yield from trial.probes

    def differences(self, spec: StudySpec) -> tuple[str, ...]:
        """In which fields another study trains another program than the one recorded."""
        one, other = self.spec.program.to_json(), spec.program.to_json()
        return tuple(name for name in one if name != "kinds" and one[name] != other.get(name))

    def _values(self, trial: RecordedTrial | RecordedProbe) -> Iterator[Mapping[str, Scalar]]:
        sequence = self.sequence(trial)
        return (sequence.values(step) for step in range(trial.step))

    def _measured(self) -> _Measured:
        """The times of all steps on the paths of trials and probes, each counted once."""
        found = _Measured()
        counted: dict[int, int] = {}
        every = self.spec.program.evaluate_every
        for branch in self._branches():
            sequence = self.sequence(branch)
            for node, start, stop in branch.path:
                for step in range(max(start, counted.get(node, 0)), stop):
                    times = self._times(node, step, every)
                    if times is not None:
                        found.add(sequence.values(step), *times)
                counted[node] = max(counted.get(node, 0), stop)
        return found

    def _times(self, node: int, step: int, every: int) -> tuple[float, float | None] | None:
        """What a step took, and what its evaluation did where there was one: the means of the first lease's stretch."""
        for start, stop, train, evaluate, _ in self.training.get(node, ()):
            if start <= step < stop:
                evaluations = stop // every - start // every
                evaluated = (step + 1) % every == 0
                return train / (stop - start), evaluate / evaluations if evaluated else None
        return None


class _Measured:
    """The mean time of a step by the values in force, and of an evaluation."""

    def __init__(self) -> None:
        self.count = 0
        self._seconds = 0.0
        self._by_values: dict[tuple[Any, ...], tuple[float, int]] = {}
        self._evaluations = 0
        self._evaluate_seconds = 0.0

    def add(self, values: Mapping[str, Scalar], seconds: float, evaluate_seconds: float | None) -> None:
        """A step was trained."""
        key = _key(values)
        total, count = self._by_values.get(key, (0.0, 0))
        self._by_values[key] = total + seconds, count + 1
        self._seconds += seconds
        self.count += 1
        if evaluate_seconds is not None:
            self._evaluations += 1
            self._evaluate_seconds += evaluate_seconds

    @property
    def evaluate_seconds(self) -> float:
        """The mean of the evaluations; 0 where there was none."""
        return self._evaluate_seconds / self._evaluations if self._evaluations else 0.0

    def __call__(self, values: Mapping[str, Scalar]) -> float:
        """What a step under some values takes."""
        seconds, count = self._by_values.get(_key(values), (self._seconds, self.count))
        return max(seconds / count, SHORTEST_STEP)


def _key(values: Mapping[str, Scalar]) -> tuple[Any, ...]:
    return tuple(sorted((name, typed(value)) for name, value in values.items()))


def _optional(json: Any) -> float | None:
    return None if json is None else float(json)
