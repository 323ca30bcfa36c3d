"""Publishing in a folder of this machine, or in one that all workers have mounted (NFS).

In this order, each line durable before the next:

1. every file gets a second name in ``temporary/<unique>/`` (a hard link), or is copied where that is impossible; the
   manifest is written beside them; all of it is synced, and that folder
2. the folder is renamed to its final name, and every folder above it, up to the storage's own, is synced: one that
   was there already may have been made a moment ago, by a writer whose own sync is still to come, or never comes

Whatever dies between, the folder has its final name, and with it the manifest, only if all that this names is whole
and durable, and the writer's own folder still has everything that publishing anew needs.

States that are published together are synced together, by one call for their file system where that is possible.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hippo_storage.errors import StorageError
from hippo_storage.files import DurableFiles
from hippo_storage.manifest import MANIFEST, CheckpointLocation, FileEntry, Manifest
from hippo_storage.storage import Published, spooled_files
from hippo_storage.verify import in_words

_ATTEMPTS = 5


@dataclass(slots=True, kw_only=True, eq=False)
class Publication:
    """A state on its way.

    Attributes:
        folder: The writer's own.
        location: Where to.
        files: What the writer knows of its files.
        about: What else the manifest is to say.
        manifest: Known once its files were looked at.
        standing: The manifest of these very files, where it lies there already.
        temporary: Where it is staged; None: nowhere yet, or it lies there already.
        error: What it failed by.
        final: Where it is to lie, once that was asked for.
    """

    folder: Path
    location: CheckpointLocation
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    manifest: Manifest | None = None
    standing: Manifest | None = None
    temporary: Path | None = None
    error: Exception | None = None
    final: Path | None = None

    @property
    def size_bytes(self) -> int:
        """How many bytes its files have."""
        return 0 if self.manifest is None else self.manifest.size_bytes

    def outcome(self) -> Published | Exception:
        """What came of it."""
        if self.error is not None:
            return self.error
        assert self.manifest is not None
        return Published.of(self.standing or self.manifest)


class LocalPublishing:
    """Publishes states together.

    Args:
        root: The storage's folder.
        files: What carries out file operations.
        hook: Called at the named points.
        standing: Tells whether a state lies there already; raises where nothing can be written.
    """

    def __init__(
        self,
        root: Path,
        files: DurableFiles,
        hook: Callable[[str], None],
        standing: Callable[[Manifest], Manifest | None],
    ) -> None:
        self._root = root
        self._files = files
        self._hook = hook
        self._standing = standing

    def publish(self, publications: list[Publication], *, keep: bool) -> list[Published | Exception]:
        """Publishes states; each one's failure is its own. See ``Storage.publish_all``."""
        self._each(publications, self._stage)
        staged = [each for each in publications if each.temporary is not None]
        self._sync(staged, self._sync_staged)
        self._each(staged, self._rename)
        self._sync([each for each in staged if each.error is None], self._sync_above)
        self._each(staged, lambda each: self._hook("durable"))
        for each in publications:
            if each.error is None:
                self._finish(each, keep=keep)
        return [each.outcome() for each in publications]

    def _each(self, publications: Iterable[Publication], work: Callable[[Publication], None]) -> None:
        """Does something for each that has not failed yet; of one that fails nothing remains."""
        for each in publications:
            if each.error is not None:
                continue
            try:
                with in_words(f"writing {self._final(each)}", each.size_bytes, self._root):
                    work(each)
            except Exception as error:  # noqa: BLE001 - whoever wanted it published gets it
                each.error = error
                self._clear(each)
            except BaseException:
                self._clear(each)
                raise

    def _finish(self, each: Publication, *, keep: bool) -> None:
        """The state is durable, whatever becomes of the writer's folder."""
        try:
            with in_words(f"writing {self._final(each)}", each.size_bytes, self._root):
                if not keep:
                    self._files.remove_tree(each.folder)
                self._hook("done")
        except Exception as error:  # noqa: BLE001 - whoever wanted it published gets it
            each.error = error

    def _stage(self, each: Publication) -> None:
        with in_words(f"reading {each.folder}"):
            entries = spooled_files(each.folder, each.files)
        manifest = each.manifest = Manifest(location=each.location, files=entries, about=each.about)
        with in_words(f"writing {self._final(each)}", each.size_bytes, self._root):
            each.standing = self._standing(manifest)
            if each.standing is not None:
                # The renames that made it visible may not be durable yet, if its writer died right after them.
                for folder in (self._final(each), *self._above(each)):
                    self._files.sync_folder(folder)
                return
            at = each.location
            name = f"{at.plan}-{at.node}-{at.step}-{at.fence}-{uuid.uuid4().hex}"
            each.temporary = self._root / "temporary" / name
            self._files.make_folder(each.temporary)
            for file, entry in entries.items():
                self._take(each.folder / file, each.temporary / file, entry)
                self._hook(f"file {file}")
            self._files.write(each.temporary / MANIFEST, manifest.encode())
            self._hook("manifest written")

    def _take(self, source: Path, target: Path, entry: FileEntry) -> None:
        if self._files.link(source, target):
            return
        found = self._files.copy(source, target)
        if found != entry.digest:
            raise StorageError(
                f"{source} changed while it was published: blake3 {found} instead of {entry.digest}.",
                "Look at that disk; the state is saved again later.",
            )

    def _sync(self, publications: list[Publication], one_by_one: Callable[[Publication], None]) -> None:
        """Makes durable what was done for all of them so far."""
        waiting = [each for each in publications if each.error is None]
        if not waiting:
            return
        done = [False]

        def together(first: Publication) -> None:
            size_bytes = sum(each.size_bytes for each in waiting)
            done[0] = self._files.sync_file_system(self._root, size_bytes)

        self._each(waiting[:1], together)
        if waiting[0].error is not None:
            for each in waiting[1:]:  # what was not made durable may be anybody's
                each.error = waiting[0].error
                self._clear(each)
        elif not done[0]:
            self._each(waiting, one_by_one)

    def _sync_staged(self, each: Publication) -> None:
        assert each.manifest is not None
        assert each.temporary is not None
        for file in (*each.manifest.files, MANIFEST):
            self._files.sync(each.temporary / file)
        self._files.sync_folder(each.temporary)

    def _sync_above(self, each: Publication) -> None:
        for folder in self._above(each):
            self._files.sync_folder(folder)

    def _rename(self, each: Publication) -> None:
        assert each.temporary is not None
        self._hook("files durable")
        final = self._final(each)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for folder in reversed(list(self._above(each))):
                    self._make_if_lacking(folder)
                self._files.rename(each.temporary, final)
            except FileNotFoundError:
                # The removal of a neighbour took a folder above, since it was empty for a moment.
                if attempt == _ATTEMPTS:
                    raise
            else:
                break
        self._hook("folder renamed")

    def _make_if_lacking(self, folder: Path) -> None:
        if folder.is_dir():
            return
        try:
            self._files.make_folder(folder)
        except FileExistsError:  # another writer made it meanwhile
            if not folder.is_dir():
                raise

    def _clear(self, each: Publication) -> None:
        if each.temporary is None:
            return
        self._files.remove_tree(each.temporary)
        final = self._final(each)
        self._files.unlink(final / MANIFEST)
        self._files.remove_tree(final)

    def _final(self, each: Publication) -> Path:
        if each.final is None:
            each.final = self._root / each.location.path
        return each.final

    def _above(self, each: Publication) -> Iterator[Path]:
        """The folders above a checkpoint's, up to the storage's own."""
        for parent in self._final(each).parents:
            yield parent
            if parent == self._root:
                return
