"""The point of a proposal: the first of an algorithm's proposals that can be trained and is no copy of a trial."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from itertools import count, islice

from hippo_core.engine.proposals import ProposalTask
from hippo_core.errors import InvalidStudy
from hippo_core.proposing import bohb, dehb, fork_asha, greedy_phases, phase_tree, trie_asha
from hippo_core.proposing.draws import Exhausted, Point
from hippo_core.samplers import Bohb, Dehb, ForkAsha, GreedyPhases, PhaseTree, TrieAsha
from hippo_core.space import Assignment

TRIES = 1000
#: After so many copies of trials among its proposals an algorithm gives way to a random point that is none.
COPIES = 30
LONGEST_NOTES = 65_536


class Tried:
    """The points that are trials already.

    Args:
        task: Its history. In a finite space points are one and the same where all values of their trials are; in
            others, where their draws are.
    """

    def __init__(self, task: ProposalTask) -> None:
        self._spec = task.spec
        self._finite = task.spec.space.unlistable() is None
        self._known = {self._identity(past.assignment) for past in task.history if past.assignment}

    def __contains__(self, assignment: Assignment) -> bool:
        """Whether a trial has a point that is one and the same."""
        return self._identity(assignment) in self._known

    def _identity(self, assignment: Assignment) -> Hashable:
        return self._spec.identity(assignment) if self._finite else tuple(sorted(assignment.items()))


def own_point(task: ProposalTask) -> Point | Exhausted | None:
    """The point that a sampler of Hippo's own proposes for a trial; None: the sampler is another's.

    Raises:
        InvalidStudy: None of many proposals can be trained.
    """
    if isinstance(task.spec.sampler, TrieAsha):
        return trie_asha.proposal(task)
    found = _proposals(task)
    if found is None:
        return None
    # Where a point comes again to be trained further, its algorithm sees to copies itself.
    return first_trainable(task, found) if task.spec.sampler.repeats else first_unseen(task, found)


def first_trainable(task: ProposalTask, proposals: Iterable[Point]) -> Point | Exhausted:
    """The first of a sampler's proposals for a trial that can be trained; there are none where the space has no more.

    Raises:
        InvalidStudy: None of many can; or the sampler notes too much.
    """
    reason = ""
    for proposed in islice(proposals, TRIES):
        found, why = _trainable(task, proposed)
        if found is not None:
            return found
        reason = why
    if not reason:
        return _exhausted(task)
    raise InvalidStudy("sampler", f"{TRIES} proposals in a row cannot be trained; the last one: {reason}")


def first_unseen(task: ProposalTask, proposals: Iterable[Point]) -> Point | Exhausted:
    """The first of a sampler's proposals for a trial that can be trained and is no copy of an earlier one.

    After ``COPIES`` copies a random point comes instead that is none; in a finite space as long as there is one.

    Raises:
        InvalidStudy: None of many can be trained; or the sampler notes too much.
    """
    tried = Tried(task)
    copies, reason = 0, ""
    for proposed in islice(proposals, TRIES):
        if proposed[0] in tried:
            copies += 1
            if copies >= COPIES:
                break
            continue
        found, why = _trainable(task, proposed)
        if found is not None:
            return found
        reason = why
    if copies:
        return unseen_point(task, tried)
    raise InvalidStudy("sampler", f"{TRIES} proposals in a row cannot be trained; the last one: {reason}")


def unseen_point(task: ProposalTask, tried: Tried | None = None) -> Point | Exhausted:
    """A random point that is no copy of an earlier trial; of a finite space, as long as there is one.

    Raises:
        InvalidStudy: None of many can be trained.
    """
    spec, known = task.spec, tried or Tried(task)
    finite = spec.space.unlistable() is None
    points = (dict(spec.point(place)) for place in _places(task))
    fresh = (each for each in points if each not in known)
    reason = ""
    for assignment in fresh if finite else islice(fresh, TRIES):
        found, reason = _trainable(task, (assignment, {}))
        if found is not None:
            return found
    if not finite:
        raise InvalidStudy("sampler", f"{TRIES} random points cannot be trained; the last one: {reason}")
    return _exhausted(task)


def _exhausted(task: ProposalTask) -> Exhausted:
    """That all points of a finite space are tried, with how many it has."""
    return Exhausted(len({task.spec.identity(each) for each in task.spec.space.assignments()}))


def _places(task: ProposalTask) -> Iterator[int]:
    """The numbers of random points: from the trial's own on, then those before."""
    for place in count(task.trial):
        if task.spec.distinct_trials(place + 1) <= place:
            break
        yield place
    yield from range(task.spec.distinct_trials(task.trial))


def _trainable(task: ProposalTask, proposed: Point) -> tuple[Point | None, str]:
    """A proposal in canonical form; None where no trial with it can be trained, and why.

    Raises:
        InvalidStudy: The sampler notes too much.
    """
    assignment, notes = proposed
    try:
        found = task.spec.checked_point(assignment)
    except InvalidStudy as error:
        return None, str(error)
    if len(json.dumps(notes, allow_nan=False)) > LONGEST_NOTES:
        raise InvalidStudy("sampler", f"notes more than {LONGEST_NOTES} characters with one trial")
    return (found, notes), ""


def _proposals(task: ProposalTask) -> Iterator[Point] | None:
    match task.spec.sampler:
        case Bohb():
            return bohb.proposals(task, task.spec.sampler)
        case Dehb():
            return dehb.proposals(task)
        case ForkAsha():
            return fork_asha.proposals(task)
        case PhaseTree():
            return phase_tree.proposals(task)
        case GreedyPhases():
            return greedy_phases.proposals(task)
        case _:
            return None
