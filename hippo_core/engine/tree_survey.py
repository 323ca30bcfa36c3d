"""What of a study goes through each node of its plan, gathered some trials at a time, and which nodes to show.

Whoever shows a large study lets the engine decide between two parts. Each trial is then counted where it was when it
was looked at; the nodes that are known are a part of the plan that is connected to its roots at any time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import progress
from hippo_core.engine.lookup import find_study
from hippo_core.engine.probe_views import own_stretches
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.engine.trial_paths import walk
from hippo_core.engine.trial_views import shown_state
from hippo_core.errors import NotFound
from hippo_core.plan import Node
from hippo_core.repeats import trial_of
from hippo_core.tree import StageTree
from hippo_core.tree_node import Folded


@dataclass(slots=True)
class Traffic:
    """What of a study goes through a node."""

    node: Node
    stop: int = 0
    trials: list[int] = field(default_factory=list)
    ending: list[int] = field(default_factory=list)
    ends: dict[tuple[int, str], int] = field(default_factory=dict)
    probes: list[int] = field(default_factory=list)
    came: int = 0  #: steps that its trials came to, each counted for itself
    furthest: int = 0
    below: int = 0  #: nodes of the study that hang on it


class TreeSurvey:
    """Gathers what goes through the nodes of a study.

    Args:
        project: Whose study it is.
        name: Its name.
    """

    def __init__(self, project: str, name: str) -> None:
        self._project = project
        self._name = name
        self._of: tuple[int, int] | None = None
        self._next = 0
        self._longest = 0.0
        self._critical: int | None = None
        self.traffic: dict[int, Traffic] = {}

    def study(self, engine: Engine) -> Study:
        """The study that is looked at."""
        return find_study(engine.state, self._project, self._name)

    def go_on(self, engine: Engine, count: int) -> bool:
        """Looks at the next trials, at most so many; tells whether there are more."""
        study = self.study(engine)
        if self._of != (
            study.id,
            study.plan,
        ):  # its trials lie in another plan than those that were looked at
            self._of = (study.id, study.plan)
            self._next, self._longest, self._critical, self.traffic = 0, 0.0, None, {}
        stop = min(self._next + count, len(study.trials))
        tree = engine.state.plans[study.plan].tree
        for number in range(self._next, stop):
            for member in study.members(number):
                self._add(engine.state, study, tree, member)
        self._next = stop
        if stop < len(study.trials):
            return True
        for probe in sorted(study.probes.values(), key=lambda each: (trial_of(each.number), each.number)):
            self._add_probe(probe)
        return False

    def critical(self, engine: Engine) -> frozenset[int]:
        """The nodes with something left to train on the longest way that any trial has to go."""
        if self._critical is None:
            return frozenset()
        trial = self.study(engine).member(self._critical)
        stretches = walk(trial, trial.target) if trial.target is not None else ()
        return frozenset(node.id for node, start, stop in stretches if stop > max(start, node.trained))

    def largest(
        self, engine: Engine, limit: int, root: int | None = None
    ) -> tuple[frozenset[int], Mapping[int, Folded]]:
        """A part of the study's nodes that is connected to its roots, and what was left out.

        What is being trained comes first, with all above it, then whatever most trials go through.

        Args:
            engine: Read.
            limit: How many nodes at most, beyond what is being trained.
            root: From which node on; None: all.

        Returns:
            The part, and what hangs on each of its nodes that was left out.

        Raises:
            NotFound: There is no such root.
        """
        kept = self._running(engine, root)
        waiting = [self._place(each) for each in (self._roots() if root is None else (self.require(root),))]
        heapq.heapify(waiting)
        while waiting and len(kept) < limit:
            number = heapq.heappop(waiting)[2]
            kept.add(number)
            for child in self.traffic[number].node.offspring():
                if child.id in self.traffic:
                    heapq.heappush(waiting, self._place(self.traffic[child.id]))
        return frozenset(kept), self._folded(kept)

    def require(self, number: int) -> Traffic:
        """What goes through a node.

        Raises:
            NotFound: It is none of the study's.
        """
        found = self.traffic.get(number)
        if found is None:
            raise NotFound(
                f"the study's tree has no node {number}.", "The whole tree shows those that it has."
            )
        return found

    def in_order(self, numbers: Iterable[int]) -> list[int]:
        """Nodes of the study, parents before children."""
        return sorted(numbers, key=lambda number: (self.traffic[number].node.start, number))

    def path(self, number: int) -> Iterable[int]:
        """The nodes of the study from one up to its root."""
        node: Node | None = self.require(number).node
        while node is not None and node.id in self.traffic:
            yield node.id
            node = node.parent

    def _roots(self) -> Iterable[Traffic]:
        for each in self.traffic.values():
            parent = each.node.parent
            if parent is None or parent.id not in self.traffic:
                yield each

    def _running(self, engine: Engine, root: int | None) -> set[int]:
        """The nodes that are being trained, and those above them."""
        kept: set[int] = set()
        for lease in engine.state.leases.values():
            if lease.training:
                number = lease.next_node
                there = self.traffic.get(number)
                if there is not None and there.node.trained < there.stop:
                    path = list(self.path(number))
                    if root is None:
                        kept.update(path)
                    elif root in path:
                        kept.update(path[: path.index(root) + 1])
        return kept

    def _folded(self, kept: set[int]) -> dict[int, Folded]:
        nodes = {number: self.traffic[number].below for number in kept}
        trials = {
            number: len(self.traffic[number].trials) - len(self.traffic[number].ending) for number in kept
        }
        for number in kept:
            there = self.traffic[number]
            if there.node.parent is not None and there.node.parent.id in kept:
                nodes[there.node.parent.id] -= 1 + there.below
                trials[there.node.parent.id] -= len(there.trials)
        return {number: Folded(count, trials[number]) for number, count in nodes.items() if count}

    @staticmethod
    def _place(there: Traffic) -> tuple[int, int, int]:
        return -len(there.trials), there.node.start, there.node.id

    def _add(self, state: EngineState, study: Study, tree: StageTree, trial: Trial) -> None:
        number, reached = trial_of(trial.number), progress(trial)
        target, traffic = trial.target, self.traffic
        step = stop = target or trial.reached
        # The step in which a trial failed may be the first one of a node, which then has none of its steps.
        failed = target is None and trial.state is TrialState.FAILED
        node, last, front = trial.leaf, None, None
        new, left = 0, 0.0
        while node is not None:
            start = node.start
            if start < stop or (failed and last is None and start == stop):
                there = traffic.get(node.id)
                if there is None:
                    there = traffic[node.id] = Traffic(node)
                    there.below = new
                    new += 1
                elif new:
                    there.below += new
                there.trials.append(number)
                if there.stop < stop:
                    there.stop = stop
                here = stop if stop < reached else reached
                if here > start:
                    there.came += here - start
                if there.furthest < here:
                    there.furthest = here
                if last is None:
                    last = there
                if target is not None and stop > node.trained:
                    left += (stop - max(start, node.trained)) * tree.costs.seconds_of(node)
                    if start <= reached < stop:
                        front = node
                stop = start
            node = node.parent
        if last is not None:
            last.ending.append(number)
            place = (step, self._shown(state, study, tree, trial, front, reached).value)
            last.ends[place] = last.ends.get(place, 0) + 1
        if left > self._longest:
            self._longest, self._critical = left, trial.number

    @staticmethod
    def _shown(
        state: EngineState, study: Study, tree: StageTree, trial: Trial, front: Node | None, reached: int
    ) -> TrialState:
        """A trial's state as ``shown_state`` has it, given the node that trains its next step."""
        if study.repeats:
            return shown_state(state, study, study.trials[trial_of(trial.number)])
        leases = () if front is None else tree.leases.get(front.id, {}).values()
        running = front is not None and any(lease.will_reach(front.id, reached + 1) for lease in leases)
        return TrialState.RUNNING if running else trial.state

    def _add_probe(self, probe: Trial) -> None:
        for node, _, stop in own_stretches(probe, probe.target or probe.reached):
            there = self.traffic.get(node.id)
            if there is None:
                there = self.traffic[node.id] = Traffic(node)
                for above in node.ancestry():
                    if above is not node and above.id in self.traffic:
                        self.traffic[above.id].below += 1
            there.stop = max(there.stop, stop)
            there.probes.append(trial_of(probe.number))
