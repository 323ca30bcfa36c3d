"""A whole Hippo in one process and virtual time: the real engine, and workers that keep the contract of real ones.

Training is a hash: a state is the hash of the state before it and of the values of the step, a metric is read off the
state. So a trial's history, trained alone, is known without any engine (``alone``), and one wrong value, one step left
out or one wrong checkpoint anywhere gives other numbers.

Everything that can happen next is an action; a seed picks which. Nothing is lost on the way from engine to worker and
back but what a fault loses.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.engine import journal
from hippo_core.engine.commands import (
    AnswerPolicy,
    Command,
    CordonSlots,
    CreateTrials,
    ExhaustSpace,
    FailedReport,
    Heartbeat,
    HeldLease,
    ProposeTrial,
    RegisterWorker,
    ReleasedReport,
    Report,
    ReportHealth,
    ReportStorage,
    SaveBlockedReport,
    SaveFailedReport,
    SlotSpec,
    Tick,
    TrainedReport,
    UncordonSlots,
    UnusableReport,
)
from hippo_core.engine.consultations import ConsultPolicy, PolicyQuestion
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine, Result
from hippo_core.engine.events import CheckpointDropped, Event
from hippo_core.engine.invariants import check
from hippo_core.engine.proposals import MakeProposal, ProposalTask
from hippo_core.engine.states import FailureClass
from hippo_core.errors import Stale
from hippo_core.lease_order import LeaseOrder
from hippo_core.own_policy import Policy
from hippo_core.policies import Verdict
from hippo_core.policies.hosting import PolicyHost
from hippo_core.proposing import Exhausted, own_point
from hippo_core.simulation.path import SimulatedPath

INITIAL = "initial"
SETTINGS = EngineSettings(
    heartbeat_seconds=1.0,
    lease_seconds=6.0,
    orphan_seconds=20.0,
    backoff_seconds=0.5,
    turn_seconds=0.05,
    credit_seconds=1.0,
)
State = tuple[int, int]


def next_state(state: str, values: Mapping[str, Any]) -> str:
    """The state after a step under these values."""
    text = json.dumps([state, sorted((name, repr(value)) for name, value in values.items())])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def metric(state: str) -> float:
    """What evaluating a state gives, between 0 and 1."""
    return int(state[:12], 16) / 16.0**12


def initial(seed: int) -> str:
    """The state at step 0."""
    return f"{INITIAL} {seed}" if seed else INITIAL


def alone(values: list[Mapping[str, Any]], evaluate_every: int, seed: int = 0) -> dict[int, float]:
    """The metrics of a trial that is trained alone, by step."""
    state, found = initial(seed), {}
    for step, each in enumerate(values, start=1):
        state = next_state(state, each)
        if step % evaluate_every == 0:
            found[step] = metric(state)
    return found


def propose(task: ProposalTask) -> dict[str, Any]:
    """A point that depends on all that its sampler may see."""
    seen = [
        [past.trial, past.assignment, past.notes, past.state, sorted(past.values.items())]
        for past in task.history
    ]

    def uniform(name: str) -> float:
        text = json.dumps([task.spec.program.seed, task.trial, name, seen])
        return int(hashlib.blake2b(text.encode()).hexdigest()[:12], 16) / 16.0**12

    return task.spec.space.draw(uniform)


class Hashes:
    """A model is the hash of the model before it and of the values of the step."""

    def begin(self, seed: int) -> str:
        return initial(seed)

    def train(self, model: str, step: int, values: Mapping[str, Any]) -> str:
        return next_state(model, values)

    def evaluate(self, model: str) -> dict[str, float]:
        return {"accuracy": metric(model)}


class Running(SimulatedPath):
    """A lease on a simulated slot."""

    __slots__ = ("answered", "stop")

    def __init__(self, order: LeaseOrder) -> None:
        super().__init__(order, Hashes(), Hashes().begin(order.program.seed))
        self.stop: tuple[bool] | None = None
        self.answered: set[State] = set()


@dataclass
class SimulatedWorker:
    """A daemon with its slots, as far as the engine can tell."""

    name: str
    slots: int
    host: str
    incarnation: int = 1
    running: dict[int, Running] = field(default_factory=dict)
    memory: dict[int, tuple[State, str]] = field(default_factory=dict)


class Cluster:
    """The engine with its workers.

    Args:
        seed: Decides which of the possible actions comes next.
        workers: Slots by worker.
        settings: The engine's.
        hosts: By worker, where that is not its name.
    """

    def __init__(
        self,
        seed: int,
        workers: Mapping[str, int],
        settings: EngineSettings = SETTINGS,
        hosts: Mapping[str, str] | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.settings = settings
        self.engine = Engine(settings)
        self.journal: list[Event] = []
        self.reread: list[Event] = []  # those of the journal that a restart has read, as it read them
        self.now = 0.0
        self.storage: dict[tuple[int, int, int], str] = {}
        self.workers = {
            name: SimulatedWorker(name, slots, (hosts or {}).get(name, name))
            for name, slots in workers.items()
        }
        self.offers_answered: list[bool] = []
        self.proposed: list[ProposeTrial] = []
        self.policy_classes: dict[str, type[Policy]] = {}  #: by reference
        self.policies: dict[int, tuple[PolicyHost, int]] = {}  #: by study, with how many rounds they know
        self.asked: dict[int, tuple[PolicyHost, PolicyQuestion, list[Verdict]]] = {}
        self.verdicts: dict[int, list[list[Verdict]]] = {}  #: by study, of each answer that was taken
        self.trained = 0
        self.next_heartbeat = 0.0
        for name in workers:
            self.register(name)

    def tell(self, command: Command) -> Result:
        """Gives the engine a command, and checks all invariants after it."""
        pinned = dict(self.engine.state.pins)
        outcome = self.engine.handle(command, self.now)
        self.journal.extend(outcome.events)
        check(self.engine)
        self.expect_starts_kept(outcome.events)
        self.expect_pins_kept(outcome.events, pinned)
        for name in self.workers:
            self.engine.directives(name)
        return outcome.result

    def expect_starts_kept(self, events: tuple[Event, ...]) -> None:
        """What a lease in training is to start from is not dropped under it."""
        dropped = {
            (event.node, event.step, event.fence) for event in events if isinstance(event, CheckpointDropped)
        }
        for lease in self.engine.state.leases.values():
            if lease.training and lease.start is not None and lease.step == lease.start[1]:
                assert lease.start not in dropped

    def expect_pins_kept(self, events: tuple[Event, ...], pinned: Mapping[State, Any]) -> None:
        """What is dropped is gone; what was pinned before, and still is, keeps a copy."""
        nodes, pins = self.engine.state.nodes, self.engine.state.pins
        for event in events:
            if isinstance(event, CheckpointDropped):
                state = (event.node, event.step)
                self.storage.pop((*state, event.fence), None)
                assert state not in pinned or state not in pins or event.step in nodes[event.node].checkpoints

    def register(self, name: str) -> None:
        worker = self.workers[name]
        self.tell(
            RegisterWorker(
                worker=name,
                incarnation=str(worker.incarnation),
                host=worker.host,
                slots=tuple(
                    SlotSpec(index=index, device="cpu", model="", cpus=1, gpus=0)
                    for index in range(worker.slots)
                ),
                environment={"python": "3.11", "torch": "2", "cuda": None},
                leases=tuple(HeldLease(fence=fence, acknowledged=0) for fence in sorted(worker.running)),
            )
        )

    # Actions

    def actions(self) -> Iterator[tuple[str, str, int]]:
        """All that can happen next, in a fixed order."""
        for name, worker in self.workers.items():
            yield "receive", name, 0
            for fence, running in sorted(worker.running.items()):
                if not running.done:
                    yield "train", name, fence
                if running.spool:
                    yield "publish", name, fence
                if running.has_news:
                    yield "report", name, fence
        for more in self.engine.wanted_of(CreateTrials):
            yield "create", "", more.study
        for wanted in self.proposals_wanted():
            yield "propose", "", wanted.study
        for consulted in self.consultations_wanted():
            yield ("answer" if consulted.study in self.asked else "ask"), "", consulted.study

    def proposals_wanted(self) -> list[MakeProposal]:
        return [wanted for wanted in self.engine.wanted() if isinstance(wanted, MakeProposal)]

    def consultations_wanted(self) -> list[ConsultPolicy]:
        return [wanted for wanted in self.engine.wanted() if isinstance(wanted, ConsultPolicy)]

    def act(self) -> None:
        """Lets one possible action happen."""
        self.now += 0.01
        if self.now >= self.next_heartbeat:
            self.next_heartbeat = self.now + SETTINGS.heartbeat_seconds
            for worker in self.workers.values():
                self.tell(Heartbeat(worker=worker.name, incarnation=str(worker.incarnation)))
        deadline = self.engine.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.tell(Tick())
        kind, name, fence = self.random.choice(list(self.actions()))
        if not name:
            getattr(self, kind)(fence)
            return
        worker = self.workers[name]
        if kind == "receive":
            self.receive(worker)
        elif kind == "train":
            self.train(worker, worker.running[fence])
        elif kind == "publish":
            self.publish(worker.running[fence])
        else:
            self.report(worker, worker.running[fence])

    def create(self, study: int) -> None:
        (wanted,) = [each for each in self.engine.wanted_of(CreateTrials) if each.study == study]
        self.tell(wanted)

    def receive(self, worker: SimulatedWorker) -> None:
        directives = self.engine.directives(worker.name)
        for order in directives.leases:
            if order.fence not in worker.running:
                self.start(worker, order)
        for fence, node, step in directives.offers:
            running = worker.running.get(fence)
            if running is not None and (node, step) not in running.answered:
                running.answered.add((node, step))
                self.answer_offer(running, (node, step))
        for fence, save, _ in directives.stops:
            running = worker.running.get(fence)
            if running is not None and not running.done:
                running.stop = (save,)

    def start(self, worker: SimulatedWorker, order: LeaseOrder) -> None:
        running = Running(order)
        worker.running[order.fence] = running
        if order.start is None:
            assert order.stages[0].start == 0
            return
        node, step, fence = order.start
        assert step == order.stages[0].start
        held = worker.memory.pop(order.slot, None)
        if order.in_memory and held is not None and held[0] == (node, step):
            running.model = held[1]
        elif (node, step, fence) in self.storage:
            running.model = self.storage[node, step, fence]
        elif order.in_memory:
            running.end(ReleasedReport(reason="not in memory, not saved yet"))
        else:
            running.tell(UnusableReport(node=node, step=step, fence=fence, missing=True, reason="gone"))
            running.end(ReleasedReport(reason="start unusable"))

    def answer_offer(self, running: Running, state: State) -> None:
        will = running.is_ahead(state)
        self.offers_answered.append(will)
        running.answer(state, will)

    def train(self, worker: SimulatedWorker, running: Running) -> None:
        order = running.order
        if running.stop is not None:
            self.release(running, running.stop[0])
            return
        here = running.train(train_seconds=0.01, evaluate_seconds=0.0)
        self.trained += 1
        every = order.checkpoint_every
        if here in running.saves or (every is not None and running.step % every == 0):
            running.spool[here] = running.model
        if running.at_end:
            running.end(TrainedReport())
            worker.memory[order.slot] = (here, running.model)

    def release(self, running: Running, save: bool) -> None:
        if save and running.step > running.order.stages[0].start:
            running.spool[running.state] = running.model
        while running.spool:
            self.publish(running)
        running.end(ReleasedReport(reason="stopped"))

    def publish(self, running: Running) -> None:
        state = next(iter(running.spool))
        self.storage[*state, running.order.fence] = running.publish(state)

    def report(self, worker: SimulatedWorker, running: Running) -> None:
        self.send(worker, running.report(worker.name, str(worker.incarnation)))
        if running.done and not running.spool and not running.has_news:
            worker.running.pop(running.order.fence, None)

    def send(self, worker: SimulatedWorker, sent: Report) -> None:
        try:
            self.tell(sent)
        except Stale:
            worker.running.pop(sent.fence, None)

    def propose(self, study: int) -> None:
        """Answers what a study wants, with what was noted about it."""
        (wanted,) = [each for each in self.proposals_wanted() if each.study == study]
        task = self.engine.proposal_task(wanted)
        found = own_point(task) or (propose(task), {"of": wanted.trial})
        if isinstance(found, Exhausted):
            self.tell(
                ExhaustSpace(
                    study=study,
                    trial=wanted.trial,
                    sequence=wanted.sequence,
                    spaces=wanted.spaces,
                    points=found.points,
                )
            )
            return
        assignment, notes = found
        command = ProposeTrial(
            study=study,
            trial=wanted.trial,
            sequence=wanted.sequence,
            spaces=wanted.spaces,
            assignment=assignment,
            notes=notes,
        )
        self.proposed.append(command)
        self.tell(command)

    def ask(self, study: int) -> None:
        """Asks a study's own policy: in the process that knows the earlier rounds, or in another, told all of them."""
        (wanted,) = [each for each in self.consultations_wanted() if each.study == study]
        host, known = self.policies.pop(study, None) or (None, 0)
        question = self.engine.policy_question(wanted, known)
        if host is None:
            host = PolicyHost(
                self.policy_classes[question.policy.reference](),
                question.context,
                question.policy.arguments,
            )
        verdicts = [host.answer(each) for each in question.rounds][-1]
        self.asked[study] = (host, question, verdicts)

    def answer(self, study: int) -> None:
        """The answer comes, however much has happened meanwhile."""
        host, question, verdicts = self.asked.pop(study)
        asked = question.rounds[-1]
        taken = self.tell(
            AnswerPolicy(
                study=study,
                number=question.number,
                mark=question.mark,
                max_trials=asked.max_trials,
                finish=asked.finish,
                verdicts=tuple(verdicts),
            )
        )
        if taken:
            self.verdicts.setdefault(study, []).append(verdicts)
            self.policies[study] = (host, question.number + 1)

    # Faults

    def lose_policies(self) -> None:
        """The processes of users' own policies die, also one that is about to answer."""
        self.policies.clear()
        self.asked.clear()

    def repeat_proposal(self) -> None:
        """An answer that was given comes once more."""
        if self.proposed:
            before = self.engine.snapshot()
            self.tell(self.random.choice(self.proposed))
            assert self.engine.snapshot() == before

    def kill_worker(self, name: str) -> None:
        """The daemon and its runners die; a new incarnation comes back."""
        worker = self.workers[name]
        worker.running.clear()
        worker.memory.clear()
        worker.incarnation += 1
        self.register(name)

    def lose_worker(self, name: str) -> None:
        """The worker falls silent for a lease's time, and goes on afterwards none the wiser."""
        self.now += SETTINGS.lease_seconds + 0.1
        self.next_heartbeat = self.now
        for other in self.workers.values():
            if other.name != name:
                self.tell(Heartbeat(worker=other.name, incarnation=str(other.incarnation)))
        self.tell(Tick())

    def kill_runner(self, name: str) -> None:
        """A slot's process dies; the daemon reports it, with all that it had been told before."""
        worker = self.workers[name]
        for running in worker.running.values():
            if not running.done:
                stage = running.order.stages[running.index]
                worker.memory.pop(running.order.slot, None)
                running.end(
                    FailedReport(
                        failure=FailureClass.INFRASTRUCTURE,
                        message="killed by SIGKILL",
                        traceback="",
                        node=stage.node,
                        step=running.step,
                    )
                )
                return

    def fail_training(self, name: str, failure: FailureClass = FailureClass.USER) -> None:
        """The trainer raises in the step that comes next, or in the evaluation after it; or it fails otherwise."""
        worker = self.workers[name]
        for running in worker.running.values():
            if not running.done:
                stage = running.order.stages[running.index]
                running.spool.clear()
                worker.memory.pop(running.order.slot, None)
                running.end(
                    FailedReport(
                        failure=failure,
                        message="ValueError: no",
                        traceback="",
                        node=stage.node,
                        step=running.step,
                    )
                )
                return

    def fail_health(self, name: str) -> None:
        """The device of a worker's first slot fails its health check, and with it what trains there."""
        self.kill_runner(name)
        self.say_of_health(name, failed=True)

    def recover(self, name: str) -> None:
        """The device is in order again."""
        self.say_of_health(name, failed=False)

    def lose_storage(self, name: str) -> None:
        """A worker cannot load what a path of it starts from."""
        self.say_of_storage(name, "no answer")
        self.kill_runner(name)

    def find_storage(self, name: str) -> None:
        """Its storage answers again."""
        self.say_of_storage(name, "")

    def say_of_storage(self, name: str, failure: str) -> None:
        """Says what the storage said when a worker tried to read it."""
        incarnation = str(self.workers[name].incarnation)
        self.tell(ReportStorage(worker=name, incarnation=incarnation, failure=failure))

    def say_of_health(self, name: str, *, failed: bool) -> None:
        """Says what the health check of a worker's first slot came to."""
        self.tell(
            ReportHealth(
                worker=name,
                incarnation=str(self.workers[name].incarnation),
                slot=0,
                failed=failed,
                reason="no CUDA device" if failed else "",
            )
        )

    def cordon(self, name: str) -> None:
        """A user cordons all slots of a worker."""
        self.tell(CordonSlots(worker=name))

    def uncordon(self, name: str) -> None:
        """A user lets them be used again."""
        self.tell(UncordonSlots(worker=name))

    def run_out_of_memory(self, name: str) -> None:
        """There is no memory for the step that comes next."""
        self.fail_training(name, FailureClass.MEMORY)

    def stall(self, name: str) -> None:
        """The step that comes next does not end, and its runner is killed for that."""
        self.fail_training(name, FailureClass.STALLED)

    def fail_save(self, name: str) -> None:
        """A state that waits to be published is lost."""
        for running in self.workers[name].running.values():
            if running.spool:
                state = next(iter(running.spool))
                del running.spool[state]
                running.tell(
                    SaveFailedReport(node=state[0], step=state[1], reason="disk full", full=state[1] % 2 == 0)
                )
                return

    def hold_up_save(self, name: str) -> None:
        """A state waits to be published for longer than is waited in silence."""
        for running in self.workers[name].running.values():
            if running.spool:
                node, step = next(iter(running.spool))
                running.tell(SaveBlockedReport(node=node, step=step, reason="no answer"))
                return

    def restart_server(self) -> None:
        """The engine is dropped and rebuilt from its journal; workers present their leases again."""
        self.restart_server_without_workers()
        for name in self.workers:
            self.register(name)

    def restart_server_without_workers(self) -> None:
        """The engine is dropped and rebuilt from its journal."""
        before = self.engine.snapshot()
        for each in self.journal[len(self.reread) :]:
            self.reread.append(journal.from_json(type(each).__name__, _through_json(each)))
        lived = to_run(self.engine)
        self.engine = Engine.restore(self.reread, self.settings, self.now)
        assert self.engine.snapshot() == before
        assert to_run(self.engine) == lived

    def lose_checkpoint(self) -> None:
        """A checkpoint vanishes from the storage; it may be that the server is the first to notice."""
        if self.storage:
            node, step, fence = gone = self.random.choice(sorted(self.storage))
            del self.storage[gone]
            if self.random.random() < 0.5:
                self.tell(UnusableReport(node=node, step=step, fence=fence, missing=True, reason="gone"))

    # The end

    def run(self, limit: int = 200_000) -> None:
        """Lets things happen until no study runs any more; without faults this is bound to come."""
        for _ in range(limit):
            if not self.engine.state.active:
                return
            self.act()
            pauses = [*self.engine.volatile.unblock.values(), *self.engine.volatile.held.values()]
            if not any(worker.running for worker in self.workers.values()) and pauses:
                self.now = max(self.now, min(pauses))
                for worker in self.workers.values():
                    self.tell(Heartbeat(worker=worker.name, incarnation=str(worker.incarnation)))
                self.tell(Tick())
        raise AssertionError("the studies did not end")


def to_run(engine: Engine) -> dict[int, object]:
    """What the stage trees say of each node, but for lengths, which depend on what was measured in which order."""
    found: dict[int, object] = {}
    for plan in engine.state.plans.values():
        plan.tree.refresh(0.0)
        for node, outlook in plan.tree.outlooks():
            ranges = [(each.base, each.points, each.priority, each.users) for each in outlook.ranges]
            if outlook.wanted or outlook.offers:
                found[node.id] = (outlook.wanted, outlook.offers, sorted(ranges))
    return found


def _through_json(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(json.dumps(journal.to_json(event)))
    return fields
