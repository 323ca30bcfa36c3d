"""A study's stage tree: what is trained once, and where trials part; and all of one node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from hippo_core.drawings.stage_tree_svg import Drawing, draw
from hippo_core.drawings.stage_tree_text import to_text
from hippo_core.drawings.tree_shape import TreeShape
from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_trial
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Study
from hippo_core.engine.tree_survey import TreeSurvey
from hippo_core.engine.tree_views import tree_nodes
from hippo_core.engine.trial_paths import walk
from hippo_core.errors import InvalidStudy
from hippo_core.tree_node import Folded, TreeNode
from hippo_server.auth.roles import VIEWERS
from hippo_server.tree_reading import survey_tree
from hippo_server.web.addresses import query
from hippo_server.web.page import Page, caller
from hippo_server.web.site import Site
from hippo_server.web.study import show_tab

DEFAULT_NODES = 150
MOST_NODES = 2000
CHOICES = (50, DEFAULT_NODES, 500, MOST_NODES)
DRAWING_WIDTH = 1200
TEXT_WIDTH = 110
MOST_TRIALS = 60  #: of a node, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a tree is shown.

    Attributes:
        nodes: How many nodes are drawn at most.
        root: The node from which on; None: all.
        node: The node of which all is told; None: none.
        trial: The trial whose path is lit; None: none.
    """

    nodes: int
    root: int | None
    node: int | None
    trial: int | None

    @classmethod
    def of(cls, request: Request) -> Asked:
        """As the address says."""
        nodes = _whole(request, "nodes")
        return cls(
            nodes=DEFAULT_NODES if nodes is None else max(1, min(nodes, MOST_NODES)),
            root=_whole(request, "root"),
            node=_whole(request, "node"),
            trial=_whole(request, "trial"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTree:
    """A study's tree as one request shows it.

    Attributes:
        asked: What of it is shown.
        count: How many nodes it has.
        drawn: How many of them are drawn.
        svg: The drawing.
        text: The same for those who read text.
        root: The node from which on it is drawn; None: all.
        above: The nodes above that, the root-most first.
        selected: The node of which all is told.
        label: What sets that apart.
    """

    asked: Asked
    count: int
    drawn: int
    svg: Markup
    text: str
    root: TreeNode | None
    above: tuple[TreeNode, ...]
    selected: TreeNode | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What of a tree is read: the nodes to be drawn, those that are told of, and what is folded."""

    metric: str
    count: int
    drawn: frozenset[int]
    folded: Mapping[int, Folded]
    lit: frozenset[int]
    nodes: tuple[TreeNode, ...]


def pages(site: Site) -> tuple[Page, ...]:
    """The tree of a study."""

    async def read(request: Request) -> ShownTree:
        project, name, asked = caller(request).project, request.path_params["study"], Asked.of(request)
        survey = await survey_tree(site.driver, project, name)
        part = await site.driver.current().read(lambda engine: _part(engine, survey, asked))
        return await asyncio.to_thread(_shown, part, asked, request)

    async def show(request: Request) -> Response:
        # What stands above the tree is fetched by itself, too, and needs none of it.
        wants_tree = request.query_params.get("fragment") in (None, "tree", "node")
        return await show_tab(
            site,
            request,
            "tree",
            "study_tree.html",
            tree=await read(request) if wants_tree else None,
            choices=CHOICES,
            most_trials=MOST_TRIALS,
        )

    return (Page(path="/studies/{study}/tree", roles={"GET": VIEWERS}, answer=show),)


def _part(engine: Engine, survey: TreeSurvey, asked: Asked) -> _Part:
    study = survey.study(engine)
    drawn, folded = survey.largest(engine, asked.nodes, asked.root)
    told = {number for each in (asked.root, asked.node) if each is not None for number in survey.path(each)}
    return _Part(
        metric=study.spec.objectives[0].metric,
        count=len(survey.traffic),
        drawn=drawn,
        folded=folded,
        lit=_path(study, asked.trial),
        nodes=tree_nodes(engine, survey, drawn | told),
    )


def _shown(part: _Part, asked: Asked, request: Request) -> ShownTree:
    known = TreeShape(part.nodes)
    shape = TreeShape(node for node in part.nodes if node.node in part.drawn)
    root = None if asked.root is None else known.by_number[asked.root]
    selected = None if asked.node is None else known.by_number[asked.node]
    drawing = Drawing(
        width=DRAWING_WIDTH,
        metric=part.metric,
        folded=part.folded,
        lit=part.lit,
        link=_template(query(request, node="NODE")) + "#node",
        unfold=_template(query(request, root="NODE", node=None)),
        alone=False,
    )
    return ShownTree(
        asked=asked,
        count=part.count,
        drawn=len(part.drawn),
        svg=Markup(draw(shape, drawing)),  # noqa: S704 - the drawing escapes all text
        text=to_text(shape, TEXT_WIDTH),
        root=root,
        above=() if root is None else known.path(root)[:-1],
        selected=selected,
        label="" if selected is None else known.label(selected),
    )


def _path(study: Study, number: int | None) -> frozenset[int]:
    """The nodes of a trial's path; none where no trial is meant."""
    if number is None:
        return frozenset()
    trial = find_trial(study, number)
    path = {node.id for node, _, _ in walk(trial, trial.target or trial.reached)}
    if trial.state is TrialState.FAILED and trial.leaf is not None:
        path.add(trial.leaf.owner(trial.reached + 1).id)  # where it failed, in its first step maybe
    return frozenset(path)


def _whole(request: Request, name: str) -> int | None:
    """A number in the address; None: there is none."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise InvalidStudy(name, f"{text!r} is no whole number.", "Write one, from 0.")
    return int(text)


def _template(address: str) -> str:
    """An address with a place for a node's number."""
    return address.replace("{", "{{").replace("}", "}}").replace("NODE", "{}")
