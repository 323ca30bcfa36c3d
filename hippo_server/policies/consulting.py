"""Has users' own policies asked what studies wait for, on some worker, and tells the engine what came of it.

A policy's process that has answered is asked again as long as its worker stays: it is told only what is new. After any
loss another begins anew, and is told everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

from hippo_core.engine.commands import AnswerPolicy, FailPolicy
from hippo_core.engine.consultations import ConsultPolicy, PolicyQuestion
from hippo_core.errors import HippoError, InvalidStudy, InvariantViolated, Unavailable
from hippo_server.policies.consultants import Consultant
from hippo_server.term import Term
from hippo_wire.policies import verdicts_from_json
from hippo_wire.v1 import worker_pb2

log = logging.getLogger(__name__)

LOSSES = 5  #: so many processes lost over one answer count as a failure of the policy
LOST_SECONDS = 0.5


@dataclass(slots=True)
class _Process:
    """A policy's process on a worker."""

    consultant: Consultant
    known: int  #: how many rounds it was told, which were all taken


@dataclass(slots=True)
class _Consultations:
    """Those of one term.

    Attributes:
        term: Whose.
        idle: Processes that wait for the next question, by study.
        busy: Workers that are being asked, by study.
    """

    term: Term
    idle: dict[int, _Process] = field(default_factory=dict)
    busy: dict[int, Consultant] = field(default_factory=dict)

    def forget_ended(self) -> None:
        """The processes of studies that do not run are asked no more."""
        active = self.term.engine.state.active
        self.idle = {study: process for study, process in self.idle.items() if study in active}

    async def consult(self, wanted: ConsultPolicy) -> None:
        """Gets one answer, or a failure, and has the engine decide what follows."""
        try:
            command = await self._outcome(wanted)
        except HippoError:
            return  # the term is over; the next one wants the same
        finally:
            consultant = self.busy.pop(wanted.study, None)
            self.term.consultations.set()
        if self.term.over:
            return
        with contextlib.suppress(InvariantViolated):  # the term is over then, and a new one begins
            taken, record = self.term.decide(command, "server", type(command).__name__)
            self.term.put([record])
            if taken and consultant is not None:
                self.idle[wanted.study] = _Process(consultant, wanted.number + 1)

    async def _outcome(self, wanted: ConsultPolicy) -> AnswerPolicy | FailPolicy:
        losses = 0
        while True:
            process = await self._process(wanted)
            self.busy[wanted.study] = process.consultant
            await self.term.settled()
            question = self.term.engine.policy_question(wanted, process.known)
            try:
                answer = await process.consultant.ask(question)
            except Unavailable:
                continue  # its worker has gone, which is nobody's fault; another is waited for
            match answer.WhichOneof("outcome"):
                case "verdicts_json":
                    return _answered(question, answer)
                case "failed":
                    log.warning("policy_failed", extra={"study": wanted.study, "error": answer.failed})
                    return FailPolicy(study=wanted.study, number=wanted.number, reason=answer.failed)
                case _:
                    losses += 1
                    log.warning("policy_lost", extra={"study": wanted.study, "why": answer.lost})
            if losses == LOSSES:
                reason = f"its process was lost {LOSSES} times over one answer: {answer.lost}"
                return FailPolicy(study=wanted.study, number=wanted.number, reason=reason)
            await asyncio.sleep(LOST_SECONDS)

    async def _process(self, wanted: ConsultPolicy) -> _Process:
        """The process that has answered before, or the worker where another is to begin; waits for one."""
        consultants, state = self.term.consultants, self.term.engine.state
        known = self.idle.pop(wanted.study, None)
        if known is not None and consultants.can_be_asked(known.consultant, state):
            return known
        with consultants.arrivals.listen() as arrived:
            while True:
                busy = [*self.busy.values(), *(each.consultant for each in self.idle.values())]
                found = consultants.choose(state, busy)
                if found is not None:
                    return _Process(found, 0)
                arrived.clear()
                await arrived.wait()


def _answered(question: PolicyQuestion, answer: worker_pb2.PolicyAnswer) -> AnswerPolicy | FailPolicy:
    asked = question.rounds[-1]
    try:
        verdicts = verdicts_from_json(answer.verdicts_json)
    except InvalidStudy as error:
        return FailPolicy(study=question.study, number=question.number, reason=str(error))
    return AnswerPolicy(
        study=question.study,
        number=question.number,
        mark=question.mark,
        max_trials=asked.max_trials,
        finish=asked.finish,
        verdicts=verdicts,
    )


async def consult_policies(term: Term) -> None:
    """Has asked whatever the engine wants to be asked, until the term is over."""
    consultations = _Consultations(term)
    asking: dict[ConsultPolicy, asyncio.Task[None]] = {}
    term.consultations.set()
    try:
        while not term.over:
            await term.consultations.wait()
            term.consultations.clear()
            wanted = {} if term.over else _wanted(term)
            for each in [each for each in asking if each not in wanted or asking[each].done()]:
                asking.pop(each).cancel()  # nobody waits for it any more
            for each in wanted:
                if each not in asking:
                    asking[each] = asyncio.create_task(consultations.consult(each))
            consultations.forget_ended()
    finally:
        for task in asking.values():
            task.cancel()
        await asyncio.gather(*asking.values(), return_exceptions=True)


def _wanted(term: Term) -> dict[ConsultPolicy, None]:
    return dict.fromkeys(term.engine.wanted_of(ConsultPolicy))
