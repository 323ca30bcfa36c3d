"""What writes to a storage, to be cut short at each of its named points; as a process, it kills itself there.

Run as a process, with a folder: for each operation and each of its points a child is forked, which dies at the point
as if by SIGKILL. What each left is below ``FOLDER/operation/number of the point``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from hippo_storage import bundle
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation, FileEntry
from hippo_storage.objects import ObjectStorage
from hippo_storage.storage import Storage
from hippo_worker.checkpoints import CheckpointCache

Hook = Callable[[str], None]

DIED = 86
LOCATION = CheckpointLocation(plan=1, node=2, step=30, fence=7)
FILES = {"state.msgpack": b"\x81structure", "tensors.safetensors": bytes(range(256)) * 5000}
EARLIER = CheckpointLocation(plan=1, node=2, step=20, fence=7)
EARLIER_FILES = {"state.msgpack": b"earlier", "tensors.safetensors": b"weights" * 100}
CODE = {"inner/model.py": b"LAYERS = 3\n", "trainer.py": b"import inner.model\n"}
ARCHIVE = b"archive" * 100_000
ARCHIVE_DIGEST = blake3(ARCHIVE).hexdigest()


def spool(folder: Path, contents: dict[str, bytes]) -> Path:
    """Files as `hippo_storage.state.write` leaves them."""
    folder.mkdir(parents=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def entries(contents: dict[str, bytes]) -> dict[str, FileEntry]:
    """What the writer of such files knows of them."""
    return {
        name: FileEntry(size_bytes=len(data), digest=blake3(data).hexdigest())
        for name, data in contents.items()
    }


def in_a_folder(base: Path, hook: Hook = lambda point: None) -> Storage:
    """A storage in a folder."""
    return LocalStorage(base / "storage", hook=hook)


def as_objects(base: Path, hook: Hook = lambda point: None) -> Storage:
    """A storage of objects, which lie as files in a folder."""
    (base / "storage").mkdir(parents=True, exist_ok=True)
    files = DirFileSystem(str(base / "storage"), LocalFileSystem(auto_mkdir=True))
    return ObjectStorage(files, "", hook)


Opens = Callable[..., Storage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that writes.

    Attributes:
        prepare: Makes what it needs in a new folder.
        act: Does it there.
        points: Its named points, in order.
        done: The first point at which what it is for has come about; before it all is as it was.
    """

    prepare: Callable[[Path], None]
    act: Callable[[Path, Hook], None]
    points: tuple[str, ...]
    done: str


def _prepared(opens: Opens, *, published: bool) -> Callable[[Path], None]:
    def prepare(base: Path) -> None:
        storage = opens(base)
        storage.publish(spool(base / "earlier", EARLIER_FILES), EARLIER, {})
        spool(base / "spool", FILES)
        if published:
            storage.publish(base / "spool", LOCATION, {}, keep=True)

    return prepare


def _publish(opens: Opens) -> Callable[[Path, Hook], None]:
    def act(base: Path, hook: Hook) -> None:
        opens(base, hook).publish(base / "spool", LOCATION, {})

    return act


def _remove(opens: Opens) -> Callable[[Path, Hook], None]:
    def act(base: Path, hook: Hook) -> None:
        opens(base, hook).remove(LOCATION)

    return act


def _obtain(opens: Opens) -> Callable[[Path, Hook], None]:
    def act(base: Path, hook: Hook) -> None:
        CheckpointCache(base / "cache", 1 << 30).obtain(opens(base, hook), LOCATION)

    return act


def _put_bundle(opens: Opens) -> Callable[[Path, Hook], None]:
    def act(base: Path, hook: Hook) -> None:
        opens(base, hook).put_bundle(ARCHIVE_DIGEST, ARCHIVE)

    return act


def _prepare_code(base: Path) -> None:
    for name, data in CODE.items():
        (base / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "code" / name).write_bytes(data)
    (base / "archive").write_bytes(bundle.build(base / "code").archive)
    (base / "bundles").mkdir()


def _unpack(base: Path, hook: Hook) -> None:
    bundle.unpack(base / "archive", base / "bundles" / "digest", hook=hook)


_FETCHED = ("fetched state.msgpack", "fetched tensors.safetensors", "fetched")

OPERATIONS = {
    "publish to a folder": Operation(
        prepare=_prepared(in_a_folder, published=False),
        act=_publish(in_a_folder),
        points=(
            "file state.msgpack", "file tensors.safetensors", "manifest written", "files durable", "folder renamed",
            "durable", "done",
        ),
        done="folder renamed",
    ),
    "publish objects": Operation(
        prepare=_prepared(as_objects, published=False),
        act=_publish(as_objects),
        points=("file state.msgpack", "file tensors.safetensors", "manifest durable", "done"),
        done="manifest durable",
    ),
    "remove from a folder": Operation(
        prepare=_prepared(in_a_folder, published=True),
        act=_remove(in_a_folder),
        points=("manifest removed", "removal durable", "files removed", "removed"),
        done="manifest removed",
    ),
    "remove objects": Operation(
        prepare=_prepared(as_objects, published=True),
        act=_remove(as_objects),
        points=("manifest removed", "removed state.msgpack", "removed tensors.safetensors"),
        done="manifest removed",
    ),
    "fetch from a folder": Operation(
        prepare=_prepared(in_a_folder, published=True),
        act=_obtain(in_a_folder),
        points=_FETCHED,
        done="",
    ),
    "fetch objects": Operation(
        prepare=_prepared(as_objects, published=True),
        act=_obtain(as_objects),
        points=_FETCHED,
        done="",
    ),
    "put a bundle into a folder": Operation(
        prepare=_prepared(in_a_folder, published=False),
        act=_put_bundle(in_a_folder),
        points=("bundle written", "bundle synced", "bundle renamed", "bundle durable"),
        done="bundle renamed",
    ),
    "put a bundle as an object": Operation(
        prepare=_prepared(as_objects, published=False),
        act=_put_bundle(as_objects),
        points=("bundle durable",),
        done="bundle durable",
    ),
    "unpack a bundle": Operation(
        prepare=_prepare_code,
        act=_unpack,
        points=("unpacked inner/model.py", "unpacked trainer.py", "unpacked", "renamed"),
        done="renamed",
    ),
}  # fmt: skip


def die_everywhere(folder: Path) -> None:
    """Dies at every point of every operation, each time in a child of its own."""
    for name, operation in OPERATIONS.items():
        for number, point in enumerate(operation.points):
            base = folder / name / str(number)
            base.mkdir(parents=True)
            operation.prepare(base)
            child = os.fork()
            if not child:
                _die_at(operation, base, point)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == DIED, (name, point)


def _die_at(operation: Operation, base: Path, fatal: str) -> None:
    def hook(point: str) -> None:
        if point == fatal:
            os._exit(DIED)

    try:
        operation.act(base, hook)
    finally:
        os._exit(1)


if __name__ == "__main__":
    die_everywhere(Path(sys.argv[1]))
