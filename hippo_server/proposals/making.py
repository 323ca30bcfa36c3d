"""Has the points made that studies want, after the wish is durable, and tells the engine what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

from hippo_core.engine.commands import FailProposal, ProposeTrial
from hippo_core.engine.proposals import MakeProposal, ProposalTask
from hippo_core.errors import InvariantViolated, Unavailable
from hippo_server.proposals.messages import encode, task_message
from hippo_server.proposals.processes import ProposalFailed, Proposers
from hippo_server.term import Term

log = logging.getLogger(__name__)


async def make_proposals(term: Term, proposers: Proposers) -> None:
    """Has made whatever the engine wants, until the term is over."""
    making: dict[MakeProposal, asyncio.Task[None]] = {}
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
                    making[each] = asyncio.create_task(_make(term, proposers, each))
    finally:
        for task in making.values():
            task.cancel()
        await asyncio.gather(*making.values(), return_exceptions=True)


def _wanted(term: Term) -> dict[MakeProposal, None]:
    return {each: None for each in term.engine.wanted() if isinstance(each, MakeProposal)}


async def _make(term: Term, proposers: Proposers, wanted: MakeProposal) -> None:
    task = term.engine.proposal_task(wanted)
    found = partial(ProposeTrial, study=wanted.study, trial=wanted.trial, sequence=wanted.sequence)
    missed = partial(FailProposal, study=wanted.study, trial=wanted.trial, sequence=wanted.sequence)
    command: ProposeTrial | FailProposal
    try:
        await term.settled()
        made = await proposers.make(await asyncio.to_thread(_encoded, task))
        command = found(assignment=made["assignment"], notes=made["notes"])
    except Unavailable:
        return  # the term is over; the next one wants the same
    except ProposalFailed as error:
        log.warning("proposal_failed study=%d trial=%d error=%s", wanted.study, wanted.trial, error)
        command = missed(reason=str(error))
    if not term.over:
        with contextlib.suppress(InvariantViolated):  # the term is over then, and a new one begins
            _, record = term.decide(command, "server", type(command).__name__)
            term.put([record])


def _encoded(task: ProposalTask) -> bytes:
    return encode(task_message(task))
