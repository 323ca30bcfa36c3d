"""Has points and judgements made that studies want, after the wish is durable, and tells the engine what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from hippo_core.engine.commands import (
    Command,
    ExhaustSpace,
    FailJudgement,
    FailProposal,
    GiveJudgement,
    ProposeTrial,
)
from hippo_core.engine.proposals import MakeProposal, PastTrial
from hippo_core.engine.terminators import MakeJudgement
from hippo_core.errors import InvariantViolated, Unavailable
from hippo_server.proposals.known import ByPlace, Recent
from hippo_server.proposals.messages import Message, encode, judgement_message, task_message
from hippo_server.proposals.processes import ProposalFailed, Proposers
from hippo_server.term import Term

log = logging.getLogger(__name__)

Wanted = MakeProposal | MakeJudgement
#: What was written of the trials of studies, by their numbers and spaces.
Written = Recent[tuple[int, int], ByPlace[PastTrial, str]]


async def make_what_is_wanted(term: Term, proposers: Proposers) -> None:
    """Has made whatever the engine wants, until the term is over."""
    making: dict[Wanted, asyncio.Task[None]] = {}
    written: Written = Recent()
    term.proposals.set()
    try:
        while not term.over:
            await term.proposals.wait()
            term.proposals.clear()
            wanted = {} if term.over else _wanted(term)
            for each in [each for each in making if each not in wanted or making[each].done()]:
                making.pop(each).cancel()  # nobody waits for it any more
            for each in wanted:
                if each not in making:
                    making[each] = asyncio.create_task(_make(term, proposers, each, written))
    finally:
        for task in making.values():
            task.cancel()
        await asyncio.gather(*making.values(), return_exceptions=True)


def _wanted(term: Term) -> dict[Wanted, None]:
    engine = term.engine
    return dict.fromkeys((*engine.wanted_of(MakeProposal), *engine.wanted_of(MakeJudgement)))


async def _make(term: Term, proposers: Proposers, wanted: Wanted, written: Written) -> None:
    question = _question(term, wanted, written)
    command: Command
    try:
        await term.settled()
        answer = await proposers.make(await asyncio.to_thread(lambda: encode(question())))
        command = _found(wanted, answer)
    except Unavailable:
        return  # the term is over; the next one wants the same
    except ProposalFailed as error:
        log.warning(
            "proposal_failed", extra={"study": wanted.study, "wanted": str(wanted), "error": str(error)}
        )
        command = _missed(wanted, str(error))
    if not term.over:
        with contextlib.suppress(InvariantViolated):  # the term is over then, and a new one begins
            _, record = term.decide(command, "server", type(command).__name__)
            term.put([record])


def _question(term: Term, wanted: Wanted, written: Written) -> Callable[[], Message]:
    """Makes the message; what it is made of is taken from the engine now."""
    if isinstance(wanted, MakeProposal):
        written.trim()
        known = written.of((wanted.study, wanted.spaces), ByPlace)
        return partial(task_message, term.engine.proposal_task(wanted), known)
    return partial(judgement_message, term.engine.judgement_task(wanted))


def _found(wanted: Wanted, answer: Message) -> Command:
    if isinstance(wanted, MakeProposal) and "exhausted" in answer:
        return ExhaustSpace(
            study=wanted.study,
            trial=wanted.trial,
            sequence=wanted.sequence,
            points=answer["exhausted"],
            spaces=wanted.spaces,
        )
    if isinstance(wanted, MakeProposal):
        return ProposeTrial(
            study=wanted.study,
            trial=wanted.trial,
            sequence=wanted.sequence,
            assignment=answer["assignment"],
            notes=answer["notes"],
            spaces=wanted.spaces,
        )
    return GiveJudgement(
        study=wanted.study, sequence=wanted.sequence, gain=answer["gain"], threshold=answer["threshold"]
    )


def _missed(wanted: Wanted, reason: str) -> Command:
    if isinstance(wanted, MakeProposal):
        return FailProposal(
            study=wanted.study,
            trial=wanted.trial,
            sequence=wanted.sequence,
            reason=reason,
            spaces=wanted.spaces,
        )
    return FailJudgement(study=wanted.study, sequence=wanted.sequence, reason=reason)
