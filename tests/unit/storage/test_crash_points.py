"""Whatever is cut short, at every named point, by death, a full disk or a broken one: old or new, whole; never a mix.

What is left lying is cleared away by whoever comes next, or swept after an hour if no lease can yet need it.
"""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hippo_core.errors import NotFound
from hippo_storage.errors import CheckpointMissing, StorageError
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.storage import Storage, Swept
from hippo_worker.bundles import BundleCache
from hippo_worker.checkpoints import CheckpointCache
from tests.unit.storage.crashes import (
    ARCHIVE,
    ARCHIVE_DIGEST,
    CODE,
    EARLIER,
    EARLIER_FILES,
    FILES,
    LOCATION,
    OPERATIONS,
    Operation,
    as_objects,
    in_a_folder,
)

KINDS = {"no space": errno.ENOSPC, "broken disk": errno.EIO}
CASES = [
    pytest.param(name, point, kind, id=f"{name}-{point}-{kind}")
    for name, operation in OPERATIONS.items()
    for point in operation.points
    for kind in ("death", *KINDS)
]


@pytest.fixture(scope="module")
def graveyard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What processes left that died at each point."""
    folder = tmp_path_factory.mktemp("graveyard")
    script = [sys.executable, "-m", "tests.unit.storage.crashes", str(folder)]
    subprocess.run(script, cwd=Path(__file__).parents[3], check=True, timeout=240)
    return folder


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_named_points_are_all_that_there_are(name: str, tmp_path: Path) -> None:
    operation = OPERATIONS[name]
    seen: list[str] = []
    operation.prepare(tmp_path)
    operation.act(tmp_path, seen.append)
    assert tuple(seen) == operation.points


@pytest.mark.parametrize(("name", "point", "kind"), CASES)
def test_what_is_cut_short_is_old_or_new_and_can_be_done_again(
    name: str, point: str, kind: str, graveyard: Path, tmp_path: Path
) -> None:
    operation = OPERATIONS[name]
    if kind == "death":
        base = graveyard / name / str(operation.points.index(point))
    else:
        base = tmp_path / "base"
        base.mkdir()
        operation.prepare(base)
        fail_at(operation, base, point, KINDS[kind])
    come = bool(operation.done) and operation.points.index(point) >= operation.points.index(operation.done)
    EXPECTATIONS[name.partition(" ")[0]](name, base, come, kind == "death")


def fail_at(operation: Operation, base: Path, fatal: str, code: int) -> None:
    """Fails at a point; what is said of it is said in storage's words."""

    def hook(point: str) -> None:
        if point == fatal:
            raise OSError(code, "No space left on device" if code == errno.ENOSPC else "I/O error")

    with pytest.raises((StorageError, OSError)) as caught:
        operation.act(base, hook)
    # A point after all is done is nobody's failure in production: there only a hook can fail.
    assert isinstance(caught.value, StorageError) or fatal == "done"


def opened(name: str, base: Path) -> Storage:
    return (as_objects if "object" in name else in_a_folder)(base)


def content(storage: Storage, location: CheckpointLocation, into: Path) -> dict[str, bytes]:
    storage.fetch(location, into)
    return {path.name: path.read_bytes() for path in into.iterdir()}


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def expect_missing(storage: Storage, location: CheckpointLocation, into: Path) -> None:
    with pytest.raises(CheckpointMissing):
        storage.fetch(location, into)
    assert not into.exists()


