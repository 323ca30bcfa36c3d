"""The cache of unpacked code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hippo_core.errors import NotFound
from hippo_storage.bundle import build
from hippo_storage.storage import Storage
from hippo_worker.bundles import KEPT_BUNDLES, BundleCache


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "storage"))


def put(storage: Storage, tmp_path: Path, text: str) -> str:
    folder = tmp_path / "code"
    folder.mkdir(exist_ok=True)
    folder.joinpath("trainer.py").write_text(text)
    bundle = build(folder)
    storage.put_bundle(bundle.digest, bundle.archive)
    return bundle.digest


def test_a_bundle_is_fetched_once(storage: Storage, tmp_path: Path) -> None:
    digest = put(storage, tmp_path, "a = 1\n")
    cache = BundleCache(tmp_path / "cache")
    folder = cache.obtain(storage, digest)
    assert folder.joinpath("trainer.py").read_text() == "a = 1\n"
    (tmp_path / "storage" / "bundles" / digest).unlink()
    assert cache.obtain(storage, digest) == folder
    assert BundleCache(tmp_path / "cache").obtain(storage, digest) == folder


def test_a_bundle_that_is_not_there_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    cache = BundleCache(tmp_path / "cache")
    with pytest.raises(NotFound):
        cache.obtain(storage, "ab" * 32)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_new_life_keeps_those_used_last_and_nothing_half_done(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    for number in range(KEPT_BUNDLES + 3):
        folder = root / f"{number:02}"
        folder.mkdir()
        os.utime(folder, (number, number))
    (root / ".half").mkdir()
    BundleCache(root)
    assert sorted(path.name for path in root.iterdir()) == [f"{n:02}" for n in range(3, KEPT_BUNDLES + 3)]
