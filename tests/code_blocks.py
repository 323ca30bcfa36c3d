"""The code in the pages, as blocks that tests run.

A block that is not to be run has a comment of the page's before it that says why: ``<!-- not run: the reason -->``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: Where it stands.
        line: Of its first line.
        language: As the fence says.
        text: What is in it.
        reason: Why it is not to be run; empty: it is.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str

    @property
    def place(self) -> str:
        """Where it is, for whoever reads that it failed."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks of some languages, page by page."""
    return [block for page in PAGES for block in _of(page) if block.language in languages]


def _of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["language"], found["text"], found["reason"] or "")


class _Whole(ast.NodeTransformer):
    """Puts a trainer, a space and an objective where a page has dots in a call of ``hippo.Study``."""

    def __init__(self, defaults: dict[str, str]) -> None:
        self._defaults = defaults

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if ast.unparse(node.func) != "hippo.Study":
            return node
        dots = [ast.unparse(each) for each in node.args]
        if "..." not in dots and "{...}" not in dots:
            return node
        given = {each.arg for each in node.keywords}
        added = {name: text for name, text in self._defaults.items() if name not in given}
        if given & {"minimize"}:
            added.pop("maximize", None)
        node.args = [] if dots == ["..."] else [node.args[0]] if len(dots) == 2 else node.args
        if len(node.args) == 1:
            added.pop("trainer")
        node.keywords += [
            ast.keyword(name, ast.parse(text, mode="eval").body) for name, text in added.items()
        ]
        return ast.fix_missing_locations(node)


STUDY = {
    "trainer": '"trainer:DigitsTrainer"',
    "space": '{"lr": space.loguniform(1e-4, 1e-1), "batch_size": 64, "momentum": space.uniform(0.0, 0.95)}',
    "maximize": '"accuracy"',
    "max_trials": "4",
    "max_steps": "6",
}
"""What stands for dots."""


def execute(block: Block, names: dict[str, Any]) -> None:
    """Runs a block of Python among names that are there; dots in a study become one.

    Raises:
        AssertionError: It fails; says where.
    """
    tree = _Whole(STUDY).visit(ast.parse(block.text))
    try:
        exec(compile(tree, names.get("__file__", block.place), "exec"), names)
    except Exception as error:
        raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error


def asks_a_server(block: Block) -> bool:
    """Whether a block uses a client or a study of its, or what one has exported."""
    found = [each for each in ast.walk(ast.parse(block.text)) if isinstance(each, ast.Name)]
    used = {each.id for each in found if isinstance(each.ctx, ast.Load)} & {"run", "client"}
    return bool(used) or "hippo.Client(" in block.text or ".json" in block.text
