"""ASHA on the trie of a finite space: what is compared and promoted is prefixes, not trials.

After L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), algorithm 2, whose promotion
rule is applied to the nodes of the trie (``hippo_core.proposing.trie``): of the n nodes that are known at a rung the
best n / eta are *open*. The next job is the deepest node that is not begun and whose parent is open, of the best parent
first; else the next root. When all roots are begun, the share that is open is doubled, as often as it takes: a good
slow prefix is not dropped for ever, and the search ends when all points have come to their end.

Which root, and which child of a parent, is said by a tree-structured Parzen estimator of what is known, the deepest
rung first (``hippo_core.proposing.parzen``). Where nothing is known of what is left, nodes below ones that are still
being trained are begun, so that no slot idles.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.policies.policy import Worth
from hippo_core.policies.trie_asha import TrieAshaSpec
from hippo_core.proposing.draws import Exhausted, Point, generator
from hippo_core.proposing.parzen import TreeParzen
from hippo_core.proposing.trie import Node, Trie, trie_of

#: Fewer points are no model: roots and children are taken by chance.
LEAST_KNOWN = 8
NO_GOOD: Worth = (math.inf,)
#: Of more points so many are looked at, by chance.
MOST_SCORED = 2000


@dataclass(frozen=True, slots=True)
class Job:
    """A node to be trained, and why."""

    node: Node
    parent: Node | None = None
    rank: int = 0  #: of the parent at its rung, from 1; 0: it is not known yet
    known: int = 0  #: how many nodes are known there
    open: int = 0  #: how many of them may go on


def proposal(task: ProposalTask) -> Point | Exhausted:
    """The point that trie ASHA proposes for a trial, as long as one is not trained to its end or on its way there."""
    search = Search(task)
    job = search.next_job()
    if job is None:
        return Exhausted(len(search.trie.leaves))
    leaf = search.leaf_for(job.node)
    notes: dict[str, Any] = {"step": search.trie.rungs[job.node[0]]}
    if job.parent is not None:
        parent = search.trial_at[job.parent]
        notes |= {"parent": parent, "rank": job.rank, "known": job.known, "open": job.open}
    return dict(search.trie.leaves[leaf]), notes


@dataclass(slots=True)
class Search:
    """What is known of the trie's nodes after a history."""

    task: ProposalTask
    trie: Trie = field(init=False)
    values: dict[Node, Worth] = field(
        init=False, default_factory=dict
    )  #: less is better; ``NO_GOOD``: it failed
    trial_at: dict[Node, int] = field(init=False, default_factory=dict)  #: which trial began it first
    used: dict[int, None] = field(init=False, default_factory=dict)  #: leaves that are points of trials
    data: list[tuple[int, tuple[int, Worth]]] = field(init=False, default_factory=list)
    pending: list[int] = field(init=False, default_factory=list)
    _eta: int = field(init=False)
    _chances: np.ndarray[Any, Any] = field(init=False)
    _model: TreeParzen | None = field(init=False)

    def __post_init__(self) -> None:
        """Reads the history."""
        policy = self.task.spec.policy
        assert isinstance(policy, TrieAshaSpec)
        self._eta = policy.reduction_factor
        self.trie = trie_of(self.task.spec, policy.min_steps, policy.reduction_factor)
        for past in self.task.history:
            leaf = self.trie.leaf_of(past.assignment) if past.assignment else None
            if leaf is not None:
                self._note(past, leaf)
        stream = generator(self.task.spec.program.seed, self.task.trial, "trie")
        self._chances = stream.random(len(self.trie.leaves))
        self._model = self._model_of()

    def next_job(self) -> Job | None:
        """The node to be trained next."""
        share = 1
        while True:
            found, whole = self._promotion(share)
            if found is not None:
                return found
            root = self._first(node for node in self.trie.roots if node not in self.trial_at)
            if root is not None:
                return Job(root)
            if whole:
                return self._ahead()
            share *= 2

    def leaf_for(self, node: Node) -> int:
        """The point with which a node is trained: one that is no trial yet, as long as there is one."""
        below = self.trie.below[node]
        fresh = [leaf for leaf in below if leaf not in self.used]
        return self._best(fresh or below)

    def _note(self, past: PastTrial, leaf: int) -> None:
        rungs, path = self.trie.rungs, self.trie.paths[leaf]
        goal = max(past.notes.get("step", rungs[0]), max(past.values, default=0))
        self.used[leaf] = None
        deepest: tuple[int, Worth] | None = None
        for level, (rung, number) in enumerate(zip(rungs, path, strict=True)):
            if rung > goal:
                break
            node = (level, number)
            self.trial_at.setdefault(node, past.trial)
            if rung in past.values:
                self.values[node] = self.task.spec.worth(past.values[rung])
            elif past.state is TrialState.FAILED or (
                past.state is TrialState.DIVERGED and rung >= past.reached
            ):
                self.values.setdefault(node, NO_GOOD)
            if node in self.values:
                deepest = -level, self.values[node]
        if deepest is not None:
            self.data.append((leaf, deepest))
        elif past.state is TrialState.WAITING:
            self.pending.append(leaf)

    def _promotion(self, share: int) -> tuple[Job | None, bool]:
        """The deepest node below one of the open ones; and whether all are open that are known."""
        whole = True
        for level in reversed(range(len(self.trie.rungs) - 1)):
            ranked = sorted((value, node) for node, value in self.values.items() if node[0] == level)
            quota = min(len(ranked), len(ranked) * share // self._eta)
            whole = whole and quota == len(ranked)
            for place, (value, parent) in enumerate(ranked[:quota]):
                child = self._child(parent) if value < NO_GOOD else None
                if child is not None:
                    return Job(child, parent, place + 1, len(ranked), quota), False
        return None, whole

    def _ahead(self) -> Job | None:
        """A node below one that is still being trained, the deepest first: else a slot would idle."""
        for level in reversed(range(len(self.trie.rungs) - 1)):
            waiting = sorted(node for node in self.trial_at if node[0] == level and node not in self.values)
            children = {child: node for node in waiting if (child := self._child(node)) is not None}
            child = self._first(children)
            if child is not None:
                return Job(child, children[child])
        return None

    def _child(self, parent: Node) -> Node | None:
        return self._first(node for node in self.trie.children[parent] if node not in self.trial_at)

    def _first(self, nodes: Iterable[Node]) -> Node | None:
        """The node one of whose points is the best below all of them."""
        found = list(nodes)
        if not found:
            return None
        level = found[0][0]
        leaf = self._best([leaf for node in found for leaf in self.trie.below[node]])
        return level, self.trie.paths[leaf][level]

    def _best(self, leaves: Sequence[int]) -> int:
        """The point of which most is to be expected; among equals as the seed and the trial's number have it."""
        chosen = np.asarray(leaves)
        chance = self._chances[chosen]
        if len(chosen) > MOST_SCORED:
            looked_at = np.argpartition(chance, MOST_SCORED)[:MOST_SCORED]
            chosen, chance = chosen[looked_at], chance[looked_at]
        if self._model is None:
            return int(chosen[chance.argmin()])
        scores = self._model.score([self.trie.leaves[leaf] for leaf in chosen])
        return int(chosen[np.lexsort((chance, -scores))[0]])

    def _model_of(self) -> TreeParzen | None:
        if len(self.data) < LEAST_KNOWN:
            return None
        leaves = self.trie.leaves
        data = [(leaves[leaf], known) for leaf, known in self.data]
        return TreeParzen(self.task.spec.space, data, [leaves[leaf] for leaf in self.pending])
