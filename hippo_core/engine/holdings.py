"""What a plan keeps: its checkpoints, why each is kept, and what training it again would take.

Computed from the whole plan when it is asked for: where a budget is passed, a study has ended, or a user looks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from hippo_core.engine.best import best_by_horizon, best_trials, ranked_trials
from hippo_core.engine.partings import end_of_trunk
from hippo_core.engine.state import EngineState, PlanState
from hippo_core.engine.states import ENDED_STUDY_STATES, ENDED_TRIAL_STATES
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.lease import State
from hippo_core.plan import Node
from hippo_core.retention import Held, Need


@dataclass(slots=True, kw_only=True, eq=False)
class Holding:
    """A checkpoint that is kept.

    Attributes:
        plan: The plan's number.
        node: The node that trained the step before it.
        step: The state's step.
        fence: Whose it is.
        size_bytes: The sum of its files' sizes.
        ancestor: The nearest kept state before it, by its place among the plan's; None: step 0.
        steps: How many steps lie between.
        seconds: What training them takes, as far as it was measured.
        need: Why it is kept.
    """

    plan: int
    node: int
    step: int
    fence: int
    size_bytes: int
    ancestor: int | None
    steps: int
    seconds: float
    need: Need = Need.NOBODY

    @property
    def place(self) -> tuple[int, int, int]:
        """Which checkpoint it is."""
        return self.node, self.step, self.fence


class Holdings:
    """The checkpoints of a plan.

    Of a state that was saved twice the copy of the latest lease counts; any other is as good as nothing.

    Args:
        state: Read, not changed.
        plan: The plan.
    """

    def __init__(self, state: EngineState, plan: PlanState) -> None:
        self._state = state
        self._plan = plan
        self._steps: dict[int, list[int]] = {}  # by node: kept states, ascending
        self._newest: dict[State, Holding] = {}
        self._above: dict[int, State | None] = {}  # by node: the nearest kept state at its start
        self.all: list[Holding] = []
        self._lay_out()
        self._ask_users()
        for number in plan.studies:
            self._ask_study(state.studies[number])
        self._ask_leases()

    def need(self, state: State) -> Need:
        """Why a state is kept."""
        found = self._newest.get(state)
        return Need.NOBODY if found is None else found.need

    def held(self) -> list[Held]:
        """All of them, to be compared."""
        return [
            Held(ancestor=each.ancestor, seconds=each.seconds, size_bytes=each.size_bytes, need=each.need)
            for each in self.all
        ]

    def _lay_out(self) -> None:
        """Walks the trie with the nearest kept state in hand."""
        tree = self._plan.tree
        below: list[tuple[Node, int | None, State | None, int, float]] = [
            (root, None, None, 0, 0.0) for root in self._plan.plan.roots.values()
        ]
        while below:
            node, ancestor, above, steps, seconds = below.pop()
            rate = tree.costs.seconds_of(node)
            self._above[node.id] = above
            kept = sorted(node.checkpoints)
            if kept:
                self._steps[node.id] = kept
            marks = [(node.start, ancestor, above, steps, seconds)]
            for step in kept:
                at, ancestor, _, steps, seconds = marks[-1]
                index = self._add(node, step, ancestor, steps + step - at, seconds + (step - at) * rate)
                marks.append((step, index, (node.id, step), 0, 0.0))
            for child in node.offspring():
                at, ancestor, above, steps, seconds = marks[
                    bisect_right(marks, child.start, key=lambda mark: mark[0]) - 1
                ]
                apart = child.start - at
                below.append((child, ancestor, above, steps + apart, seconds + apart * rate))

    def _add(self, node: Node, step: int, ancestor: int | None, steps: int, seconds: float) -> int:
        """Notes the copies of a state; returns the place of the newest."""
        copies = node.checkpoints[step]
        newest = max(copies)
        index = len(self.all)
        for fence in sorted(copies, reverse=True):
            self.all.append(
                Holding(
                    plan=node.plan,
                    node=node.id,
                    step=step,
                    fence=fence,
                    size_bytes=copies[fence].size_bytes,
                    ancestor=ancestor if fence == newest else index,
                    steps=steps if fence == newest else 0,
                    seconds=seconds if fence == newest else 0.0,
                )
            )
        self._newest[node.id, step] = self.all[index]
        return index

    def _raise(self, state: State | None, need: Need) -> None:
        found = None if state is None else self._newest.get(state)
        if found is not None:
            found.need = max(found.need, need)

    def _nearest(self, node: Node, step: int) -> State | None:
        """The nearest kept state at or before a state of a path."""
        owner = node.owner(step) if step else node.root()
        steps = self._steps.get(owner.id, ())
        index = bisect_right(steps, step)
        return (owner.id, steps[index - 1]) if index else self._above[owner.id]

    def _ask_users(self) -> None:
        for pinned in self._state.pins:
            self._raise(pinned, Need.PINNED)

    def _ask_study(self, study: Study) -> None:
        ended = study.state in ENDED_STUDY_STATES
        if study.spec.keep.all:
            reach = reach_of(study)
            for number, steps in self._steps.items():
                for step in steps[: bisect_right(steps, reach.get(number, 0))]:
                    self._raise((number, step), Need.KEPT)
        if not ended:
            for boundary in study.boundaries:
                self._raise(boundary, Need.FORK)
        for trial in study.branches():
            if trial.target is not None and trial.node is not None:
                self._raise(self._nearest(trial.node, trial.target), Need.FORK if ended else Need.WAITED)
            if trial.reached_node is None or trial.probe:
                continue
            end = self._nearest(trial.reached_node, trial.reached)
            if study.spec.keep.ends:
                self._raise(end, Need.KEPT)
            rests = not ended and trial.state not in ENDED_TRIAL_STATES
            self._raise(end, Need.FORK if rests else Need.END)
            if rests:
                self._raise(trial.parting, Need.FORK)
            trunk = end_of_trunk(study, trial, trial.reached_node, trial.reached)
            self._raise(trunk, Need.END if ended else Need.FORK)
        self._ask_best(study)

    def _ask_best(self, study: Study) -> None:
        best = dict.fromkeys(chain(best_trials(study), *best_by_horizon(study).values()))
        for trial in best:
            for member in study.members(trial.number):
                for state in self._on_the_way(member):
                    self._raise(state, Need.BEST)
        more = study.spec.keep.best
        if best and more is not None and more > 1:
            best.update(dict.fromkeys(ranked_trials(study)[:more]))
        for trial in best:
            for member in study.members(trial.number):
                if member.reached_node is not None:
                    self._raise(self._nearest(member.reached_node, member.reached), Need.KEPT)

    def _on_the_way(self, trial: Trial) -> Iterator[State]:
        step = trial.reached
        for node in () if trial.reached_node is None else trial.reached_node.ancestry():
            steps = self._steps.get(node.id, [])
            yield from ((node.id, each) for each in steps[: bisect_right(steps, step)])
            step = node.start

    def _ask_leases(self) -> None:
        """What paths start from, and would go back to; what ready ones would start from."""
        nodes = self._state.nodes
        for node, found in self._plan.tree.steps_to_run():
            if found.base > node.start:
                self._raise((node.id, found.base), Need.WAITED)
            elif node.parent is not None:
                self._raise((node.parent.id, node.start), Need.WAITED)
        starts = set()
        for lease in self._state.leases.values():
            if lease.plan != self._plan.id:
                continue
            if lease.start is not None:
                starts.add(lease.start)
                self._raise(lease.start[:2], Need.WAITED)
            reached = lease.reached
            if lease.training and reached is not None:
                self._raise(self._nearest(nodes[reached[0]], reached[1]), Need.WAITED)
        if starts:
            for each in self.all:
                if each.place in starts:
                    each.need = Need.LEASED


def reach_of(study: Study) -> dict[int, int]:
    """By node: up to which step a study's trials, their repeats and probes go there."""
    found: dict[int, int] = {}
    for trial in study.branches():
        step = max(trial.target or 0, trial.reached)
        for node in () if trial.leaf is None else trial.leaf.ancestry():
            if found.get(node.id, 0) >= step:
                break
            found[node.id] = step
            step = node.start
    return found
