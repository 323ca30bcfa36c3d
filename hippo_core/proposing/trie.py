"""The trie of a finite space: the distinct prefixes of its points at some steps, the rungs.

A node at a rung is what all points below it have in common: the values of the steps up to there. It is trained once,
however many points go on from it. Points that are one and the same are one leaf.

Rungs are those of a ladder, and steps at which points part: what is known just before a choice is what the choice is
made by. A step at which points part is a rung where it is far enough from the others, those first at which most part.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

from hippo_core.distinct import identity
from hippo_core.errors import InvalidStudy
from hippo_core.policies.ladder import rungs as ladder_of
from hippo_core.program import canonical_json
from hippo_core.sequence import Sequence
from hippo_core.space import Assignment
from hippo_core.study import StudySpec
from hippo_core.values import Scalar

#: A step at which points part is a rung where each other rung is at least so many times as far, or as near.
APART = 1.4
#: So many tries are remembered by a process.
REMEMBERED = 4

Node = tuple[int, int]
"""Level and number: the rung's place, and which prefix it is there, in the order of the points."""


@dataclass(frozen=True)
class Trie:
    """The prefixes of a space's points.

    Attributes:
        rungs: The steps, the last one the end of all trials.
        leaves: The points, without copies, in the order of the space.
        paths: By leaf, the number of its prefix at each rung.
        known: The leaf of each assignment, copies among them.
    """

    rungs: tuple[int, ...]
    leaves: tuple[dict[str, Scalar], ...]
    paths: tuple[tuple[int, ...], ...]
    known: dict[Hashable, int]

    @cached_property
    def below(self) -> dict[Node, list[int]]:
        """By node: the leaves that go through it, in order."""
        found: dict[Node, list[int]] = {}
        for leaf, path in enumerate(self.paths):
            for node in enumerate(path):
                found.setdefault(node, []).append(leaf)
        return found

    @cached_property
    def children(self) -> dict[Node, list[Node]]:
        """By node: the nodes that follow it at the next rung, in order."""
        found: dict[Node, dict[Node, None]] = {}
        for path in self.paths:
            for level in range(len(path) - 1):
                found.setdefault((level, path[level]), {})[level + 1, path[level + 1]] = None
        return {node: list(each) for node, each in found.items()}

    @cached_property
    def roots(self) -> list[Node]:
        """The nodes at the first rung."""
        return list(dict.fromkeys((0, path[0]) for path in self.paths))

    def leaf_of(self, assignment: Assignment) -> int | None:
        """The leaf that a point is; None: it cannot be trained."""
        return self.known.get(tuple(sorted(assignment.items())))


_tries: dict[str, Trie] = {}


def trie_of(spec: StudySpec, min_steps: int, reduction_factor: int) -> Trie:
    """The trie of a study's space, which is finite; remembered, since a proposal is asked for after another."""
    limit, every = spec.limit, spec.program.evaluate_every
    assert limit is not None
    key = canonical_json([spec.space.to_json(), limit, every, min_steps, reduction_factor])
    if key not in _tries:
        while len(_tries) >= REMEMBERED:
            del _tries[next(iter(_tries))]
        _tries[key] = _made(spec, limit, ladder_of(min_steps, reduction_factor, limit, every))
    return _tries[key]


def _made(spec: StudySpec, limit: int, ladder: tuple[int, ...]) -> Trie:
    leaves: list[dict[str, Scalar]] = []
    sequences: list[Sequence] = []
    known: dict[Hashable, int] = {}
    numbers: dict[Hashable, int] = {}
    right = spec.space.always_valid() and isinstance(spec.max_steps, int)  # else some cannot be trained
    for assignment in spec.space.assignments():
        try:
            point = assignment if right else spec.checked_point(assignment)
        except InvalidStudy:
            continue
        sequence = spec.sequence(point)
        number = numbers.setdefault(identity(sequence, limit), len(leaves))
        known[tuple(sorted(point.items()))] = number
        if number == len(leaves):
            leaves.append(point)
            sequences.append(sequence)
    rungs = _with_partings(ladder, sequences, spec.program.evaluate_every)
    levels: list[dict[Hashable, int]] = [{} for _ in rungs]
    paths = tuple(
        tuple(
            level.setdefault(identity(sequence, rung), len(level))
            for level, rung in zip(levels, rungs, strict=True)
        )
        for sequence in sequences
    )
    return Trie(rungs, tuple(leaves), paths, known)


def _with_partings(ladder: tuple[int, ...], sequences: Iterable[Sequence], every: int) -> tuple[int, ...]:
    """A ladder with the steps at which points part that are far enough from other rungs."""
    parted: dict[int, set[Hashable]] = {}
    for sequence in sequences:
        for start in sequence.starts:
            if ladder[0] < start < ladder[-1]:
                parted.setdefault(start, set()).add(identity(sequence, start + 1))
    found = list(ladder)
    for start in sorted(parted, key=lambda each: (-len(parted[each]), each)):
        rung = start // every * every
        if rung > ladder[0] and all(max(rung, each) >= APART * min(rung, each) for each in found):
            found.append(rung)
    return tuple(sorted(found))
