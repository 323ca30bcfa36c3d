"""Taking what was trained elsewhere into a search plan: nodes by their values, results where there are none.

A node of another server's plan is a stretch of values. Here its steps may lie in several nodes, or with other steps in
one, as the trials came in another order. So its place is found as a trial's is: by walking down by value. What was
trained there becomes what a lease of no worker has trained: it is over when it is granted, has what is new for its
stages, and bills nobody. A metric that is known here stands; where the other one differs, that is noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hippo_core.engine.archive import Archive, State, Trained
from hippo_core.engine.commands.archives import SavedState
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import (
    CheckpointPublished,
    LeaseGranted,
    LeaseStateChanged,
    MetricsRecorded,
    NodeCreated,
    NodeNotReproducible,
    StepsTrained,
)
from hippo_core.engine.states import LeaseState
from hippo_core.engine.study import Study
from hippo_core.lease import Stage
from hippo_core.plan import Node
from hippo_core.sequence import Laws, Sequence


@dataclass(slots=True, kw_only=True, eq=False)
class Places:
    """Where an archive's nodes lie in a plan here.

    Attributes:
        leaves: By the archive's node: the node here that its last step lies in.
    """

    leaves: dict[int, Node] = field(default_factory=dict)

    def owner(self, state: State) -> Node:
        """The node here that owns a state of the archive."""
        node, step = state
        return self.leaves[node].owner(step)


def place_nodes(decision: Decision, plan: int, archive: Archive) -> Places:
    """Finds the places of an archive's nodes in a plan, adding the nodes that lack."""
    places = Places()
    trie = decision.state.plans[plan].plan
    for node in sorted(archive.plan.nodes, key=lambda each: each.id):
        above = None if node.parent is None else places.owner((node.parent.id, node.start))
        place = trie.locate(_sequence(node.laws), archive.ends[node.id], above, node.start)
        leaf = place.node
        for start, laws in place.missing:
            number = decision.state.last_node + 1
            decision.emit(
                NodeCreated(
                    node=number,
                    plan=plan,
                    parent=None if leaf is None else leaf.id,
                    start=start,
                    laws=laws,
                )
            )
            leaf = decision.state.nodes[number]
        assert leaf is not None, "a node has at least one step"
        places.leaves[node.id] = leaf
    return places


def _sequence(laws: Laws) -> Sequence:
    """Laws in force from step 0 on."""
    return Sequence({name: ((0, law),) for name, law in zip(laws.names, laws.laws, strict=True)})


@dataclass(slots=True, kw_only=True)
class _News:
    """What a node here is to learn."""

    node: Node
    stop: int = 0  #: up to where it was trained there
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    metrics: list[MetricsRecorded] = field(default_factory=list)
    checkpoints: list[CheckpointPublished] = field(default_factory=list)
    differs: int = 0  #: a state with other metrics there; 0: none

    @property
    def start(self) -> int:
        """The first step that is new."""
        return self.node.trained

    @property
    def stage(self) -> Stage:
        """What of the node is brought: its new steps; where there are none, the step of something else that is new."""
        if self.stop > self.start:
            return (self.node.id, self.start, self.stop)
        measured, saved = [each.step for each in self.metrics], [each.step for each in self.checkpoints]
        last = max([*measured, *saved, self.differs])
        return (self.node.id, last - 1, last)

    def is_empty(self) -> bool:
        """Whether there is nothing new."""
        return not (self.stop > self.start or self.metrics or self.checkpoints or self.differs)


