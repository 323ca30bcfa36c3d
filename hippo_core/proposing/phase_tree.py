"""The phase tree: from which state a trial goes on, and what is drawn for its next phase.

A search whose trials have phases (``hippo_core.policies.phase_levels``) makes its own sharing: what is trained to the
end of one phase is gone on from several times, with other draws for the next one. A trial is a node of a tree, on the
level of the phase that it is trained through, below the trial from whose end it goes on; those of the last level are
the results. A trial without a note, a person's, is a node on each level.

One more node:

1. Its level is the last one that has fewer nodes than the level above has known ones; where there is none it is a new
   trunk. So the levels have about equally many nodes, whatever their phases cost: with equally many steps there would
   be too few trunks, the dearest. And with many trials under way nothing is built on the first few that are known: what
   is under way counts on its own level, but not yet as a parent. The rung of a long first phase is a level, too, of
   which a third is to go on, the best, as in successive halving.
2. Its parent is the node above with the least ``rank * (children + 1)``, so that the best has twice as many children as
   the second, and three times as many as the third. Nodes are ranked by their probes where they are probed, else by
   their raw values; a node whose probe is under way is no parent yet.
3. For the phase, values are drawn from the model of the nodes on the level (``parzen``) over what is drawn for that
   phase alone: what is good there is much the same wherever it goes on from, and of fewer values a few nodes tell more.
   Of several draws the likeliest to be good is taken. The first few, and now and then one, are drawn evenly. Nodes that
   are under way are in the model as others, and count as children and as nodes. Of trunks those that came beyond the
   rung are better than the others, whatever they came to.

Values for the phases that follow are drawn evenly: nobody comes to them but by a child, whose values are its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np

from hippo_core.domains import Domain
from hippo_core.drawing import name_of
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.policies import PhaseTreeSpec
from hippo_core.policies.phase_levels import PER_KEPT, PhaseLevels, levels_of
from hippo_core.policies.phase_tree import AS_THEY_ARE
from hippo_core.policies.policy import Worth
from hippo_core.program import canonical_json
from hippo_core.proposing.draws import Point, generator
from hippo_core.proposing.parzen import TreeParzen
from hippo_core.space import Assignment
from hippo_core.values import Scalar

DIVERGED: Worth = (math.inf,)
"""Worse than all that came to something."""

FIRST = 8
"""How many nodes of a level are drawn evenly, before there is a model."""

EVENLY = 0.05
"""How likely a later one is, too."""

CANDIDATES = 24
"""How many draws the model chooses from."""

GOOD_SHARE = 0.25
"""How many nodes of a level are good, to the model: more than a tenth, as a level has few."""


@dataclass(slots=True)
class Node:
    """A trial at the end of a phase.

    Attributes:
        trial: Its number among those drawn.
        point: Its draws.
        parent: The trial from whose end it went on; None: there is none.
        score: What it came to; that of a node that diverged is ``DIVERGED``; None: not known, yet or ever.
        under_way: Whether it may come to be known.
        children: How many go on from it.
    """

    trial: int
    point: Assignment
    parent: int | None
    score: Worth | None
    under_way: bool
    children: int = 0

    @property
    def is_parent(self) -> bool:
        """Whether others can go on from it."""
        return self.score is not None and self.score != DIVERGED


def proposals(task: ProposalTask) -> Iterator[Point]:
    """The points that the phase tree proposes for a trial, one after the other, as long as none can be trained.

    None where the space is finite and all its points are trials to the end.
    """
    forest = Forest(task)
    for attempt in count():
        found = forest.grow(attempt)
        if found is None:
            return
        yield found


class Forest:
    """The tree, or trees, after a history.

    Args:
        task: The history.

    Attributes:
        levels: The phases.
        nodes: By level, in the order of the trials' numbers.
    """

    def __init__(self, task: ProposalTask) -> None:
        spec = task.spec
        assert isinstance(spec.policy, PhaseTreeSpec)
        assert spec.limit is not None
        self._task = task
        self._space = spec.space
        self._policy: PhaseTreeSpec = spec.policy
        self._factors = spec.policy.factors(spec.space)
        self.levels: PhaseLevels = levels_of(spec.space, spec.limit, spec.program.evaluate_every)
        self.nodes: list[list[Node]] = [[] for _ in self.levels.ends]
        by_trial: list[dict[int, Node]] = [{} for _ in self.levels.ends]
        for past in task.history:
            for level in self._levels_of(past):
                node = self._node(past, level)
                self.nodes[level].append(node)
                by_trial[level][past.trial] = node
                if node.parent is not None and node.parent in by_trial[level - 1]:
                    by_trial[level - 1][node.parent].children += 1
        self._tried = [
            {self._key(node.point, level) for node in nodes} for level, nodes in enumerate(self.nodes)
        ]

    def grow(self, attempt: int) -> Point | None:
        """A new node; None: all points of the space are trials to the end.

        Args:
            attempt: Counts those before, which cannot be trained.
        """
        stream = generator(self._task.spec.program.seed, self._task.trial, attempt, "phase tree")
        for level in self.open_levels():
            for rank, parent in self.parents(level):
                point, drawn = self._drawn(level, parent, stream, at_random=attempt > 0)
                if point is not None:
                    notes: dict[str, Any] = {"level": level, "step": self.levels.ends[level], "drawn": drawn}
                    if parent is not None:
                        of = sum(node.is_parent for node in self.nodes[level - 1])
                        notes |= {
                            "parent": parent.trial,
                            "rank": rank + 1,
                            "of": of,
                            "child": parent.children + 1,
                        }
                    return point, notes
        point = self._left(stream)
        notes = {"level": self.levels.last, "step": self.levels.ends[-1], "drawn": "evenly"}
        return None if point is None else (point, notes)

    def open_levels(self) -> list[int]:
        """The levels at which there may be a new node, in the order in which they are looked at."""
        ready = [level for level in range(1, len(self.nodes)) if self._known_parents(level)]
        wanting = [level for level in reversed(ready) if len(self.nodes[level]) < self._places(level)]
        return [*wanting, 0, *(level for level in ready if level not in wanting)]

    def _places(self, level: int) -> int:
        """How many nodes a level has place for: as many as are known above, or as are to go on from the rung."""
        if self.levels.is_rung(level - 1):
            return sum(node.score is not None for node in self.nodes[level - 1]) // PER_KEPT
        return self._known_parents(level)

    def _known_parents(self, level: int) -> int:
        return sum(node.is_parent for node in self.nodes[level - 1])

    def parents(self, level: int) -> list[tuple[int, Node | None]]:
        """From where a node of a level may go on, with ranks from 0, in the order in which it is to."""
        if not level:
            return [(0, None)]
        above = (node for node in self.nodes[level - 1] if node.is_parent)
        ranked = list(enumerate(sorted(above, key=lambda node: (node.score, node.trial))))
        ranked.sort(key=lambda each: (each[0] + 1) * (each[1].children + 1))
        return list(ranked)

    # What is drawn

    def _drawn(
        self, level: int, parent: Node | None, stream: np.random.Generator, *, at_random: bool
    ) -> tuple[dict[str, Scalar] | None, str]:
        """A point that nobody tried up to the end of a level, and how it came about; None: none was come upon."""
        kept = {} if parent is None else self._prefix(parent.point, level)
        if parent is not None and self.levels.is_rung(level - 1):
            return ({**parent.point} if self._is_new(parent.point, level) else None), AS_THEY_ARE
        known = self._known(level)
        if at_random or len(known) < FIRST or stream.random() < EVENLY:
            drawn = (self._evenly(kept, stream) for _ in range(CANDIDATES))
            return next((point for point in drawn if self._is_new(point, level)), None), "evenly"
        pending = [node.point for node in self.nodes[level] if node.score is None and node.under_way]
        names = self.levels.names[level] - kept.keys()
        model = TreeParzen(self._space, known, pending, names, GOOD_SHARE)
        found = [point for point in model.draw(stream, CANDIDATES, kept) if self._is_new(point, level)]
        return (found[int(model.score(found).argmax())] if found else None), "by the model"

    def _left(self, stream: np.random.Generator) -> dict[str, Scalar] | None:
        """A point that is no trial to the end, where each level is full; None: a finite space has no more."""
        identity = self._task.spec.identity
        tried = {identity(node.point) for node in self.nodes[-1]}
        drawn: Iterable[dict[str, Scalar]] = (self._evenly({}, stream) for _ in range(CANDIDATES))
        if self._space.unlistable() is None:
            drawn = chain(drawn, map(dict, self._space.assignments()))
        return next(
            (each for each in drawn if self._space.satisfied(each) and identity(each) not in tried), None
        )

    def _known(self, level: int) -> list[tuple[Assignment, tuple[int, Worth]]]:
        """The nodes of a level as the model sees them; of a rung, those beyond it are better than the others."""
        beyond: dict[int, Worth] = {}
        if self.levels.is_rung(level):
            for node in self.nodes[level + 1]:
                if node.score is not None:
                    beyond[node.trial if node.parent is None else node.parent] = node.score
        return [
            (node.point, (0, beyond[node.trial]) if node.trial in beyond else (1, node.score))
            for node in self.nodes[level]
            if node.score is not None
        ]

    def _evenly(self, kept: Assignment, stream: np.random.Generator) -> dict[str, Scalar]:
        def decide(domain: Domain) -> Scalar:
            name = name_of(domain)
            at = stream.random()
            return kept[name] if name in kept else domain.draw(at)

        return self._space.decide(decide)

    def _is_new(self, point: Assignment, level: int) -> bool:
        return self._space.satisfied(point) and self._key(point, level) not in self._tried[level]

    def _key(self, point: Assignment, level: int) -> str:
        return canonical_json(
            {name: drawn for name, drawn in point.items() if name in self.levels.names[level]}
        )

    def _prefix(self, point: Assignment, level: int) -> dict[str, Scalar]:
        """What is drawn for the phases before a level's."""
        early = self.levels.before(self._space, point, level)
        return {name: drawn for name, drawn in point.items() if name in early}

    # What is known

    def _levels_of(self, past: PastTrial) -> list[int]:
        """On which levels a trial is a node."""
        if not past.assignment and self._space.domains:
            return []  # it was drawn from another space
        if "level" in past.notes:
            own: int = past.notes["level"]
            is_result = own < self.levels.last and self.levels.ends[-1] in past.values
            return [own, self.levels.last] if is_result else [own]
        ends = enumerate(self.levels.ends)
        return [level for level, end in ends if end in past.values or past.state is not TrialState.STOPPED]

    def _node(self, past: PastTrial, level: int) -> Node:
        at = self.levels.ends[level]
        values, is_final = past.values.get(at), level == self.levels.last
        waits = values is None and past.state is TrialState.WAITING
        if (
            values is not None
            and not is_final
            and self._policy.is_probed(at, self.levels.ends[-1], self._factors)
        ):
            values, waits = past.probes.get(at), True
        score = None if values is None else self._task.spec.worth(values)
        if past.state is TrialState.DIVERGED and at not in past.values:
            score = DIVERGED
        parent = past.notes.get("parent") if level == past.notes.get("level") else None
        return Node(past.trial, past.assignment, parent, score, waits)
