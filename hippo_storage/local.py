"""A storage in a folder of this machine, or one that all workers have mounted (NFS)."""

from __future__ import annotations

import contextlib
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blake3 import blake3

from hippo_storage import manifest as manifests
from hippo_storage.errors import StorageError
from hippo_storage.files import DurableFiles, chunks, digest_of, make_folders, no_hook
from hippo_storage.local_publishing import LocalPublishing, Publication
from hippo_storage.manifest import MANIFEST, CheckpointLocation, FileEntry, Manifest
from hippo_storage.storage import (
    LEFTOVER_SECONDS,
    NOTHING_KNOWN,
    Published,
    Space,
    Spooled,
    Storage,
    Swept,
    bundle_path,
    require_same,
)
from hippo_storage.verify import (
    bundle_corrupt,
    bundle_missing,
    corrupt,
    in_words,
    lacking,
    require_entry,
    verified,
    wrong_length,
)


class LocalStorage(Storage):
    """Checkpoints and bundles in a folder.

    Args:
        root: The folder.
        files: What carries out file operations.
        hook: Called at the named points of what it does.
        make: Make the folder if it lacks. Else that is a failure of the storage, whenever something is asked of it:
            where a folder is not mounted, nothing is missing.
    """

    def __init__(
        self,
        root: Path,
        files: DurableFiles | None = None,
        hook: Callable[[str], None] = no_hook,
        *,
        make: bool = True,
    ) -> None:
        super().__init__(hook)
        self.root = root
        self._files = files or DurableFiles()
        self._temporary = root / "temporary"
        self._bundles = root / "bundles"
        self._publishing = LocalPublishing(root, self._files, lambda point: self.hook(point), self._standing)
        if make:
            self._make()

    def _make(self) -> None:
        root = self.root
        with in_words(f"making {root}"):
            make_folders(self._files, self._temporary)
            make_folders(self._files, self._bundles)
            for folder in (root, root.parent):  # whoever made them may have died before its fsync
                self._files.sync_folder(folder)

    def space(self) -> Space:
        """See `Storage.space`."""
        with in_words(f"looking at {self.root}"):
            found = shutil.disk_usage(self.root)
        return Space(free_bytes=found.free, size_bytes=found.total)

    def publish(
        self,
        folder: Path,
        location: CheckpointLocation,
        about: Mapping[str, Any],
        *,
        files: Mapping[str, FileEntry] = NOTHING_KNOWN,
        keep: bool = False,
    ) -> Published:
        """See `Storage.publish`."""
        publication = Publication(folder=folder, location=location, files=files, about=about)
        (outcome,) = self._publishing.publish([publication], keep=keep)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def publish_all(self, states: Sequence[Spooled], *, keep: bool = False) -> list[Published | Exception]:
        """See `Storage.publish_all`."""
        publications = [
            Publication(folder=state.folder, location=state.location, files=state.files) for state in states
        ]
        return self._publishing.publish(publications, keep=keep)

    def fetch(self, location: CheckpointLocation, into: Path, digest: str | None = None) -> None:
        """See `Storage.fetch`."""
        manifest = self.manifest(location, digest)
        source = self.root / location.path
        target = into.parent / f".{into.name}.{uuid.uuid4().hex}"
        with in_words(f"fetching {source}", manifest.size_bytes, into.parent):
            into.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.mkdir()
                for name, entry in manifest.files.items():
                    self._fetch_file(location, name, entry, target)
                    self.hook(f"fetched {name}")
                target.rename(into)
                self.hook("fetched")
            except BaseException:
                self._files.remove_tree(target)
                raise

    def read(self, location: CheckpointLocation, digest: str | None = None) -> Iterator[tuple[str, bytes]]:
        """See `Storage.read`."""
        manifest = self.manifest(location, digest)
        for name, entry in manifest.files.items():
            with in_words(f"reading {self.root / location.path}"), self._lacking(location, name):
                path = self._plain_file(location, name)
            with (
                in_words(f"reading {path}"),
                self._lacking(location, name),
                path.open("rb", buffering=0) as file,
            ):
                pieces = (bytes(chunk) for chunk in chunks(file))
                for piece in verified(location, name, entry, pieces):
                    yield name, piece

    def manifest(self, location: CheckpointLocation, digest: str | None = None) -> Manifest:
        """See `Storage.manifest`."""
        with in_words(f"reading {self.root / location.path}"), self._lacking(location, MANIFEST):
            path = self._plain_file(location, MANIFEST)
        with in_words(f"reading {path}"), self._lacking(location, MANIFEST), path.open("rb") as file:
            data = file.read(manifests.MAX_MANIFEST_BYTES)
        return manifests.decode(data, location, digest)

    def remove(self, location: CheckpointLocation) -> None:
        """See `Storage.remove`."""
        folder = self.root / location.path
        with in_words(f"removing {folder}"):
            if not folder.is_dir():
                self._require_there()
                return
            if (folder / MANIFEST).exists():
                self._files.unlink(folder / MANIFEST)
                self.hook("manifest removed")
                # What has no manifest is no checkpoint: only when that is durable may bytes go.
                self._files.sync_folder(folder)
                self.hook("removal durable")
            self._files.remove_tree(folder)
            self.hook("files removed")
            self._remove_empty_parents(folder)
            self.hook("removed")

    def sweep(
        self,
        needed: Callable[[CheckpointLocation], bool],
        now: float,
        age_seconds: float = LEFTOVER_SECONDS,
    ) -> Swept:
        """See `Storage.sweep`."""
        removed, failures = 0, []
        for path, location in self._sweepable():
            if location is not None and needed(location):
                continue
            try:
                with in_words(f"sweeping {path}"):
                    if now - _touched(path) < age_seconds:
                        continue
                    if location is not None and path == self.root / location.path:
                        self.remove(location)
                    elif path.is_dir():
                        self._files.remove_tree(path)
                    else:
                        self._files.unlink(path)
            except StorageError as error:
                if path.exists():  # else its writer was just finishing, or another has removed it
                    failures.append(error)
            else:
                removed += 1
        return Swept(removed=removed, failures=tuple(failures))

    def _sweepable(self) -> Iterator[tuple[Path, CheckpointLocation | None]]:
        """What lies in the storage, bundles apart, with the checkpoint that it is, or is to become."""
        with in_words(f"listing {self.root}"):
            for path in _below(self._temporary, 1):
                yield path, CheckpointLocation.parse("/".join(path.name.split("-")[:-1]))
            for path in _below(self.root / "checkpoints", 4):
                location = CheckpointLocation.parse("/".join(path.parts[-4:]))
                if location is not None:
                    yield path, location

    def put_bundle(self, digest: str, archive: Path | bytes) -> None:
        """See `Storage.put_bundle`."""
        final = self.root / bundle_path(digest)
        if final.exists():
            return
        temporary = self._temporary / uuid.uuid4().hex
        size_bytes = len(archive) if isinstance(archive, bytes) else None
        with in_words(f"writing {final}", size_bytes, self.root):
            try:
                if isinstance(archive, bytes):
                    self._files.write(temporary, archive)
                    found = blake3(archive).hexdigest()
                else:
                    found = self._files.copy(archive, temporary)
                if found != digest:
                    raise bundle_corrupt(digest, found)
                self.hook("bundle written")
                self._files.sync(temporary)
                self.hook("bundle synced")
                self._files.rename(temporary, final)
                self.hook("bundle renamed")
                self._files.sync_folder(final.parent)
                self.hook("bundle durable")
            finally:
                self._files.unlink(temporary)

    def get_bundle(self, digest: str, into: Path) -> None:
        """See `Storage.get_bundle`."""
        source = self.root / bundle_path(digest)
        temporary = into.parent / f".{into.name}.{uuid.uuid4().hex}"
        with in_words(f"fetching {source}"):
            if not source.exists():
                self._require_there()
                raise bundle_missing(digest)
            into.parent.mkdir(parents=True, exist_ok=True)
            try:
                found = self._files.copy(source, temporary)
                if found != digest:
                    raise bundle_corrupt(digest, found)
                temporary.replace(into)
            finally:
                temporary.unlink(missing_ok=True)

    def has_bundle(self, digest: str) -> bool:
        """See `Storage.has_bundle`."""
        with in_words(f"looking for {digest}"):
            if (self.root / bundle_path(digest)).exists():
                return True
            self._require_there()
            return False

    @contextmanager
    def _lacking(self, location: CheckpointLocation, name: str) -> Iterator[None]:
        """A file that is not found is a checkpoint that is missing, unless all is."""
        with lacking(location, name):
            try:
                yield
            except FileNotFoundError:
                self._require_there()
                raise

    def _require_there(self) -> None:
        """Whoever made the storage made a folder in it: without that another folder is seen in its place, or none.

        Raises:
            StorageError: So it is.
        """
        if not self._bundles.is_dir():
            raise StorageError(
                f"The storage's folder {self.root} is not there.",
                "Is it mounted on this host? What waits for it goes on when it is there again.",
            )

    def _standing(self, manifest: Manifest) -> Manifest | None:
        """The manifest of these very files, if it lies there; an incomplete attempt is cleared away."""
        self._require_there()
        folder = self.root / manifest.location.path
        if not (folder / MANIFEST).exists():
            self._files.remove_tree(folder)
            return None
        found = self.manifest(manifest.location)
        require_same(found, manifest)
        return found

    def _fetch_file(self, location: CheckpointLocation, name: str, entry: FileEntry, folder: Path) -> None:
        target = folder / name
        with self._lacking(location, name):
            source = self._plain_file(location, name)
            if source.stat().st_size != entry.size_bytes:
                raise wrong_length(location, name, entry, source.stat().st_size)
            found = (
                digest_of(target) if self._files.link(source, target) else self._files.copy(source, target)
            )
        require_entry(location, name, entry, target.stat().st_size, found)

    def _plain_file(self, location: CheckpointLocation, name: str) -> Path:
        """Where a file lies; what else there is by its name (a link, a pipe) is not opened."""
        folder = self.root / location.path
        if folder.is_symlink() or not stat.S_ISREG((folder / name).lstat().st_mode):
            raise corrupt(location, name, "it is no plain file, e.g. a link")
        return folder / name

    def _remove_empty_parents(self, folder: Path) -> None:
        for parent in folder.parents:
            if parent in (self.root, self._temporary):
                return
            try:
                parent.rmdir()
            except OSError:
                return  # a neighbour lies there


def _touched(path: Path) -> float:
    """When a file, or a folder or what lies in it, was last changed."""
    touched = path.stat().st_mtime
    for each in path.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            touched = max(touched, each.stat().st_mtime)
    return touched


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """What lies so many folders deep; what others remove meanwhile may or may not be among it."""
    try:
        children = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for child in children:
        if depth == 1:
            yield child
        else:
            yield from _below(child, depth - 1)
