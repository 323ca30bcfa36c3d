"""The point of a proposal: the first of an algorithm's proposals that can be trained."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice

from hippo_core.engine.proposals import ProposalTask
from hippo_core.errors import InvalidStudy
from hippo_core.proposing import bohb, dehb
from hippo_core.proposing.draws import Point
from hippo_core.samplers import Bohb, Dehb

TRIES = 1000
LONGEST_NOTES = 65_536


def own_point(task: ProposalTask) -> Point | None:
    """The point that a sampler of Hippo's own proposes for a trial; None: the sampler is another's.

    Raises:
        InvalidStudy: None of many proposals can be trained.
    """
    found = _proposals(task)
    return None if found is None else first_trainable(task, found)


def first_trainable(task: ProposalTask, proposals: Iterable[Point]) -> Point:
    """The first of a sampler's proposals for a trial that can be trained.

    Raises:
        InvalidStudy: None of many can; or the sampler notes too much.
    """
    reason = ""
    for assignment, notes in islice(proposals, TRIES):
        try:
            found = task.spec.checked_point(assignment)
        except InvalidStudy as error:
            reason = str(error)
            continue
        if len(json.dumps(notes, allow_nan=False)) > LONGEST_NOTES:
            raise InvalidStudy("sampler", f"notes more than {LONGEST_NOTES} characters with one trial")
        return found, notes
    raise InvalidStudy("sampler", f"{TRIES} proposals in a row cannot be trained; the last one: {reason}")


def _proposals(task: ProposalTask) -> Iterator[Point] | None:
    match task.spec.sampler:
        case Bohb():
            return bohb.proposals(task, task.spec.sampler)
        case Dehb():
            return dehb.proposals(task)
        case _:
            return None
