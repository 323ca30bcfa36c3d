"""A study's stage tree: what is trained once, and where trials part; and all of one node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from hippo_core.drawings.stage_tree_svg import Drawing, draw
from hippo_core.drawings.stage_tree_text import to_text
from hippo_core.drawings.tree_shape import Folded, TreeShape
from hippo_core.engine.engine import Engine
from hippo_core.engine.lookup import find_study
from hippo_core.engine.tree_views import stage_tree
from hippo_core.engine.trial_paths import walk
from hippo_core.errors import InvalidStudy, NotFound
from hippo_core.tree_node import TreeNode
from hippo_server.auth.roles import VIEWERS
from hippo_server.web.addresses import query
from hippo_server.web.gate import Page, caller
from hippo_server.web.site import Site
from hippo_server.web.study import show_tab
from hippo_wire.summaries import Objective

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


class ShownTree:
    """A study's tree as one request shows it.

    Args:
        nodes: All of it.
        lit: The nodes of the trial whose path is lit.
        asked: What of it is shown.
        request: For the addresses of links.
    """

    def __init__(
        self, nodes: tuple[TreeNode, ...], lit: frozenset[int], asked: Asked, request: Request
    ) -> None:
        self.whole = TreeShape(nodes)
        self.lit = lit
        self.asked = asked
        self._request = request
        root = None if asked.root is None else self._node(asked.root)
        self.root = root
        self.above = () if root is None else self.whole.path(root)[:-1]
        self._shown = self.whole if root is None else TreeShape(self.whole.below(root))

    def _node(self, number: int) -> TreeNode:
        found = self.whole.by_number.get(number)
        if found is None:
            raise NotFound(
                f"the study's tree has no node {number}.", "The whole tree shows those that it has."
            )
        return found

    def svg(self, metric: str) -> Markup:
        """The drawing."""
        part, folded = self._part()
        drawing = Drawing(
            width=DRAWING_WIDTH,
            metric=metric,
            folded=folded,
            lit=self.lit,
            link=_template(query(self._request, node="NODE")) + "#node",
            unfold=_template(query(self._request, root="NODE", node=None)),
            alone=False,
        )
        return Markup(draw(part, drawing))  # noqa: S704 - the drawing escapes all text

    def text(self) -> str:
        """The same for those who read text."""
        return to_text(self._part()[0], TEXT_WIDTH)

    def _part(self) -> tuple[TreeShape, Mapping[int, Folded]]:
        return self._shown.largest(self.asked.nodes)

    @property
    def drawn(self) -> int:
        """How many nodes are drawn."""
        return len(self._part()[0])

    @property
    def selected(self) -> TreeNode | None:
        """The node of which all is told."""
        return None if self.asked.node is None else self._node(self.asked.node)

    def label(self, node: TreeNode) -> str:
        """What sets a node apart."""
        return self.whole.label(node)


def pages(site: Site) -> tuple[Page, ...]:
    """The tree of a study."""

    async def read(request: Request) -> ShownTree:
        project, name, asked = caller(request).project, request.path_params["study"], Asked.of(request)

        def look(engine: Engine) -> tuple[tuple[TreeNode, ...], frozenset[int]]:
            return stage_tree(engine, project, name), _path(engine, project, name, asked.trial)

        return ShownTree(*await site.driver.current().read(look), asked, request)

    async def show(request: Request) -> Response:
        return await show_tab(
            site,
            request,
            "tree",
            "study_tree.html",
            tree=await read(request),
            choices=CHOICES,
            most_trials=MOST_TRIALS,
            leading=lambda message: Objective.all_of(message)[0].metric,
        )

    return (Page(path="/studies/{study}/tree", roles={"GET": VIEWERS}, answer=show),)


def _path(engine: Engine, project: str, name: str, number: int | None) -> frozenset[int]:
    """The nodes of a trial's path; none where no trial is meant."""
    if number is None:
        return frozenset()
    study = find_study(engine.state, project, name)
    trial = study.trials.get(number)
    if trial is None:
        raise NotFound(f"study '{name}' has no trial {number}.", f"It has {len(study.trials)}, from 0.")
    return frozenset(node.id for node, _, _ in walk(trial, trial.target or trial.reached))


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