def merge(
    decision: Decision,
    study: Study,
    user: str,
    archive: Archive,
    places: Places,
    saved: Mapping[State, SavedState],
    fence: int,
) -> list[Node]:
    """Takes in what an archive knows of its nodes and nobody here does.

    Args:
        decision: Made by the import.
        study: On whose behalf; its plan is where the places are.
        user: Who imports.
        archive: What was trained, and what came of it.
        places: Where its nodes lie.
        saved: The checkpoints whose files are here by now.
        fence: What they were written under.

    Returns:
        The nodes of which something new is known.
    """
    found = [each for each in _news(archive, places, saved, fence) if not each.is_empty()]
    if not found:
        return []
    decision.emit(
        LeaseGranted(
            fence=fence,
            worker="",
            incarnation="",
            slot=0,
            plan=study.plan,
            study=study.id,
            user=user,
            stages=tuple(each.stage for each in found),
            start=None,
            in_memory=False,
            save_points=(),
        )
    )
    decision.emit(LeaseStateChanged(fence=fence, state=LeaseState.COMPLETED, reason="imported"))
    for each in found:
        if each.stop > each.start:
            decision.emit(
                StepsTrained(
                    fence=fence,
                    node=each.node.id,
                    start=each.start,
                    stop=each.stop,
                    train_seconds=each.train_seconds,
                    evaluate_seconds=each.evaluate_seconds,
                )
            )
    for each in found:
        for checkpoint in each.checkpoints:
            decision.emit(checkpoint)
        for measured in each.metrics:
            decision.emit(measured)
        if each.differs and not each.node.not_reproducible:
            decision.emit(NodeNotReproducible(fence=fence, node=each.node.id, step=each.differs))
    return [each.node for each in found]


def _news(archive: Archive, places: Places, saved: Mapping[State, SavedState], fence: int) -> Iterable[_News]:
    """What nodes here are to learn, those nearer the root first."""
    found: dict[int, _News] = {}

    def of(node: Node) -> _News:
        return found.setdefault(node.id, _News(node=node))

    for theirs in sorted(archive.plan.nodes, key=lambda each: each.id):
        took = archive.trained.get(theirs.id, Trained())
        for node, start, stop in _stretches(places.leaves[theirs.id], theirs.start, theirs.trained):
            news = of(node)
            news.stop = max(news.stop, stop)
            fresh = stop - max(start, node.trained)
            if fresh > 0 and took.steps:
                news.train_seconds += took.train_seconds * fresh / took.steps
                news.evaluate_seconds += took.evaluate_seconds * fresh / took.steps
        for step in sorted({*theirs.metrics, *theirs.training}):
            _compare(of(places.owner((theirs.id, step))), theirs, step, fence)
        if theirs.not_reproducible:
            step = archive.differing[theirs.id]
            node = places.owner((theirs.id, step))
            if not node.not_reproducible:
                of(node).differs = step
    for (number, step), state in sorted(saved.items()):
        node = places.owner((number, step))
        if step not in node.checkpoints:
            of(node).checkpoints.append(
                CheckpointPublished(
                    fence=fence,
                    node=node.id,
                    step=step,
                    size_bytes=state.size_bytes,
                    digest=state.digest,
                )
            )
    return found.values()


def _stretches(leaf: Node, start: int, stop: int) -> Iterator[tuple[Node, int, int]]:
    """The nodes, leaf-most first, that steps ``start..stop-1`` of the path to a leaf lie in, each with its part."""
    node: Node | None = leaf
    while node is not None and stop > start:
        if node.start < stop:
            yield node, max(start, node.start), stop
            stop = node.start
        node = node.parent


def _compare(news: _News, theirs: Node, step: int, fence: int) -> None:
    """Takes the metrics of a state over where there are none, and notes where there are others."""
    node = news.node
    metrics, training = theirs.metrics.get(step), theirs.training.get(step)
    known = node.metrics.get(step)
    if known is not None and metrics is not None and known != metrics and not node.not_reproducible:
        news.differs = news.differs or step
    metrics = None if known is not None else metrics
    training = None if step in node.training else training
    if metrics is not None or training is not None:
        news.metrics.append(
            MetricsRecorded(fence=fence, node=node.id, step=step, metrics=metrics, training=training)
        )
