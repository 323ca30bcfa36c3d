"""A study's budget of fresh steps: what is used, what is on its way, and whether a request fits into the rest.

A step is fresh that nobody had trained. It is charged when it is committed to each study that waits for it then, or to
the study of the lease where nobody waits for it any more: as ``StudyCredited`` counts. What a fault has trained again
is no fresh step. So a budget does not depend on faults.

What is used and what is on its way grow, together, by the opening of a request alone: training moves steps from the
one to the other, and nothing is leased that nobody has asked for. What a lease of the study is about to train counts
also where nobody waits for it any more, since it may be trained before its worker hears of that. So a budget is never
overrun if no request is opened that does not fit.

Requests are opened in the order in which the policy asks. The first that does not fit waits, and all behind it: until
something on its way comes to nothing, or nothing is on its way any more, when the study ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hippo_core.endings import MaxTrainedSteps
from hippo_core.engine.decision import Decision
from hippo_core.engine.requests import place_of
from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.plan import Node
from hippo_core.repeats import trial_of


def used_steps(study: Study) -> int:
    """How many fresh steps a study is charged with."""
    return study.steps_trained - study.steps_retrained


def trains(state: EngineState, study: Study) -> bool:
    """Whether a path that was leased for a study has steps yet to train."""
    return any(lease.study == study.id and lease.training for lease in state.leases.values())


def used_in_words(study: Study, budget: MaxTrainedSteps) -> str:
    """How much of a budget is used."""
    return f"max_trained_steps: {used_steps(study)} of {budget.steps} steps are trained"


def overcommitted(state: EngineState, study: Study, budget: MaxTrainedSteps) -> str:
    """Why what is open exceeds a budget, as it may where that was lowered, or a study was moved; empty: it does not."""
    needed = _fresh(state, _on_the_way(state, study))
    if used_steps(study) + needed <= budget.steps:
        return ""
    return f"{used_in_words(study, budget)}, and what is being trained needs {needed} more"


class Room:
    """What is left of a study's budget, while requests are opened one after the other.

    Args:
        decision: What is decided.
        study: The study.
        budget: Its ending of that kind.
    """

    def __init__(self, decision: Decision, study: Study, budget: MaxTrainedSteps) -> None:
        self._decision = decision
        self._study = study
        self._budget = budget
        self._ahead: dict[int, int] | None = None  # by node: up to which step it is to be trained
        self._left = 0
        self.short = ""  #: why the first request that does not fit does not, in words and numbers

    @classmethod
    def of(cls, decision: Decision, study: Study) -> Room | None:
        """That of a study; None: it has no budget."""
        budget = study.spec.ending(MaxTrainedSteps)
        return None if budget is None else cls(decision, study, budget)

    def admits(self, members: Sequence[Trial], step: int) -> bool:
        """Whether a request for a trial or a probe fits, and so did all before it.

        Args:
            members: It, with all its repeats; a probe need not have been opened.
            step: Up to where it is to be trained.
        """
        if self.short:
            return False
        needed = self._needed(members, step)
        if needed > self._left:
            trial = f"trial {trial_of(members[0].number)}"
            who = f"a probe of {trial}" if members[0].probe else trial
            self.short = f"{used_in_words(self._study, self._budget)}; {who} needs {needed} more to come to step {step}"
            return False
        self._left -= needed
        return True

    def opened(self, members: Sequence[Trial]) -> None:
        """A request that was admitted has been opened."""
        assert self._ahead is not None
        for member in members:
            if member.node is not None and member.target is not None:
                _note_path(self._ahead, member.node, member.target)

    def _needed(self, members: Sequence[Trial], step: int) -> int:
        """How many fresh steps the request needs beside what is on its way."""
        state = self._decision.state
        if self._ahead is None:
            self._ahead = _on_the_way(state, self._study)
            self._left = self._budget.steps - used_steps(self._study) - _fresh(state, self._ahead)
        path: dict[int, int] = {}
        missing = 0
        for member in members:
            place = place_of(self._decision, self._study, member, step)
            stop = place.missing[0][0] if place.missing else step
            missing += step - stop
            if place.node is not None:
                _note_path(path, place.node, stop)
        return missing + sum(
            max(0, _fresh(state, {number: stop}) - _fresh(state, {number: self._ahead.get(number, 0)}))
            for number, stop in path.items()
        )


def _on_the_way(state: EngineState, study: Study) -> dict[int, int]:
    """By node, up to which step it is to be trained: for open requests of a study, or by leases of it."""
    found: dict[int, int] = {}
    for number in study.open:
        member = study.member(number)
        if member.node is not None and member.target is not None:
            _note_path(found, member.node, member.target)
    for lease in state.leases.values():
        if lease.study == study.id and lease.training:
            for number, _, stop in lease.stages[lease.index :]:
                found[number] = max(found.get(number, 0), stop)
    return found


def _note_path(found: dict[int, int], node: Node, stop: int) -> None:
    """Notes that a path is to be trained up to step ``stop`` of a node."""
    for each in node.ancestry():
        if found.get(each.id, 0) >= stop:
            return  # and so above
        found[each.id] = stop
        stop = each.start


def _fresh(state: EngineState, stops: Mapping[int, int]) -> int:
    """How many steps that nobody has trained lie below ``stops`` of nodes."""
    return sum(max(0, stop - state.nodes[number].trained) for number, stop in stops.items())
