"""What is kept of trials between proposals: it changes no point, and spares reading and converting them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from hippo_core import samplers, space
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.study import StudySpec
from hippo_server.proposals import child, history, known, messages
from hippo_server.proposals.known import ByPlace, KnownTrials, Recent
from hippo_server.proposals.messages import Message, encode, point_message, task_message
from hippo_server.proposals.sampling import build, make_point
from tests.unit.proposals.test_sampling import EVERYTHING, SAMPLERS, past, spec, task

OTHER = {**EVERYTHING, "x": space.uniform(-3, 3), "c": space.choice(["a", "b"])}
ROUNDS = 48
PLAIN = samplers.tpe(startup_trials=4)


class Copied(InMemoryStorage):
    """Optuna's own storage, which copies each trial."""

    def share(self, trial: FrozenTrial) -> None:
        """Adds a trial."""
        self.create_new_trial(0, trial)


class Searched:
    """A study whose trials are proposed, report, end, fail and are tried again, and that is edited, by chance."""

    def __init__(self, made: StudySpec, others: list[StudySpec], random: Random) -> None:
        self.spec = made
        self.spaces = 0
        self.past: list[PastTrial] = []
        self._others = others
        self._random = random
        self._sequence = 0

    @property
    def task(self) -> ProposalTask:
        """Made of other objects each time, as an engine does."""
        return task(self.spec, [replace(each) for each in self.past])

    def add(self, point: Message) -> None:
        made = past(len(self.past), (point["assignment"], point["notes"]), (), state=TrialState.WAITING)
        self.past.append(replace(made, values={}, reached=0, sequence=0))

    def happen(self) -> None:
        """Something comes of a trial, most of the time."""
        chance = self._random.random()
        if chance < 0.06:
            self._edit()
        elif chance < 0.1:
            del self.past[self._random.randrange(len(self.past) + 1) :]
        elif self.past and chance < 0.9:
            self._end(self._random.randrange(len(self.past)))

    def _edit(self) -> None:
        """Trials keep their places; where they lie, and what was noted with them, may not be known any more."""
        self.spaces += 1
        self.spec, self._others = self._others[0], [*self._others[1:], self.spec]
        inside = [each.trial for each in self.past if self._is_inside(each)]
        self.past = [
            replace(each, assignment=each.assignment if each.trial in inside else {}, notes={})
            for each in self.past
        ]
        self.past = [
            each if each.assignment else replace(each, state=TrialState.FAILED, values={}, sequence=0)
            for each in self.past
        ]

    def _is_inside(self, each: PastTrial) -> bool:
        try:
            return self.spec.space.checked(each.assignment) == each.assignment
        except InvalidStudy:
            return False

    def _end(self, number: int) -> None:
        self._sequence += 1
        old, random = self.past[number], self._random
        if not old.assignment:
            return
        width = len(self.spec.objectives)
        step = max(old.values, default=0) + 1
        values = {**old.values, step: tuple(float(random.randrange(9)) for _ in range(width))}
        changed: dict[str, Any] = random.choice(
            [
                {"state": TrialState.COMPLETED, "values": values, "reached": step},
                {"state": TrialState.COMPLETED, "values": values, "reached": step},
                {"state": TrialState.STOPPED, "values": values, "reached": step},
                {"state": TrialState.WAITING, "values": values, "reached": step},
                {"state": TrialState.DIVERGED, "reached": step},
                {"state": TrialState.FAILED},
            ]
        )
        self.past[number] = replace(old, sequence=self._sequence, **changed)


def asked(answer: Callable[[Message], Message], task_asked: ProposalTask, texts: Any = None) -> Message:
    answered: Message = json.loads(encode(answer(json.loads(encode(task_message(task_asked, texts))))))
    return answered


