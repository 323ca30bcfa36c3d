"""File operations that record, fail, or know what a loss of power would leave."""

import errno
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hippo_storage.files import DurableFiles


class RecordingFiles(DurableFiles):
    """Notes every operation, as (word, path)."""

    def __init__(self) -> None:
        self.operations: list[tuple[str, Path]] = []

    def before(self, word: str, path: Path) -> None:
        """Called before each operation."""
        self.operations.append((word, path))

    def make_folder(self, folder: Path) -> None:
        self.before("make_folder", folder)
        super().make_folder(folder)

    def write(self, path: Path, data: bytes | memoryview) -> None:
        self.before("write", path)
        super().write(path, data)

    def copy(self, source: Path, target: Path) -> str:
        self.before("copy", target)
        return super().copy(source, target)

    def link(self, source: Path, target: Path) -> bool:
        self.before("link", target)
        return super().link(source, target)

    def sync(self, path: Path) -> None:
        self.before("sync", path)
        super().sync(path)

    def sync_folder(self, folder: Path) -> None:
        self.before("sync_folder", folder)
        super().sync_folder(folder)

    def sync_file_system(self, folder: Path, size_bytes: int) -> bool:
        return False

    def rename(self, source: Path, target: Path) -> None:
        self.before("rename", target)
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self.before("unlink", path)
        super().unlink(path)

    def remove_tree(self, folder: Path) -> None:
        if folder.exists():
            self.before("remove_tree", folder)
        super().remove_tree(folder)


class UnlinkableFiles(DurableFiles):
    """A file system without hard links."""

    def link(self, source: Path, target: Path) -> bool:
        return False


class FailingFiles(RecordingFiles):
    """Fails at one operation, once, having done half of it where it has halves.

    Args:
        fails_at: The number of the operation, from 0.
        links: Whether hard links are possible.
        code: The system's error.
    """

    def __init__(self, fails_at: int, links: bool = True, code: int = errno.ENOSPC) -> None:
        super().__init__()
        self.fails_at = fails_at
        self.failed = False
        self._links = links
        self._code = code

    def before(self, word: str, path: Path) -> None:
        super().before(word, path)
        if len(self.operations) - 1 == self.fails_at:
            self.failed = True
            if word in ("write", "copy"):
                path.write_bytes(b"hal")
            raise OSError(
                self._code, "No space left on device" if self._code == errno.ENOSPC else "I/O error"
            )

    def link(self, source: Path, target: Path) -> bool:
        return super().link(source, target) if self._links else False


@dataclass(eq=False)
class FileNode:
    """A file of the model: its bytes are None while they are not durable, for anything may come back then."""

    data: bytes
    durable: bool = False


@dataclass(eq=False)
class FolderNode:
    """A folder of the model: what it holds now, and what it held at its last fsync."""

    now: dict[str, "FileNode | FolderNode"] = field(default_factory=dict)
    durable: dict[str, "FileNode | FolderNode"] = field(default_factory=dict)


class PowerLossFiles(DurableFiles):
    """Carries out the operations, and keeps a model of what each would leave if the power were lost after it.

    After a loss each entry of a folder is as it was last, or as it was at the folder's last fsync, every entry on
    its own, and a file that was not fsynced has any bytes. `check` is called after every operation.

    Args:
        base: A folder whose content, and that of all below it, is not durable yet, unless it is a folder's entry.
        links: Whether hard links are possible.
    """

    def __init__(self, base: Path, links: bool = True) -> None:
        self._base = base
        self._links = links
        self._root = self._load(base)
        self.check: Callable[[], None] = lambda: None

    def _load(self, folder: Path) -> FolderNode:
        node = FolderNode()
        for path in folder.iterdir():
            node.now[path.name] = self._load(path) if path.is_dir() else FileNode(path.read_bytes())
        node.durable = dict(node.now)
        return node

    def _parent(self, path: Path) -> FolderNode:
        return self._folder(path.parent)

    def _folder(self, path: Path) -> FolderNode:
        node = self._root
        for part in path.relative_to(self._base).parts:
            inner = node.now[part]
            assert isinstance(inner, FolderNode)
            node = inner
        return node

    def _file(self, path: Path) -> FileNode:
        node = self._parent(path).now[path.name]
        assert isinstance(node, FileNode)
        return node

    def make_folder(self, folder: Path) -> None:
        super().make_folder(folder)
        self._parent(folder).now[folder.name] = FolderNode()
        self.check()

    def write(self, path: Path, data: bytes | memoryview) -> None:
        super().write(path, data)
        self._parent(path).now[path.name] = FileNode(bytes(data))
        self.check()

    def copy(self, source: Path, target: Path) -> str:
        digest = super().copy(source, target)
        self._parent(target).now[target.name] = FileNode(target.read_bytes())
        self.check()
        return digest

    def link(self, source: Path, target: Path) -> bool:
        if not self._links or not super().link(source, target):
            return False
        self._parent(target).now[target.name] = self._file(source)
        self.check()
        return True

    def sync(self, path: Path) -> None:
        super().sync(path)
        self._file(path).durable = True
        self.check()

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        node = self._folder(folder)
        node.durable = dict(node.now)
        self.check()

    def sync_file_system(self, folder: Path, size_bytes: int) -> bool:
        return False

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._parent(target).now[target.name] = self._parent(source).now.pop(source.name)
        self.check()

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._parent(path).now.pop(path.name, None)
        self.check()

    def remove_tree(self, folder: Path) -> None:
        if folder.exists():
            for path in sorted(folder.iterdir()):
                self.remove_tree(path) if path.is_dir() else self.unlink(path)
            folder.rmdir()
            del self._parent(folder).now[folder.name]
            self.check()

    def after_power_loss(self) -> Iterator[dict[str, bytes | None]]:
        """Every state of the disk that a loss of power could leave now: bytes by path, None for any bytes."""
        changed = [
            (node, name)
            for node in self._folders(self._root, set())
            for name in sorted({*node.now, *node.durable})
            if node.now.get(name) is not node.durable.get(name)
        ]
        for choice in itertools.product((True, False), repeat=len(changed)):
            stale = {(id(node), name) for (node, name), lost in zip(changed, choice, strict=True) if lost}
            yield dict(self._entries(self._root, "", stale))

    def _folders(self, node: FolderNode, seen: set[int]) -> Iterator[FolderNode]:
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            for inner in (*node.now.values(), *node.durable.values()):
                if isinstance(inner, FolderNode):
                    yield from self._folders(inner, seen)

    def _entries(
        self, node: FolderNode, prefix: str, stale: set[tuple[int, str]]
    ) -> Iterator[tuple[str, bytes | None]]:
        for name in sorted({*node.now, *node.durable}):
            inner = (node.durable if (id(node), name) in stale else node.now).get(name)
            if isinstance(inner, FolderNode):
                yield from self._entries(inner, f"{prefix}{name}/", stale)
            elif inner is not None:
                yield prefix + name, inner.data if inner.durable else None
