"""The search plan: a radix trie over values that holds all sequences of one program in one environment.

A node carries the laws in force from its start step on. It has no end: laws can be evaluated for ever, and a trial
leaves a node at the first step whose values differ from them. Children are keyed by (start step, values there), so
that a trial walks the trie by value, however its schedules were written.

A trial that is trained for ``stop`` steps has its place in the node that holds step ``stop - 1``. The state at step
``s`` belongs to the node that trains step ``s - 1``; the state at step 0 belongs to none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Reversible
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from hippo_core.few_children import MOST, Few
from hippo_core.sequence import Laws, Sequence
from hippo_core.series import Metrics as Metrics
from hippo_core.series import Series
from hippo_core.sole import Single, Sole, SoleRequest
from hippo_core.values import ValueKey

if TYPE_CHECKING:
    from hippo_core.stage_ranges import Outlook

Waiting = dict[tuple[int, int], int]
"""Open (study, trial), each with how many steps beyond somebody of its study is sure to be trained."""

_NOTHING: Mapping[Any, Any] = MappingProxyType({})
"""Stands for what a node has none of: most nodes have no children, requests, or checkpoints, and there are many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A durable state: who wrote it, and how large it is."""

    fence: int
    size_bytes: int
    digest: str


@dataclass(slots=True, kw_only=True, eq=False)
class Failures:
    """How often training of a node failed, by class, since a state beyond was saved."""

    step: int  #: the furthest step at which it failed
    counts: dict[str, int] = field(default_factory=dict)
    message: str = ""  #: of the latest one
    deaths: dict[str, int] = field(
        default_factory=dict
    )  #: by worker that died: the step, none committed since


@dataclass(slots=True, eq=False, init=False)
class Node:
    """A stretch of training that all trials below it share. What it maps is changed by its methods alone."""

    id: int
    plan: int
    parent: Node | None
    start: int  #: the first step that it trains
    laws: Laws
    key: ValueKey  #: the values at ``start``
    children: Mapping[tuple[int, ValueKey], Node]
    trained: int  #: the state that was reached first here; ``start`` where nothing is trained
    metrics: Mapping[int, Metrics]  #: by state, evaluated ones only
    training: Mapping[int, Metrics]  #: what train() returned, by state
    checkpoints: Mapping[int, Mapping[int, Checkpoint]]  #: by state, then fence
    requests: Mapping[int, Mapping[tuple[int, int], int]]  #: ``Waiting`` by step
    open: Mapping[int, int]  #: by study: open requests here and below
    not_reproducible: bool
    failures: Failures | None
    seconds: float  #: slot seconds of all training here
    steps: int  #: completions of all training here
    outlook: Outlook | None  #: what its plan's stage tree says of it; None: nothing of it is needed

    def __init__(
        self, id: int, plan: int, parent: Node | None, start: int, laws: Laws, key: ValueKey
    ) -> None:
        self.id = id
        self.plan = plan
        self.parent = parent
        self.start = self.trained = start
        self.laws = laws
        self.key = key
        self.children = self.metrics = self.training = _NOTHING
        self.checkpoints = self.requests = self.open = _NOTHING
        self.not_reproducible = False
        self.failures = self.outlook = None
        self.seconds = 0.0
        self.steps = 0

    @property
    def nonfinite(self) -> tuple[int, ...]:
        """The states with a metric that is not finite, in order."""
        metrics = self.metrics
        return metrics.nonfinite if isinstance(metrics, Series) else ()

    def adopt(self, child: Node) -> None:
        """A node begins where others leave this one."""
        children = self.children
        if not children:
            self.children = Few(child)
        elif type(children) is Few and len(children.nodes) < MOST:  # isinstance takes long of a Mapping
            self.children = Few(*children.nodes, child)
        else:
            _owned(self, "children")[child.start, child.key] = child

    def offspring(self) -> Iterable[Node]:
        """The nodes that begin where others leave this one, in the order in which they came."""
        children = self.children
        return children.nodes if type(children) is Few else children.values()

    def child(self, start: int, key: ValueKey) -> Node | None:
        """The node that begins at a step with these values."""
        children = self.children
        if type(children) is not Few:
            found: Node | None = children.get((start, key))
            return found
        few: tuple[Node, ...] = children.nodes
        for node in few:
            if node.start == start and node.key == key:
                return node
        return None

    def record(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """A state was evaluated."""
        if not isinstance(self.metrics, Series):
            self.metrics = Series()
        self.metrics.record(step, metrics)

    def record_training(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """The step before a state gave metrics of its training."""
        if not isinstance(self.training, Series):
            self.training = Series()
        self.training.record(step, metrics)

    def know(self, metrics: Series, training: Series) -> None:
        """All that was measured, of a node of which nothing is known yet."""
        if metrics:
            self.metrics = metrics
        if training:
            self.training = training

    def keep(self, step: int, kept: Checkpoint) -> Checkpoint | None:
        """A checkpoint is there; returns the one of its writer whose place it takes."""
        if not self.checkpoints:
            self.checkpoints = Sole(step, kept.fence, kept)
            return None
        copies: dict[int, Checkpoint] = _owned(self, "checkpoints").setdefault(step, {})
        earlier = copies.get(kept.fence)
        copies[kept.fence] = kept
        return earlier

    def let_go(self, step: int, fence: int) -> Checkpoint | None:
        """A checkpoint is there no more; returns it, if it was."""
        if step not in self.checkpoints:
            return None
        checkpoints = _owned(self, "checkpoints")
        gone: Checkpoint | None = checkpoints[step].pop(fence, None)
        if not checkpoints[step]:
            del checkpoints[step]
        if not checkpoints:
            self.checkpoints = _NOTHING
        return gone

    def ask(self, step: int, study: int, trial: int, beyond: int) -> None:
        """A trial needs a state of this node; ``beyond`` as in ``Waiting``."""
        if self.requests:
            _owned(self, "requests").setdefault(step, {})[study, trial] = beyond
        else:
            self.requests = SoleRequest(step, study, trial, beyond)
        self._count(study, 1)

    def ask_no_more(self, step: int, study: int, trial: int) -> None:
        """A trial needs a state no more."""
        requests = _owned(self, "requests")
        del requests[step][study, trial]
        if not requests[step]:
            del requests[step]
        if not requests:
            self.requests = _NOTHING
        self._count(study, -1)

    def _count(self, study: int, more: int) -> None:
        """Counts a study's open requests here, and in all nodes above."""
        node: Node | None = self
        while node is not None:
            counts = node.open
            count = counts.get(study, 0) + more
            assert count >= 0, f"node {node.id} has no open request of study {study}"
            if len(counts) == (study in counts):  # nobody else's, nearly always
                node.open = _count_of_one(study, count) if count else _NOTHING
            else:
                node.open = _counted({**counts, study: count})
            node = node.parent

    def path(self) -> list[Node]:
        """The nodes from the root to this one."""
        nodes = list(self.ancestry())
        nodes.reverse()
        return nodes

    def ancestry(self) -> Iterator[Node]:
        """This node, its parent, and so on to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def root(self) -> Node:
        """The node of step 0."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node

    def furthest(self, most: int) -> dict[int, int]:
        """By study: the furthest state of this node that an open request of it needs; from ``most`` on, ``most``.

        Of a node that many leave only a few are looked at, as long as the last of them wait.
        """
        found: dict[int, int] = {}
        for step, waiting in self.requests.items():
            for study, _ in waiting:
                found[study] = max(found.get(study, 0), min(step, most))
        known = sum([step == most for step in found.values()])
        for child in reversed(cast("Reversible[Node]", self.offspring())):
            if known == len(self.open):
                break
            for study in child.open:
                before, step = found.get(study, 0), min(child.start, most)
                if step > before:
                    found[study] = step
                    known += step == most
        return found

    def owner(self, step: int) -> Node:
        """The node on this one's path that owns the state at ``step``, of 1 or more."""
        node = self
        while node.start >= step:
            if node.parent is None:
                raise ValueError(f"no node owns the state at step {step}")
            node = node.parent
        return node