@pytest.mark.parametrize(("sampler", "objectives"), SAMPLERS, ids=str)
def test_a_point_is_that_of_a_study_that_is_built_anew(
    sampler: samplers.Learning, objectives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two studies take turns in one process; each point is that of all trials in Optuna's own storage."""
    rounds = 14 if isinstance(sampler, samplers.Gp) else ROUNDS
    random = Random(f"{sampler}{objectives}")
    made = [spec(sampler, objectives, entries) for entries in (EVERYTHING, OTHER)]
    flipped = replace(made[0], objectives=tuple(replace(each, maximize=True) for each in made[0].objectives))
    searches = [
        Searched(made[0], [made[1], flipped, spec(PLAIN, objectives)], random),
        Searched(made[1], [made[0]], random),
    ]
    texts: Recent[tuple[int, int], ByPlace[PastTrial, str]] = Recent()
    studies: Recent[str, KnownTrials] = Recent()
    for turn in range(rounds):
        number = turn % 2
        searched = searches[number]
        written = texts.of((number, searched.spaces), ByPlace)
        point = asked(lambda message: child._respond(studies, message), searched.task, written)
        with monkeypatch.context() as patched:
            patched.setattr(history, "SharedTrials", Copied)
            assert json.loads(encode(point_message(make_point(searched.task)))) == point
        assert "assignment" in point, point
        searched.add(point)
        for _ in range(random.randrange(4)):
            searched.happen()
    assert max(len(each.past) for each in searches) >= 4, "there was something to keep"


def test_only_trials_of_which_something_is_new_are_written_read_and_converted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, int]] = []

    def noted(what: str, function: Any, place: Callable[..., int]) -> Any:
        def called(*args: Any) -> Any:
            done.append((what, place(*args)))
            return function(*args)

        return called

    monkeypatch.setattr(messages, "_row", noted("written", messages._row, lambda place, _: place))
    monkeypatch.setattr(messages, "_past", noted("read", messages._past, lambda place, _: place))
    monkeypatch.setattr(history, "_frozen", noted("converted", history._frozen, lambda each, *_: each.trial))
    made = spec(PLAIN)
    trials = [past(number, (dict(made.point(number)), {}), (1.0,)) for number in range(6)]
    texts: ByPlace[PastTrial, str] = ByPlace()
    studies: Recent[str, KnownTrials] = Recent()

    def ask(trials: list[PastTrial]) -> set[tuple[str, int]]:
        done.clear()
        equal = [replace(each, values=dict(each.values)) for each in trials]
        asked(lambda message: child._respond(studies, message), task(made, equal), texts)
        return set(done)

    def each_of(*places: int) -> set[tuple[str, int]]:
        return {(what, place) for what in ("written", "read", "converted") for place in places}

    assert ask(trials[:5]) == each_of(*range(5))
    assert ask(trials[:5]) == set()
    trials[2] = replace(trials[2], values={9: (1.0,), 10: (0.5,)})
    assert ask(trials) == each_of(2, 5)
    trials[0] = replace(trials[0], state=TrialState.FAILED)
    assert ask(trials) == each_of(0)
    assert ask(trials[1:2]) == each_of(0), "what stands in a place is another trial now"
    made = spec(samplers.tpe(startup_trials=5))
    assert ask(trials[1:2]) == {("read", 0), ("converted", 0)}, "nothing is taken over from another study"


def test_a_trial_that_is_the_worst_there_is_follows_what_is_known_of_others() -> None:
    """Two objectives: one that diverged is told the worst of each, which changes with others."""
    made = spec(samplers.nsga2(population=4), 2)
    trials = [past(number, (dict(made.point(number)), {}), (float(number), 1.0)) for number in range(5)]
    trials[1] = replace(trials[1], state=TrialState.DIVERGED, values={})
    kept = KnownTrials(made)
    for worst in (4.0, 9.0):
        trials[4] = replace(trials[4], values={9: (worst, 1.0)})
        make_point(task(made, trials), kept)
        assert kept.converted(0, trials[0]) is not None
        seen = history.study_of(task(made, trials), build(made.sampler, 0), kept).trials[1]
        assert seen.values == [worst, 1.0]


def test_studies_are_kept_until_others_were_asked_for_or_they_are_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known, "STUDIES", 2)
    monkeypatch.setattr(known, "TRIALS", 10)
    recent: Recent[str, list[int]] = Recent()
    first = recent.of("first", list)
    assert recent.of("second", list) is not first
    assert recent.of("first", list) is first
    recent.of("third", list)
    recent.trim()
    assert recent.of("first", list) is first, "the second one was asked for before it"
    recent.of("fourth", lambda: [0] * 8)
    first.extend(range(3))
    recent.trim()
    assert recent.of("fourth", lambda: [1]) == [0] * 8
    recent.of("large", lambda: [0] * 11)
    recent.trim()
    assert recent.of("large", lambda: [1]) == [1]
