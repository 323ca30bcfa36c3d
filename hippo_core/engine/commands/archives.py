"""What is asked to bring a study in that another server has exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hippo_core.engine.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the files of an archive's checkpoints belong here.

    Attributes:
        plan: The search plan; 0: none of them is wanted.
        fence: The number that they are written under, which no lease has.
        nodes: By the archive's (node, step): the node here. States that are kept here already are left out.
    """

    plan: int
    fence: int
    nodes: Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """A checkpoint whose files have been published at its place here."""

    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceArchive:
    """Find the places of an archive's checkpoints, before their files come: an answer to ``ImportStudy`` to come."""

    project: str
    user: str
    archive: Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportStudy:
    """Create the study of an archive with all that came of it, or find it.

    Attributes:
        project: Where to.
        user: Whose it becomes.
        archive: What was exported.
        place: Where the files of its checkpoints were published; None: none came.
        saved: By the archive's (node, step): those that were.
    """

    project: str
    user: str
    archive: Archive
    place: Place | None
    saved: Mapping[tuple[int, int], SavedState]


ArchiveCommand = PlaceArchive | ImportStudy
