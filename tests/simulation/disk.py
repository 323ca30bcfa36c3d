"""The shared storage on a disk that forgets at a loss of power what was not synced, or keeps any part of it.

The production ``LocalStorage`` works on a real folder; a model beside it knows what is durable. At a loss of power the
folder becomes one of the states that the model allows.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from tests.unit.storage.disks import FileNode, FolderNode, PowerLossFiles


class FaultyFiles(PowerLossFiles):
    """File operations that other things happen between.

    Args:
        root: The shared storage's folder.
        before: Called before each operation, with its word; may wait, raise, or never return.
        wall: The wall clock, for the times of files.

    Attributes:
        far: Whether other folders are on other disks, so that files are copied from there and to there.
        receive: Makes of a shared file's bytes what arrives of them elsewhere.
    """

    def __init__(self, root: Path, before: Callable[[str], None], wall: Callable[[], float]) -> None:
        super().__init__(root)
        self._before = before
        self._wall = wall
        self.far = False
        self.receive: Callable[[Path, bytes], bytes] = lambda path, data: data

    def _is_shared(self, path: Path) -> bool:
        return path.is_relative_to(self._base)

    def _folder(self, path: Path) -> FolderNode:
        """A folder of the model; one that others made beside these operations is taken to be durable."""
        node = self._root
        for part in path.relative_to(self._base).parts:
            inner = node.now.get(part)
            if inner is None:
                inner = node.now[part] = node.durable[part] = FolderNode()
            assert isinstance(inner, FolderNode)
            node = inner
        return node

    def _touch(self, *paths: Path) -> None:
        now = self._wall()
        for path in paths:
            if path.exists():
                os.utime(path, (now, now))

    def make_folder(self, folder: Path) -> None:
        self._before("make_folder")
        super().make_folder(folder)
        self._touch(folder, folder.parent)

    def write(self, path: Path, data: bytes | memoryview) -> None:
        self._before("write")
        super().write(path, data)
        self._touch(path, path.parent)

    def copy(self, source: Path, target: Path) -> str:
        self._before("copy")
        if not self._is_shared(target):
            data = self.receive(source, source.read_bytes())
            target.write_bytes(data)
            return blake3(data).hexdigest()
        digest = super().copy(source, target)
        self._touch(target, target.parent)
        return digest

    def link(self, source: Path, target: Path) -> bool:
        self._before("link")
        if self.far and self._is_shared(source) != self._is_shared(target):
            return False
        done = super(PowerLossFiles, self).link(source, target)
        if done and self._is_shared(target):
            known = self._file(source) if self._is_shared(source) else FileNode(source.read_bytes())
            self._parent(target).now[target.name] = known
            self._touch(target, target.parent)
        return done

    def sync(self, path: Path) -> None:
        self._before("sync")
        super().sync(path)

    def sync_folder(self, folder: Path) -> None:
        self._before("sync_folder")
        if self._is_shared(folder):
            super().sync_folder(folder)
        else:
            super(PowerLossFiles, self).sync_folder(folder)

    def rename(self, source: Path, target: Path) -> None:
        self._before("rename")
        super().rename(source, target)
        self._touch(target, target.parent)

    def unlink(self, path: Path) -> None:
        self._before("unlink")
        if self._is_shared(path):
            super().unlink(path)
        else:
            super(PowerLossFiles, self).unlink(path)

    def remove_tree(self, folder: Path) -> None:
        if self._is_shared(folder):
            if folder.exists():
                self._folder(folder)
            super().remove_tree(folder)
        else:
            super(PowerLossFiles, self).remove_tree(folder)

    def overwrite(self, path: Path, data: bytes) -> None:
        """The bytes of a file change, and nobody is told."""
        path.unlink()  # whoever has a second name for it keeps what it was
        path.write_bytes(data)
        self._parent(path).now[path.name] = FileNode(data, durable=True)
        self._parent(path).durable[path.name] = self._parent(path).now[path.name]

    def lose_power(self, chance: random.Random) -> None:
        """The folder becomes what may be left of it, and that is durable."""
        _lose(self._root, chance, set())
        for path in list(self._base.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._put(self._root, self._base)

    def _put(self, node: FolderNode, folder: Path) -> None:
        for name, inner in node.now.items():
            if isinstance(inner, FolderNode):
                (folder / name).mkdir()
                self._put(inner, folder / name)
            else:
                (folder / name).write_bytes(inner.data)
            self._touch(folder / name)


def _lose(node: FolderNode, chance: random.Random, seen: set[int]) -> None:
    """Each entry is as it was last or as it was at the folder's sync; a file without a sync has any bytes."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for name in sorted({*node.now, *node.durable}):
        last, synced = node.now.get(name), node.durable.get(name)
        kept = last if last is synced or chance.random() < 0.5 else synced
        if kept is None:
            node.now.pop(name, None)
        else:
            node.now[name] = kept
    node.durable = dict(node.now)
    for inner in node.now.values():
        if isinstance(inner, FolderNode):
            _lose(inner, chance, seen)
        elif not inner.durable:
            torn = inner.data[: chance.randrange(len(inner.data) + 1)]
            inner.data = chance.choice([inner.data, torn, bytes(len(inner.data))])
            inner.durable = True