def _owned(node: Node, name: str) -> dict[Any, Any]:
    """What a node maps by that name, to be changed."""
    found: Any = getattr(node, name)
    if found is _NOTHING:
        found = {}
        setattr(node, name, found)
    elif isinstance(found, Single):
        found = found.several()
        setattr(node, name, found)
    elif isinstance(found, Few):
        found = dict(found)
        setattr(node, name, found)
    return found  # type: ignore[no-any-return]


def _counted(counts: Mapping[int, int]) -> Mapping[int, int]:
    """Counts without those of zero; equal ones are one object as a rule, as most nodes have few of them."""
    return _interned_counts(tuple([each for each in counts.items() if each[1]]))


@lru_cache(maxsize=4096)
def _count_of_one(study: int, count: int) -> Mapping[int, int]:
    return {study: count}


@lru_cache(maxsize=4096)
def _interned_counts(counts: tuple[tuple[int, int], ...]) -> Mapping[int, int]:
    return dict(counts)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sequence of some length lies: below ``node``, after the ``missing`` nodes have been added in order."""

    node: Node | None
    missing: tuple[tuple[int, Laws], ...]


class Plan:
    """All sequences of one program in one environment.

    Args:
        plan: The plan's number.
        numbered: Nodes by number, those of other plans too, to be added to; None: of this plan alone.
    """

    __slots__ = ("id", "nodes", "numbered", "roots")

    def __init__(self, plan: int, numbered: dict[int, Node] | None = None) -> None:
        self.id = plan
        self.roots: dict[ValueKey, Node] = {}
        self.nodes: list[Node] = []  # its own, a parent before its children
        self.numbered: dict[int, Node] = {} if numbered is None else numbered

    def locate(self, sequence: Sequence, stop: int, start: Node | None = None, known: int = 0) -> Place:
        """Finds the place of the first ``stop`` steps of a sequence.

        Args:
            sequence: The trial's schedules.
            stop: How many steps, at least 1.
            start: A node known to be on the sequence's path, where the walk may begin; None: the root.
            known: Up to which step the sequence is known to stay in that node.

        Returns:
            The place. It changes nothing; ``add`` adds what is missing.
        """
        node = start if start is not None else self.roots.get(sequence.key(0))
        if node is None:
            return Place(None, _missing(sequence, 0, stop))
        node, leave = self.descend(node, sequence, stop, known)
        return Place(node, () if leave is None else _missing(sequence, leave, stop))

    def descend(self, node: Node, sequence: Sequence, stop: int, known: int = 0) -> tuple[Node, int | None]:
        """Follows the first ``stop`` steps of a sequence from a node on its path as far as there are nodes.

        Args:
            node: The node.
            sequence: The trial's schedules.
            stop: How many steps.
            known: Up to which step the sequence is known to stay in the node.

        Returns:
            The last node, and the step at which the sequence leaves it for one that is not there; None: it does not.
        """
        while True:
            leave = sequence.first_difference(node.laws, max(node.start + 1, known), stop)
            child = None if leave is None else node.child(leave, sequence.key(leave))
            if child is None:
                return node, leave
            node = child

    def apart(self, sequence: Sequence, stop: int) -> Place:
        """A place of its own for the first ``stop`` steps of a sequence, whatever others have in common with it."""
        return Place(None, _missing(sequence, 0, stop))

    def add(self, number: int, parent: Node | None, start: int, laws: Laws) -> Node:
        """Adds a node; its values at ``start`` must differ from its siblings' there."""
        key = laws.key(start)
        node = Node(number, self.id, parent, start, laws, key)
        if parent is None:
            self.roots[key] = node
        else:
            parent.adopt(node)
        self.nodes.append(node)
        self.numbered[number] = node
        return node

    def insert(self, sequence: Sequence, stop: int) -> Node:
        """Adds the first ``stop`` steps of a sequence; numbers the new nodes on from the highest.

        For plans outside the engine, where no event need record the numbers.
        """
        place = self.locate(sequence, stop)
        node = place.node
        for start, laws in place.missing:
            node = self.add(len(self.nodes) + 1, node, start, laws)
        if node is None:
            raise ValueError("a sequence of no steps has no place")
        return node


def _missing(sequence: Sequence, start: int, stop: int) -> tuple[tuple[int, Laws], ...]:
    """The nodes that steps ``start..stop-1`` of a sequence need: a new one wherever its laws end."""
    missing = []
    step: int | None = start
    while step is not None:
        laws = sequence.laws(step)
        missing.append((step, laws))
        step = sequence.first_difference(laws, step + 1, stop)
    return tuple(missing)