def expect_published(name: str, base: Path, come: bool, died: bool) -> None:
    """It is there whole or not at all; what a dead writer left goes when it is old, unless its lease lives: another
    process may publish the state yet, or report it. A writer that lives clears away by itself."""
    storage = opened(name, base)
    assert content(storage, EARLIER, base / "earlier-after") == EARLIER_FILES
    if (base / "storage" / LOCATION.path / "manifest.json").exists():
        assert come or not died
        assert content(storage, LOCATION, base / "after") == FILES
    else:
        assert not (come and died)
        expect_missing(storage, LOCATION, base / "after")
    lying = files_below(base / "storage")
    now = max(path.stat().st_mtime for path in (base / "storage").rglob("*"))

    def lives(location: CheckpointLocation) -> bool:
        return True

    def is_over(location: CheckpointLocation) -> bool:
        return location == EARLIER

    assert storage.sweep(lives, now + 1e6) == Swept(removed=0)
    assert storage.sweep(is_over, now + 3599) == Swept(removed=0)
    assert files_below(base / "storage") == lying
    if (base / "spool").exists():
        opened(name, base).publish(base / "spool", LOCATION, {})
    assert content(storage, LOCATION, base / "again") == FILES
    assert not (base / "spool").exists()
    later = max(path.stat().st_mtime for path in (base / "storage").rglob("*")) + 3601
    assert storage.sweep(is_over, later).failures == ()
    assert files_below(base / "storage") == {
        base / "storage" / EARLIER.path / each for each in (*EARLIER_FILES, "manifest.json")
    }


def expect_removed(name: str, base: Path, come: bool, died: bool) -> None:
    """What is left of it is no checkpoint, and goes with the next removal, or with a sweep where no row tells of it."""
    storage = opened(name, base)
    assert content(storage, EARLIER, base / "earlier-after") == EARLIER_FILES
    assert come
    expect_missing(storage, LOCATION, base / "after")
    earlier = {base / "storage" / EARLIER.path / each for each in (*EARLIER_FILES, "manifest.json")}
    rest = {path: path.read_bytes() for path in files_below(base / "storage") - earlier}
    opened(name, base).remove(LOCATION)
    assert files_below(base / "storage") == earlier
    for path, data in rest.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert storage.sweep(lambda location: location == EARLIER, 1e12).failures == ()
    assert files_below(base / "storage") == earlier


def expect_fetched(name: str, base: Path, come: bool, died: bool) -> None:
    """The cache's next life takes nothing half-fetched for a checkpoint, and keeps none of it."""
    cache = CheckpointCache(base / "cache", 1 << 30)
    assert cache.size_bytes == 0
    assert list((base / "cache").iterdir()) == []
    folder = cache.obtain(opened(name, base), LOCATION)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def expect_put(name: str, base: Path, come: bool, died: bool) -> None:
    """An archive is there whole or not at all."""
    storage = opened(name, base)
    assert storage.has_bundle(ARCHIVE_DIGEST) is come
    if come:
        storage.get_bundle(ARCHIVE_DIGEST, base / "after")
        assert (base / "after").read_bytes() == ARCHIVE
    else:
        with pytest.raises(NotFound):
            storage.get_bundle(ARCHIVE_DIGEST, base / "after")
    storage.put_bundle(ARCHIVE_DIGEST, ARCHIVE)
    storage.get_bundle(ARCHIVE_DIGEST, base / "again")
    assert (base / "again").read_bytes() == ARCHIVE
    assert storage.sweep(lambda location: True, 1e12).failures == ()
    assert not files_below(base / "storage" / "temporary")


def expect_unpacked(name: str, base: Path, come: bool, died: bool) -> None:
    """Half-unpacked code is never used: its folder has another name, and goes when the worker starts again."""
    folder = base / "bundles" / "digest"
    assert folder.exists() is come
    cache = BundleCache(base / "bundles")
    assert [path.name for path in (base / "bundles").iterdir()] == (["digest"] if come else [])

    class Keeps(Storage):
        def get_bundle(self, digest: str, into: Path) -> None:
            into.write_bytes((base / "archive").read_bytes())

    Keeps.__abstractmethods__ = frozenset()
    found = cache.obtain(Keeps(), "digest")  # type: ignore[abstract]
    assert {str(path.relative_to(found)): path.read_bytes() for path in files_below(found)} == CODE


EXPECTATIONS: dict[str, Callable[[str, Path, bool, bool], None]] = {
    "publish": expect_published,
    "remove": expect_removed,
    "fetch": expect_fetched,
    "put": expect_put,
    "unpack": expect_unpacked,
}
