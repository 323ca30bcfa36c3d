"""A storage in an object store, through fsspec: S3, GCS, Azure and what else it knows.

Objects are not renamed: an object is there, whole and durable, once its upload has ended. So the files
are uploaded under their final names, and the manifest last, created only if none lies there. What has no
manifest is no checkpoint, whatever else lies there; a sweep removes it once nobody needs it, never since it
merely looks unfinished.

What a store says is not believed where it is cheap to look: an upload's length is asked for before the manifest is
written, and its bytes are hashed whenever they are read.
"""

from __future__ import annotations

import errno
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blake3 import blake3

from hippo_core.errors import HippoError, InvalidStudy, Unavailable
from hippo_storage import manifest as manifests
from hippo_storage.errors import CheckpointMissing, StorageError, storage_error
from hippo_storage.files import CHUNK_BYTES, chunks, digest_of, no_hook
from hippo_storage.manifest import MANIFEST, CheckpointLocation, FileEntry, Manifest
from hippo_storage.storage import (
    LEFTOVER_SECONDS,
    NOTHING_KNOWN,
    Published,
    Storage,
    Swept,
    bundle_path,
    require_same,
    spooled_files,
)
from hippo_storage.verify import bundle_corrupt, bundle_missing, lacking, verified
from hippo_storage.verify import in_words as system_in_words

# HTTP's words for what decides between two writers of one key.
_TAKEN = 412  # it lies there
_BUSY = 409  # another is just writing it: who won is not known yet
_FULL = 507
_BUSY_PAUSES_SECONDS = (0.1, 0.3, 1.0)

# botocore waits a minute for a connection, five times; then s3fs begins again. A publisher tries again by itself.
_S3_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"total_max_attempts": 1}}


