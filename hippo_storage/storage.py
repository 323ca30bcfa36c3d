"""Where checkpoints and bundles lie: a folder that all workers see, or an object store through fsspec.

Layout below the root, which is a folder of one database's own::

    checkpoints/<plan>/<node>/<step>/<fence>/    one checkpoint's files, and manifest.json, which comes last
    bundles/<digest>                             one archive of code
    temporary/<unique>                           a bundle that is being written (not in object stores)
    temporary/<plan>-<node>-<step>-<fence>-<unique>/    a checkpoint that is being written (likewise)

A checkpoint is there if its manifest is there. Every writer has a folder of its own, named by its fence,
so a worker that lost its lease without knowing it can never write into another's checkpoint. Storage
comes first and the database last: a row never points at bytes that are not durable.

Instances may be used from several threads; each call works on its own.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from hippo_core.errors import InvalidStudy
from hippo_storage.errors import StorageError
from hippo_storage.files import digest_of, no_hook
from hippo_storage.manifest import (
    MAX_CHECKPOINT_BYTES,
    MAX_FILES,
    CheckpointLocation,
    FileEntry,
    Manifest,
    is_digest,
    is_file_name,
)

__all__ = ["CheckpointLocation", "Published", "Space", "Spooled", "Storage", "Swept"]

LEFTOVER_SECONDS = 3600.0
NOTHING_KNOWN: Mapping[str, FileEntry] = MappingProxyType({})  #: of files that are to be published


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """A state as its writer left it, to be published.

    Attributes:
        folder: A local folder of plain files.
        location: Where to.
        files: What the writer knows of them; the others are hashed.
    """

    folder: Path
    location: CheckpointLocation
    files: Mapping[str, FileEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A checkpoint that is durable.

    Attributes:
        manifest: What it consists of, as it lies there.
        digest: The manifest's blake3, in hexadecimal.
    """

    manifest: Manifest
    digest: str

    @classmethod
    def of(cls, manifest: Manifest) -> Published:
        """The checkpoint of a manifest."""
        return cls(manifest=manifest, digest=manifest.digest)

    @property
    def size_bytes(self) -> int:
        """Sum of the file sizes."""
        return self.manifest.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep came to.

    Attributes:
        removed: How many leftovers went.
        failures: Why others could not be removed, one each.
    """

    removed: int
    failures: tuple[StorageError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """How much room the disk of a storage has.

    Attributes:
        free_bytes: What whoever writes there may still use.
        size_bytes: All there is.
    """

    free_bytes: int
    size_bytes: int


class Storage(ABC):
    """Checkpoints and bundles as files.

    The `hook` is called at the named points of all that writes; tests let it fail or end the process there.
    """

    def __init__(self, hook: Callable[[str], None] = no_hook) -> None:
        self.hook = hook

    @classmethod
    def open(cls, url: str, *, make: bool = True) -> Storage:
        """Opens a storage: a folder's path, ``file:///folder``, or what fsspec knows, as ``s3://bucket/prefix``.

        Args:
            url: Its address.
            make: Make a folder that lacks. Else everything that is asked of it fails until it is there.

        Raises:
            InvalidStudy: The address makes no sense, or what it needs is not installed.
            StorageError: The folder cannot be made.
        """
        from hippo_storage.local import LocalStorage

        scheme = urlsplit(url).scheme if "://" in url else ""
        if not url or "\0" in url:
            raise InvalidStudy("storage", f"{url!r} is no address of a storage", "Give a folder or a URL.")
        if not scheme:
            return LocalStorage(Path(url).expanduser().absolute(), make=make)
        if scheme == "file":
            parts = urlsplit(url)
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise InvalidStudy(
                    "storage", f"{url!r} names no folder of this machine", "Write file:///the/folder."
                )
            return LocalStorage(Path(unquote(parts.path)), make=make)
        from hippo_storage.objects import ObjectStorage

        return ObjectStorage.connect(url)

    def space(self) -> Space | None:
        """How much room there is; None where nobody can tell, as of object stores.

        Raises:
            StorageError: The storage does not answer.
        """
        return None

    @abstractmethod
    def publish(
        self,
        folder: Path,
        location: CheckpointLocation,
        about: Mapping[str, Any],
        *,
        files: Mapping[str, FileEntry] = NOTHING_KNOWN,
        keep: bool = False,
    ) -> Published:
        """Makes the files of a local folder a checkpoint; they are durable and complete when this returns.

        Publishing the same files at the same place again succeeds and changes nothing, so a call may be
        repeated after any failure; the folder is left as it is until all is done.

        Args:
            folder: A local folder of plain files. It is removed in the end, unless `keep`.
            location: Where to.
            about: What else the manifest is to say; JSON.
            files: What their writer knows of them; the others are hashed.
            keep: Leave the folder, e.g. for a cache. Its files must not be changed any more.

        Raises:
            StorageFull: No space is left; nothing of the checkpoint remains.
            StorageError: The storage failed, or another checkpoint lies at the place.
        """

    def publish_all(self, states: Sequence[Spooled], *, keep: bool = False) -> list[Published | Exception]:
        """Publishes several states, which takes less than one after the other where they can share what is slow.

        Args:
            states: The states.
            keep: As for ``publish``.

        Returns:
            For each what ``publish`` would have returned or raised.
        """
        outcomes: list[Published | Exception] = []
        for state in states:
            try:
                outcomes.append(self.publish(state.folder, state.location, {}, files=state.files, keep=keep))
            except Exception as error:  # noqa: BLE001 - whoever wanted it published gets it
                outcomes.append(error)
        return outcomes

    @abstractmethod
    def fetch(self, location: CheckpointLocation, into: Path, digest: str | None = None) -> None:
        """Brings a checkpoint's files, verified, into a local folder, which appears whole or not at all.

        Args:
            location: Which checkpoint.
            into: The folder to make; it must not exist, or be empty. Its files must not be changed in place.
            digest: The manifest's digest, as `publish` told it, where it is known.

        Raises:
            CheckpointMissing: There is none, or a file of it lacks.
            CheckpointCorrupt: A byte differs from what was published.
            StorageError: The storage or the local disk failed.
        """

    @abstractmethod
    def read(self, location: CheckpointLocation, digest: str | None = None) -> Iterator[tuple[str, bytes]]:
        """Streams a checkpoint as (file name, piece of at most 1 MiB), file after file.

        Each file has at least one piece, and its last piece comes only after the file was verified.

        Raises:
            CheckpointMissing: There is none, or a file of it lacks.
            CheckpointCorrupt: A byte differs from what was published.
            StorageError: The storage failed.
        """

    @abstractmethod
    def manifest(self, location: CheckpointLocation, digest: str | None = None) -> Manifest:
        """What a checkpoint consists of; raises as `read`."""

    @abstractmethod
    def remove(self, location: CheckpointLocation) -> None:
        """Removes a checkpoint, its manifest first; one that is not there is no error.

        Raises:
            StorageError: The storage failed.
        """

    @abstractmethod
    def sweep(
        self,
        needed: Callable[[CheckpointLocation], bool],
        now: float,
        age_seconds: float = LEFTOVER_SECONDS,
    ) -> Swept:
        """Removes what writers left behind that died, or lost their leases: whatever nobody needs.

        What is not needed goes, be it whole, incomplete or still in ``temporary/``, once nobody has touched it for
        `age_seconds`. The age is courtesy to a writer that has yet to hear that its lease is lost, and to bundles
        on their way; what keeps a checkpoint is that it is needed, whatever the clocks say. What cannot be removed
        is left for the next time, and told.

        Args:
            needed: Whether a checkpoint is recorded, or can yet be: its lease may still write and report it. What
                it raises ends the sweep.
            now: Seconds since 1970.
            age_seconds: How old a leftover must be.

        Raises:
            StorageError: The storage cannot be listed.
        """

    @abstractmethod
    def put_bundle(self, digest: str, archive: Path | bytes) -> None:
        """Keeps an archive of code under its digest.

        Raises:
            BundleCorrupt: The archive has another digest.
            StorageFull: No space is left.
            StorageError: The storage failed.
        """

    @abstractmethod
    def get_bundle(self, digest: str, into: Path) -> None:
        """Brings an archive, verified, into a new local file, which appears whole or not at all.

        Raises:
            NotFound: There is none of this digest.
            BundleCorrupt: Its bytes changed.
            StorageError: The storage or the local disk failed.
        """

    @abstractmethod
    def has_bundle(self, digest: str) -> bool:
        """Whether there is an archive of this digest."""


def bundle_path(digest: str) -> str:
    """Where a bundle lies, relative to the root; the digest comes from others, so it is checked."""
    if not is_digest(digest):
        raise InvalidStudy("bundle", f"{digest!r} is no blake3 digest", "Give 64 hexadecimal digits.")
    return f"bundles/{digest}"


def require_same(found: Manifest, wanted: Manifest) -> None:
    """A state that lies there already may be published again, but nothing else in its place."""
    if found.files != wanted.files:
        raise StorageError(
            f"Another checkpoint lies at {wanted.location}.", "A lease publishes each of its states once."
        )


def spooled_files(folder: Path, known: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
    """The files of a folder that is to be published, with their digests, in the order of their names.

    Args:
        folder: The folder.
        known: What their writer says. It is taken where the lengths agree; other files are hashed.
    """
    found: dict[str, FileEntry] = {}
    for path in sorted(folder.iterdir()):
        name, about = path.name, path.lstat()
        if not is_file_name(name) or not stat.S_ISREG(about.st_mode):
            raise StorageError(
                f"{path} cannot be part of a checkpoint.", "Only plain files with plain names can."
            )
        entry = known.get(name)
        if entry is None or entry.size_bytes != about.st_size:
            entry = FileEntry(size_bytes=about.st_size, digest=digest_of(path))
        found[name] = entry
    if len(found) > MAX_FILES:
        raise StorageError(f"{folder} holds {len(found)} files.", f"A checkpoint has at most {MAX_FILES}.")
    if sum(entry.size_bytes for entry in found.values()) > MAX_CHECKPOINT_BYTES:
        raise StorageError(f"{folder} holds more than 1 TiB.", "A checkpoint has at most so much.")
    return found
