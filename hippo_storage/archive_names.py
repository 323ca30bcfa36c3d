"""The names of the files that a study's archive is made of, and their order: the journal first, then code, then states.

::

    hippo-study.jsonl                               the study's events (``hippo_core.engine.archive``)
    bundles/DIGEST                                  the code that it is trained with
    checkpoints/NODE/STEP/manifest.json             of each checkpoint: what it consists of,
    checkpoints/NODE/STEP/FILE                      and its files

Nodes are numbered as in the journal.
"""

from __future__ import annotations

import re

from hippo_storage.manifest import MANIFEST, is_digest, is_file_name

JOURNAL = "hippo-study.jsonl"
BUNDLES = "bundles"
CHECKPOINTS = "checkpoints"

_STATE = re.compile(rf"{CHECKPOINTS}/([1-9][0-9]{{0,18}})/([1-9][0-9]{{0,18}})/([^/]+)")


def bundle_name(digest: str) -> str:
    """The name of a bundle's file."""
    return f"{BUNDLES}/{digest}"


def state_file_name(node: int, step: int, file: str) -> str:
    """The name of a file of a checkpoint."""
    return f"{CHECKPOINTS}/{node}/{step}/{file}"


def bundle_digest(name: str) -> str | None:
    """The digest of the bundle whose file has this name; None: it is none."""
    folder, _, digest = name.partition("/")
    return digest if folder == BUNDLES and is_digest(digest) else None


def state_file(name: str) -> tuple[int, int, str] | None:
    """The node, the step and the file of a checkpoint that has this name; None: it is none."""
    found = _STATE.fullmatch(name)
    if found is None or not (found[3] == MANIFEST or is_file_name(found[3])):
        return None
    return int(found[1]), int(found[2]), found[3]


def is_archive_file(name: str) -> bool:
    """Whether an archive may have a file of this name."""
    return name == JOURNAL or bundle_digest(name) is not None or state_file(name) is not None
