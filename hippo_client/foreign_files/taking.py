"""What of a file is taken, under which word, and what is left: nothing is passed over in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeGuard

from hippo_client.yaml_text import Document, Path, path_in_words

NO_COUNTERPART = "has no counterpart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A key that is not taken.

    Attributes:
        key: Its path.
        line: Where it stands.
        why: What is wrong with it.
    """

    key: str
    line: int
    why: str

    def to_json(self) -> dict[str, Any]:
        """The key as a JSON object."""
        return {"key": self.key, "line": self.line, "why": self.why}


@dataclass(slots=True)
class Taking:
    """One reading of a file.

    Attributes:
        document: The file.
        study: The arguments of the study that it says, so far.
        notes: What became of each key that is taken, in words.
    """

    document: Document
    study: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _taken: set[Path] = field(default_factory=set)
    _refused: dict[Path, str] = field(default_factory=dict)

    def look(self, *path: str) -> Any:
        """What stands at a path; None where nothing does."""
        found = self.document.value
        for each in path:
            if not isinstance(found, dict) or each not in found:
                return None
            found = found[each]
        return found

    def take(self, *path: str, become: str = "") -> Any:
        """What stands at a path, which is taken, whole.

        Args:
            path: The keys.
            become: What became of it, for the person who reads.
        """
        found = self.look(*path)
        if found is not None:
            self._taken.add(path)
            if become:
                self.notes.append(f"{path_in_words(path)} -> {become}")
        return found

    def refuse(self, *path: str, why: str) -> None:
        """What stands at a path cannot be taken."""
        self._refused[path] = why

    def entries(self, *path: str) -> dict[str, Any]:
        """The entries at a path; anything else there is refused."""
        found = self.look(*path)
        if found is not None and not isinstance(found, dict):
            self.refuse(*path, why="has no entries by name")
        return found if isinstance(found, dict) else {}

    def left(self) -> list[Left]:
        """What is not taken, in the order of the file."""
        found = [
            Left(key=path_in_words(path), line=self.document.place(path, key=True).line, why=why)
            for path, why in [*self._refused.items(), *self._passed_over((), self.document.value)]
        ]
        return sorted(found, key=lambda each: each.line)

    def _passed_over(self, path: Path, value: Any) -> list[tuple[Path, str]]:
        if path in self._taken or path in self._refused:
            return []
        looked_into = any(known[: len(path)] == path for known in (*self._taken, *self._refused))
        if looked_into and isinstance(value, dict):
            return [left for name, each in value.items() for left in self._passed_over((*path, name), each)]
        return [(path, NO_COUNTERPART)] if path else []


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_int(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def constant(value: Any) -> Any:
    """How one value is written in a study file."""
    return {"schedule": "constant", "value": value} if isinstance(value, list) else value


def holds_dicts(value: Any) -> bool:
    """Whether there are dicts in a list, which would read as sub-spaces."""
    return isinstance(value, dict) or (isinstance(value, list) and any(map(holds_dicts, value)))
