"""The manifest of a checkpoint: which files it has, how long they are, and what they hash to.

A manifest is written last, and its presence is the commit: where one lies, all that it names is complete
and durable. It is canonical JSON that ends with its own digest, so that a change of any of its bytes is
seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from hippo_storage.errors import CheckpointCorrupt, StorageError

MANIFEST = "manifest.json"
FORMAT = 1
MAX_MANIFEST_BYTES = 4 << 20
MAX_FILES = 4096
MAX_CHECKPOINT_BYTES = 1 << 40  # a trial has one GPU; what claims more is no checkpoint

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBERS = re.compile(
    "/".join(rf"(?P<{name}>0|[1-9][0-9]{{0,18}})" for name in ("plan", "node", "step", "fence"))
)


def is_digest(text: str) -> bool:
    """Whether ``text`` is a blake3 digest in hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


def is_file_name(name: str) -> bool:
    """Whether a checkpoint may hold a file of this name: one plain part, never hidden, never the manifest."""
    return _NAME.fullmatch(name) is not None and name != MANIFEST


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file: its length and its blake3 digest in hexadecimal."""

    size_bytes: int
    digest: str

    def __post_init__(self) -> None:
        if type(self.size_bytes) is not int or self.size_bytes < 0 or not is_digest(self.digest):
            raise ValueError(f"no file entry: size {self.size_bytes!r}, digest {self.digest!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLocation:
    """Where a checkpoint lies: the state at ``step`` of ``node``, written under the lease ``fence``."""

    plan: int
    node: int
    step: int
    fence: int

    def __post_init__(self) -> None:
        for value in (self.plan, self.node, self.step, self.fence):
            if type(value) is not int or value < 0:
                raise ValueError(f"a location is made of integers from 0, not {value!r}")

    @property
    def path(self) -> str:
        """Relative to the storage's root; each writer has a folder of its own."""
        return f"checkpoints/{self.plan}/{self.node}/{self.step}/{self.fence}"

    @classmethod
    def parse(cls, numbers: str) -> CheckpointLocation | None:
        """The location whose plan, node, step and fence are written ``1/22/3/44``; None: it is not one."""
        found = _NUMBERS.fullmatch(numbers)
        return None if found is None else cls(**{name: int(each) for name, each in found.groupdict().items()})

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a checkpoint consists of."""

    location: CheckpointLocation
    files: Mapping[str, FileEntry]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Sum of the file sizes."""
        return sum(entry.size_bytes for entry in self.files.values())

    def encode(self) -> bytes:
        """The manifest's bytes; equal manifests have equal bytes."""
        body = {
            "format": FORMAT,
            "plan": self.location.plan,
            "node": self.location.node,
            "step": self.location.step,
            "fence": self.location.fence,
            "about": self.about,
            "files": {
                name: {"size_bytes": entry.size_bytes, "blake3": entry.digest}
                for name, entry in self.files.items()
            },
        }
        data = _canonical({**body, "blake3": _self_digest(body)})
        if len(data) > MAX_MANIFEST_BYTES:
            raise ValueError(f"a manifest of {len(data)} bytes; at most {MAX_MANIFEST_BYTES} are read")
        return data

    @property
    def digest(self) -> str:
        """blake3 of the manifest's bytes, in hexadecimal: it stands for the whole checkpoint."""
        return blake3(self.encode()).hexdigest()


def decode(data: bytes, location: CheckpointLocation, digest: str | None = None) -> Manifest:
    """Reads a manifest and checks it, before any file that it names is touched.

    Args:
        data: The manifest's bytes.
        location: Where it was found; a checkpoint that was moved there is refused.
        digest: What its bytes must hash to, where known.

    Raises:
        CheckpointCorrupt: It is not the manifest that was published there.
        StorageError: A newer Hippo wrote it.
    """
    try:
        body = json.loads(data)
    except ValueError as error:
        raise _corrupt(location, f"the manifest cannot be read ({error})") from error
    if not isinstance(body, dict) or type(body.get("format")) is not int:
        raise _corrupt(location, "the manifest has no format")
    claimed = body.pop("blake3", None)
    if claimed != _self_digest(body) or _canonical({**body, "blake3": claimed}) != data:
        raise _corrupt(location, "the manifest differs from its own digest")
    if body["format"] > FORMAT:
        raise StorageError(
            f"The checkpoint {location} has format {body['format']}, newer than {FORMAT}.",
            "Upgrade Hippo on this machine.",
        )
    if digest is not None and blake3(data).hexdigest() != digest:
        raise _corrupt(location, "the manifest is not the one that was recorded when it was published")
    try:
        found = CheckpointLocation(
            plan=body["plan"], node=body["node"], step=body["step"], fence=body["fence"]
        )
        files = {
            name: FileEntry(size_bytes=entry["size_bytes"], digest=entry["blake3"])
            for name, entry in body["files"].items()
        }
        manifest = Manifest(location=found, files=files, about=dict(body["about"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _corrupt(location, f"the manifest is malformed ({error})") from error
    if found != location:
        raise _corrupt(location, f"the manifest is that of {found}")
    if len(files) > MAX_FILES or not all(is_file_name(name) for name in files):
        raise _corrupt(location, "the manifest names unsafe paths, or too many files")
    if manifest.size_bytes > MAX_CHECKPOINT_BYTES:
        raise _corrupt(location, f"the manifest tells of {manifest.size_bytes} bytes, more than 1 TiB")
    return manifest


def _corrupt(location: CheckpointLocation, reason: str) -> CheckpointCorrupt:
    return CheckpointCorrupt(
        f"The checkpoint {location} is corrupt: {reason}.", "The nearest good one before it is used instead."
    )


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _self_digest(body: Mapping[str, Any]) -> str:
    try:
        return blake3(_canonical(body)).hexdigest()
    except ValueError:  # e.g. NaN, which json.loads accepts and no manifest of ours holds
        return ""
