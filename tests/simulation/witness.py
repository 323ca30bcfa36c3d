"""The witness: sees every commit, every message to a worker, every removal, and says what must not be.

The invariants are those of the reliability page of the docs, I1 to I9; each report begins with the one that it breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hippo_core.engine import events as ev
from hippo_core.engine.commands import Command
from hippo_core.engine.engine import Engine
from hippo_core.engine.known import Known
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.engine.states import LeaseState
from hippo_core.errors import HippoError
from hippo_core.plan import Node
from hippo_storage.manifest import MANIFEST, CheckpointLocation
from hippo_wire.v1 import worker_pb2
from tests.simulation.database import Entry, MemoryDatabase
from tests.simulation.servers import SETTINGS
from tests.simulation.training import STATE_FILE, read_state
from tests.simulation.virtual_time import VirtualLoop
from tests.unit.engine.cluster import initial, metric, next_state
from tests.unit.storage.disks import FileNode, FolderNode

if TYPE_CHECKING:
    from tests.simulation.world import World

Place = tuple[int, int, int]  #: node, step, fence


@dataclass(frozen=True, slots=True)
class Removed:
    """An engine is told that files of checkpoints are gone, which lets what waits for space try again."""

    done: tuple[RemoveCheckpoint, ...]


class Decisions:
    """What one engine decided: from which events it was restored, and what followed from what."""

    def __init__(self, known: list[Known], now: float) -> None:
        self.known = known
        self.now = now
        self.taken: list[tuple[Command | Removed, float, object]] = []


class Witness:
    """Watches a world.

    Args:
        database: What is durable.
        loop: In whose time.

    Attributes:
        violations: What must not be, and was.
        spoiled: Checkpoints whose files were harmed on purpose.
    """

    def __init__(self, database: MemoryDatabase, loop: VirtualLoop) -> None:
        self.database = database
        self.loop = loop
        self.violations: list[str] = []
        self.spoiled: set[Place] = set()
        self.world: World | None = None
        self.steps = 0
        self._reports: dict[int, int] = {}  # by fence, the last one committed
        self._causes: dict[
            str, tuple[int, int]
        ] = {}  # by request, its term and its last place in the journal
        self._models: dict[tuple[int, int], str] = {}
        self._decisions: dict[Engine, Decisions] = {}
        database.watchers.append(self._commits)

    def report(self, what: str) -> None:
        """Notes what must not be."""
        if len(self.violations) < 20:
            self.violations.append(f"{self.loop.now:8.3f} {what}")

    # Commits.

    def _commits(self, entry: Entry) -> None:
        state, event = self.database.state, entry.event
        journal = self.database.journal
        if journal and entry.term < journal[-1].term:
            self.report(f"I3: term {entry.term} wrote after term {journal[-1].term}: {event}")
        self._happens_once(entry, len(journal))
        match event:
            case ev.ReportAccepted(fence=fence, number=number):
                if number != self._reports.get(fence, 0) + 1:
                    self.report(f"I2: report {number} of lease {fence} after {self._reports.get(fence, 0)}")
                self._reports[fence] = number
                self._expect_standing(event)
            case ev.StepsTrained():
                self.steps += event.stop - event.start
                self._expect_standing(event)
            case ev.MetricsRecorded(node=node, step=step):
                self._expect_standing(event)
                known = state.nodes[node]
                if event.metrics is not None and step in known.metrics:
                    self.report(f"I2: a second row of metrics at step {step} of node {node}")
                if event.metrics is not None and event.metrics != self._expected_metrics(known, step):
                    self.report(f"I9: {event} is not what training alone gives")
            case ev.CheckpointPublished(node=node, step=step, fence=fence):
                self._expect_standing(event)
                earlier = state.nodes[node].checkpoints.get(step, {}).get(fence)
                if earlier is not None and earlier.digest != event.digest:
                    self.report(f"I2: two checkpoints at {(node, step, fence)}")
                self._expect_whole((node, step, fence), event.digest)
                self._expect_durable((node, step, fence))
            case ev.CheckpointDropped(node=node, step=step, fence=fence):
                for lease in state.leases.values():
                    if lease.training and lease.start == (node, step, fence) and lease.step == step:
                        self.report(f"I8: lease {lease.fence} is to load {lease.start}, which is dropped")
            case ev.LeaseStateChanged(fence=fence, state=LeaseState.ORPHANED):
                leader = self.database.leader
                if leader is not None and self.loop.now < leader.took_at + SETTINGS.lease_seconds:
                    self.report(f"I5: lease {fence} is taken for an orphan within its leader's first lease")
            case ev.NodeNotReproducible():
                self.report(f"I9: {event}")
            case _:
                pass

    def _expect_standing(self, event: Any) -> None:
        if event.fence not in self.database.state.leases:
            self.report(f"I3: lease {event.fence} no longer stands: {event}")

    def _happens_once(self, entry: Entry, place: int) -> None:
        """What one request came to is together in the journal, and is there once."""
        known = self._causes.get(entry.cause)
        if " " not in entry.cause or entry.cause.startswith("Report"):
            return
        if known is not None and known != (entry.term, place - 1):
            self.report(f"I1: {entry.cause} happened twice: {known}, {(entry.term, place)}")
        self._causes[entry.cause] = (entry.term, place)

    # Messages.

    def delivered(self, worker: str, message: Any) -> None:
        """A message reaches a worker: whatever it is derived from must be committed."""
        if not isinstance(message, worker_pb2.WorkResponse):
            return
        state = self.database.state
        for each in message.acknowledged:
            if each.number > self._reports.get(each.fence, 0):
                self.report(f"I1: report {each.number} of lease {each.fence} is acknowledged, not committed")
        for lease in message.leases:
            if lease.fence > state.last_fence:
                self.report(f"I1: {worker} is granted lease {lease.fence}, which is not committed")

    def listens(self, worker: str, term: int, earlier: int) -> None:
        """A worker takes in what a server says, after it has heard one of a term before."""
        if term < earlier:
            self.report(f"I3: {worker} listens to term {term} after term {earlier}")

    # Files.

    def removes(self, location: CheckpointLocation) -> None:
        """The files of a checkpoint are removed."""
        state, place = self.database.state, (location.node, location.step, location.fence)
        node = state.nodes.get(location.node)
        if node is not None and location.fence in node.checkpoints.get(location.step, {}):
            self.report(f"I8: the files of {place} go, which is kept")
        for lease in state.leases.values():
            loads = lease.training and lease.start == place and lease.step == location.step
            if loads and place not in self.spoiled:
                self.report(f"I8: the files of {place} go, which lease {lease.fence} is to load")
        if location.fence in state.leases and place not in state.dropped:
            self.report(f"I8: the files of {place} go, whose lease still stands")

    def expect_all_whole(self) -> None:
        """I4: what is recorded is there, and is what it was."""
        for node, step, fence, digest in self._kept():
            self._expect_whole((node, step, fence), digest)

    def _kept(self) -> Iterator[tuple[int, int, int, str]]:
        for node in self.database.state.nodes.values():
            for step, fences in node.checkpoints.items():
                for fence, checkpoint in fences.items():
                    yield node.id, step, fence, checkpoint.digest

    def _expect_whole(self, place: Place, digest: str) -> None:
        """The files of a checkpoint are there, are those that were recorded, and hold the right state."""
        if place in self.spoiled:
            return
        assert self.world is not None
        node = self.database.state.nodes[place[0]]
        location = CheckpointLocation(plan=node.plan, node=node.id, step=place[1], fence=place[2])
        trouble, self.world.disk.trouble = self.world.disk.trouble, ""
        try:
            data = b"".join(piece for _, piece in self.world.storage.read(location, digest))
            model = read_state(data)
        except (HippoError, OSError, ValueError) as error:
            self.report(f"I4: the checkpoint {place} is recorded, and is not to be had: {error}")
            return
        finally:
            self.world.disk.trouble = trouble
        if model != self.model(node, place[1]):
            self.report(f"I9: the checkpoint {place} holds another state")

    def _expect_durable(self, place: Place) -> None:
        """Nothing of the checkpoint would go if the power were lost now."""
        assert self.world is not None
        if place in self.spoiled:
            return
        node = self.database.state.nodes[place[0]]
        location = CheckpointLocation(plan=node.plan, node=node.id, step=place[1], fence=place[2])
        folder: Any = self.world.files._root
        for part in ("database", *location.path.split("/")):
            inner = folder.durable.get(part)
            if not isinstance(inner, FolderNode):
                self.report(f"I4: the folder of {place} is recorded, and not durable")
                return
            folder = inner
        for name in (STATE_FILE, MANIFEST):
            found = folder.durable.get(name)
            if not isinstance(found, FileNode) or not found.durable:
                self.report(f"I4: {name} of {place} is recorded, and not durable")

    # What training alone gives.

    def model(self, node: Node, step: int) -> str:
        """The model at a step of a node, trained alone."""
        known = self._models.get((node.id, step))
        if known is not None:
            return known
        if step == 0:
            plan = self.database.state.plans[node.plan]
            study = self.database.state.studies[next(iter(plan.studies))]
            found = initial(study.spec.program.seed)
        elif step > node.start:
            found = next_state(self.model(node, step - 1), node.laws.values(step - 1))
        else:
            assert node.parent is not None
            found = self.model(node.parent, step)
        self._models[node.id, step] = found
        return found

    def _expected_metrics(self, node: Node, step: int) -> dict[str, float]:
        return {"accuracy": metric(self.model(node, step))}

    # Decisions.

    def restored(self, engine: Engine, known: list[Known], now: float) -> None:
        """An engine begins."""
        self._decisions[engine] = Decisions(known, now)

    def decided(self, engine: Engine, command: Command, now: float, outcome: object) -> None:
        """An engine has decided."""
        self._decisions[engine].taken.append((command, now, outcome))

    def removed(self, engine: Engine, done: tuple[RemoveCheckpoint, ...]) -> None:
        """An engine is told what is gone."""
        self._decisions[engine].taken.append((Removed(done), self.loop.now, None))

    def expect_same_decisions(self, settings: Any) -> None:
        """I6: the engine that decided most decides the same again."""
        if not self._decisions:
            return
        longest = max(self._decisions.values(), key=lambda each: len(each.taken))
        engine = Engine.restore(longest.known, settings, longest.now)
        for command, now, outcome in longest.taken:
            if isinstance(command, Removed):
                engine.removed(command.done)
                continue
            try:
                again: object = engine.handle(command, now).events
            except HippoError as error:
                again = type(error).__name__
            if again != outcome:
                self.report(f"I6: {command} came to {outcome}, and comes to {again}")
                return
