"""Files of the repository outside ``docs`` that pages link to: each becomes a page, and links lead there."""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path

from building.markdown import page, prose

ROOT = Path(__file__).resolve().parents[2]
COPIED = {
    "SECURITY.md": "explanation/vulnerabilities.md",
    "tests/simulation/README.md": "explanation/simulated-faults.md",
}
_LINK = re.compile(r"(\]\()([^)#\s]+)")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".txt": "text"}


def pages() -> dict[str, str]:
    """The pages, by their path below ``docs``."""
    found = {
        path: linked((ROOT / source).read_text(encoding="utf-8"), source, path)
        for source, path in COPIED.items()
    }
    for folder in examples():
        found[f"examples/{folder.name}.md"] = _example(folder)
    return found


def examples() -> list[Path]:
    """The folders of examples, by name."""
    return sorted(each for each in (ROOT / "examples").iterdir() if each.is_dir() and [*each.glob("*.py")])


def linked(text: str, source: str, path: str) -> str:
    """A text whose relative links lead from a page of the site to where their targets are on it.

    Args:
        text: Markdown.
        source: Where it was written, below the repository's root.
        path: The page's path below ``docs``.
    """

    def lead(found: re.Match[str]) -> str:
        target = found[2]
        if ":" in target:
            return found[0]
        in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        goal = COPIED.get(in_repository, in_repository.removeprefix("docs/"))
        if in_repository.startswith("examples/"):
            goal = f"examples/{in_repository.split('/')[1]}.md"
        return found[1] + posixpath.relpath(goal, posixpath.dirname(path) or ".")

    return _LINK.sub(lead, text)


def _example(folder: Path) -> str:
    """A page with the files of an example, what runs it first."""
    files = sorted(
        (each for each in folder.iterdir() if each.suffix in _LANGUAGES),
        key=lambda each: (each.name != "study.py", each.name == "trainer.py", each.name),
    )
    return page(f"examples/{folder.name}", *(_file(each) for each in files))


def _file(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    said = ""
    if file.suffix == ".py":
        said = prose(ast.get_docstring(ast.parse(text)) or "")
    code = f"```{_LANGUAGES[file.suffix]}\n{text.rstrip()}\n```"
    return "\n\n".join(part for part in (f"## {file.name}", said, code) if part)