class ObjectStorage(Storage):
    """Checkpoints and bundles as objects.

    Args:
        filesystem: An fsspec file system, without a cache of listings.
        root: The prefix of all keys, e.g. ``bucket/hippo``.
        hook: Called at the named points of what it does.
    """

    def __init__(self, filesystem: Any, root: str, hook: Callable[[str], None] = no_hook) -> None:
        super().__init__(hook)
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    @classmethod
    def connect(cls, url: str) -> ObjectStorage:
        """Opens what fsspec knows by this address."""
        scheme = url.partition("://")[0]
        try:
            from fsspec.config import conf
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise InvalidStudy(
                "storage", "object stores need fsspec", "Install hippo-hpo[worker] or hippo-hpo[server]."
            ) from error
        # Others write there too: a listing that was kept would hide what they did.
        options: dict[str, Any] = {"use_listings_cache": False}
        if scheme in ("s3", "s3a"):
            options["config_kwargs"] = {**_S3_PATIENCE, **conf.get(scheme, {}).get("config_kwargs", {})}
        try:
            filesystem, root = url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            # The scheme only: an address may hold a password.
            raise InvalidStudy(
                "storage", f"{scheme}:// cannot be opened: {error}", "Install what it names."
            ) from error
        except OSError as error:
            raise Unavailable(
                f"the storage {scheme}:// cannot be reached: {error}", "Look at its address."
            ) from error
        return cls(filesystem, root)

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
        with system_in_words(f"reading {folder}"):
            entries = spooled_files(folder, files)
        manifest = Manifest(location=location, files=entries, about=about)
        with in_words(f"writing {self._key(location.path)}", manifest.size_bytes):
            standing = self._standing(manifest)
            if standing is None:
                for name, entry in entries.items():
                    self._upload(folder / name, self._key(location.path, name), entry)
                    self.hook(f"file {name}")
                standing = self._put_manifest(manifest)
                self.hook("manifest durable")
            if not keep:
                shutil.rmtree(folder)
        self.hook("done")
        return Published.of(standing)

    def fetch(self, location: CheckpointLocation, into: Path, digest: str | None = None) -> None:
        """See `Storage.fetch`."""
        manifest = self.manifest(location, digest)
        temporary = into.parent / f".{into.name}.{uuid.uuid4().hex}"
        with in_words(f"fetching {self._key(location.path)}", manifest.size_bytes):
            temporary.mkdir(parents=True)
            try:
                for name, entry in manifest.files.items():
                    with (temporary / name).open("xb") as file:
                        for piece in self._verified(location, name, entry):
                            file.write(piece)
                    self.hook(f"fetched {name}")
                temporary.rename(into)
                self.hook("fetched")
            except BaseException:
                shutil.rmtree(temporary)
                raise

    def read(self, location: CheckpointLocation, digest: str | None = None) -> Iterator[tuple[str, bytes]]:
        """See `Storage.read`."""
        manifest = self.manifest(location, digest)
        for name, entry in manifest.files.items():
            with in_words(f"reading {self._key(location.path, name)}"):
                for piece in self._verified(location, name, entry):
                    yield name, piece

    def manifest(self, location: CheckpointLocation, digest: str | None = None) -> Manifest:
        """See `Storage.manifest`."""
        key = self._key(location.path, MANIFEST)
        with (
            in_words(f"reading {key}"),
            lacking(location, MANIFEST),
            self._filesystem.open(key, "rb") as file,
        ):
            data = file.read(manifests.MAX_MANIFEST_BYTES)
        return manifests.decode(data, location, digest)

    def remove(self, location: CheckpointLocation) -> None:
        """See `Storage.remove`."""
        key = self._key(location.path)
        with in_words(f"removing {key}"):
            self._remove_if_there(self._key(location.path, MANIFEST))
            self.hook("manifest removed")
            for each in sorted(self._filesystem.find(key)):
                self._remove_if_there(each)
                self.hook(f"removed {each.rpartition('/')[2]}")

    def sweep(
        self,
        needed: Callable[[CheckpointLocation], bool],
        now: float,
        age_seconds: float = LEFTOVER_SECONDS,
    ) -> Swept:
        """See `Storage.sweep`."""
        root = self._key("checkpoints")
        folders: dict[CheckpointLocation, list[str]] = {}
        with in_words(f"listing {root}"):
            for key in self._filesystem.find(root):
                location = CheckpointLocation.parse("/".join(key.split("/")[-5:-1]))
                if location is not None:
                    folders.setdefault(location, []).append(key)
        removed, failures = 0, []
        for location, keys in folders.items():
            if needed(location):
                continue
            try:
                with in_words(f"sweeping {self._key(location.path)}"):
                    if now - max(map(self._modified, keys)) < age_seconds:
                        continue
                    self.remove(location)
            except StorageError as error:
                failures.append(error)
            else:
                removed += 1
        return Swept(removed=removed, failures=tuple(failures))

    def put_bundle(self, digest: str, archive: Path | bytes) -> None:
        """See `Storage.put_bundle`."""
        key = self._key(bundle_path(digest))
        with in_words(f"writing {key}"):
            found = blake3(archive).hexdigest() if isinstance(archive, bytes) else digest_of(archive)
            if found != digest:
                raise bundle_corrupt(digest, found)
            if self._is_there(key):
                return
            if isinstance(archive, bytes):
                self._filesystem.pipe_file(key, archive)
            else:
                entry = FileEntry(size_bytes=archive.stat().st_size, digest=digest)
                self._upload(archive, key, entry)
            self.hook("bundle durable")

    def get_bundle(self, digest: str, into: Path) -> None:
        """See `Storage.get_bundle`."""
        key = self._key(bundle_path(digest))
        temporary = into.parent / f".{into.name}.{uuid.uuid4().hex}"
        with in_words(f"fetching {key}"):
            into.parent.mkdir(parents=True, exist_ok=True)
            hasher = blake3()
            try:
                try:
                    with self._filesystem.open(key, "rb") as source, temporary.open("xb") as file:
                        while piece := source.read(CHUNK_BYTES):
                            hasher.update(piece)
                            file.write(piece)
                except FileNotFoundError as error:
                    raise bundle_missing(digest) from error
                if hasher.hexdigest() != digest:
                    raise bundle_corrupt(digest, hasher.hexdigest())
                temporary.replace(into)
            finally:
                temporary.unlink(missing_ok=True)

    def has_bundle(self, digest: str) -> bool:
        """See `Storage.has_bundle`."""
        with in_words(f"looking for {digest}"):
            return self._is_there(self._key(bundle_path(digest)))

    def _key(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _is_there(self, key: str) -> bool:
        """Whether there is such an object; fsspec's own ``exists`` takes a store that does not answer for a no."""
        try:
            self._filesystem.info(key)
        except FileNotFoundError:
            return False
        return True

    def _standing(self, manifest: Manifest) -> Manifest | None:
        if not self._is_there(self._key(manifest.location.path, MANIFEST)):
            return None
        return self._found(manifest)

    def _found(self, manifest: Manifest) -> Manifest:
        """The manifest that lies where this one was to go, which is of the same files."""
        try:
            found = self.manifest(manifest.location)
        except CheckpointMissing as error:
            raise StorageError(
                f"The store has a manifest of {manifest.location}, and does not give it out yet.",
                "Saving is tried again.",
            ) from error
        require_same(found, manifest)
        return found

    def _upload(self, source: Path, key: str, entry: FileEntry) -> None:
        hasher = blake3()
        with source.open("rb", buffering=0) as reader, self._filesystem.open(key, "wb") as writer:
            for chunk in chunks(reader):
                hasher.update(chunk)
                writer.write(chunk)
        if hasher.hexdigest() != entry.digest:
            self._remove_if_there(key)
            raise StorageError(
                f"{source} changed while it was published: blake3 {hasher.hexdigest()}, not {entry.digest}.",
                "Look at that disk; the state is saved again later.",
            )
        kept_bytes = self._filesystem.info(key)["size"]
        if kept_bytes != entry.size_bytes:
            raise StorageError(
                f"The store kept {kept_bytes} of the {entry.size_bytes} bytes of {key}.",
                "Saving is tried again.",
            )

    def _put_manifest(self, manifest: Manifest) -> Manifest:
        """Commits, and gives the manifest that lies there then: the first of equals."""
        key = self._key(manifest.location.path, MANIFEST)
        for pause in _BUSY_PAUSES_SECONDS:
            try:
                self._filesystem.pipe_file(key, manifest.encode(), mode="create")
            except Exception as error:
                status = _status(error)
                if isinstance(error, FileExistsError) or status == _TAKEN:
                    # An earlier attempt got through, although its answer was lost.
                    return self._found(manifest)
                if status != _BUSY:
                    raise
                time.sleep(pause)
            else:
                return manifest
        raise StorageError(f"Another writer is busy with {key}.", "Saving is tried again.")

    def _verified(self, location: CheckpointLocation, name: str, entry: FileEntry) -> Iterator[bytes]:
        key = self._key(location.path, name)
        with lacking(location, name), self._filesystem.open(key, "rb") as file:
            yield from verified(location, name, entry, iter(lambda: file.read(CHUNK_BYTES), b""))

    def _modified(self, key: str) -> float:
        """When an object was written; one that is gone, long ago."""
        try:
            return float(self._filesystem.modified(key).timestamp())
        except FileNotFoundError:
            return 0.0

    def _remove_if_there(self, key: str) -> None:
        try:
            self._filesystem.rm_file(key)
        except FileNotFoundError:
            return  # removed by another, or never there: either way it is gone


@contextmanager
def in_words(doing: str, need_bytes: int | None = None) -> Iterator[None]:
    """Turns whatever a store raises into errors of storage: its own errors are often none of the system's."""
    try:
        yield
    except HippoError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) or _status(error) == _FULL:
            code = errno.ENOSPC if _status(error) == _FULL else errno.EIO
            raise storage_error(OSError(code, _words(error)), doing, need_bytes) from error
        raise storage_error(error, doing, need_bytes) from error


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error tells of; it, or what it was made from, has it in botocore's or gcsfs's way."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            status = getattr(each, "code", None)
        if isinstance(status, int):
            return status
    return None


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": .")
