"""A storage that lies: whatever it does, nothing but the bytes that were published is ever handed out.

What it says may be an error, late, or untrue; what it kept may be cut, changed or gone. Each is either made good by
saving again, or seen before anything is loaded.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_core.errors import HippoError, NotFound
from hippo_storage.errors import (
    BundleCorrupt,
    CheckpointCorrupt,
    CheckpointMissing,
    StorageError,
    StorageFull,
)
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.objects import ObjectStorage
from hippo_storage.storage import Swept
from tests.unit.storage.lying import LOUD, SILENT, UNHEARD, Fault, LyingStore

LOCATION = CheckpointLocation(plan=1, node=22, step=3, fence=44)
FILES = {"state.msgpack": b"structure", "tensors.safetensors": bytes(range(256)) * 100}


@pytest.fixture
def store() -> LyingStore:
    return LyingStore()


@pytest.fixture
def storage(store: LyingStore) -> ObjectStorage:
    return ObjectStorage(store, "bucket/hippo")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hippo_storage.objects._BUSY_PAUSES_SECONDS", (0.0, 0.0, 0.0))


def spool(folder: Path, contents: dict[str, bytes] = FILES) -> Path:
    folder.mkdir(parents=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def fetched(storage: ObjectStorage, into: Path, digest: str | None = None) -> dict[str, bytes]:
    storage.fetch(LOCATION, into, digest)
    return {path.name: path.read_bytes() for path in into.iterdir()}


@pytest.mark.parametrize("key", ["state.msgpack", "tensors.safetensors", "manifest.json"])
@pytest.mark.parametrize("kind", ["timed out", "foreign error", "no space", "no space, by status"])
def test_an_upload_that_fails_leaves_no_checkpoint_and_saving_again_makes_one(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, kind: str, key: str
) -> None:
    folder = spool(tmp_path / "spool")
    store.faults = [Fault(kind=kind, key=key)]
    with pytest.raises(StorageFull if "space" in kind else StorageError) as caught:
        storage.publish(folder, LOCATION, {})
    assert caught.value.retryable
    assert f"bucket/hippo/{LOCATION.path}" in caught.value.message
    if "space" in kind:
        assert "(need 25.01 KiB)" in caught.value.message
    with pytest.raises(CheckpointMissing):
        storage.fetch(LOCATION, tmp_path / "into")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    published = storage.publish(folder, LOCATION, {})
    assert fetched(storage, tmp_path / "into", published.digest) == FILES


@pytest.mark.parametrize("key", ["state.msgpack", "tensors.safetensors", "manifest.json"])
def test_an_upload_whose_answer_was_lost_is_found_or_done_again(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, key: str
) -> None:
    folder = spool(tmp_path / "spool")
    store.faults = [Fault(kind="answer lost", key=key)]
    with pytest.raises(StorageError):
        storage.publish(folder, LOCATION, {})
    published = storage.publish(folder, LOCATION, {})
    assert fetched(storage, tmp_path / "into", published.digest) == FILES


@pytest.mark.parametrize("kind", ["cut", "part lost", "vanished"])
@pytest.mark.parametrize("key", ["state.msgpack", "tensors.safetensors"])
def test_an_upload_that_the_store_kept_in_part_is_seen_before_the_manifest(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, kind: str, key: str
) -> None:
    folder = spool(tmp_path / "spool")
    store.faults = [Fault(kind=kind, key=key)]
    with pytest.raises(StorageError) as caught:
        storage.publish(folder, LOCATION, {})
    assert caught.value.retryable
    with pytest.raises(CheckpointMissing):
        storage.fetch(LOCATION, tmp_path / "into")
    storage.publish(folder, LOCATION, {})
    assert fetched(storage, tmp_path / "into") == FILES


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("bit flipped", "state.msgpack"), ("bit flipped", "tensors.safetensors"), ("bit flipped", "manifest.json"),
        ("cut", "manifest.json"), ("part lost", "manifest.json"), ("vanished", "manifest.json"),
    ],
)  # fmt: skip
def test_what_no_length_tells_is_seen_before_it_is_loaded(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, kind: str, key: str
) -> None:
    store.faults = [Fault(kind=kind, key=key)]
    published = storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    expected = CheckpointMissing if kind == "vanished" else CheckpointCorrupt
    with pytest.raises(expected):
        storage.fetch(LOCATION, tmp_path / "into", published.digest)
    with pytest.raises(expected):
        list(storage.read(LOCATION, published.digest))
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("kind", ["taken", "taken, in fsspec's words"])
def test_who_loses_the_race_for_the_manifest_finds_the_winners(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, kind: str
) -> None:
    """Two attempts at one state under one lease, as after an answer that was lost: the first manifest stands."""
    first = spool(tmp_path / "a")
    second = spool(tmp_path / "b")
    published = []

    def race(point: str) -> None:
        if point == "file tensors.safetensors" and not published:
            published.append(None)
            published[0] = ObjectStorage(store, "bucket/hippo").publish(first, LOCATION, {"seconds": 1})
            if kind == "taken":
                store.faults = [Fault(kind="taken", key="manifest.json")]

    racing = ObjectStorage(store, "bucket/hippo", race)
    assert racing.publish(second, LOCATION, {"seconds": 2}) == published[0]
    assert storage.manifest(LOCATION).about == {"seconds": 1}
    assert fetched(storage, tmp_path / "into") == FILES


def test_a_writer_that_meets_another_one_at_work_tries_again(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    store.faults = [Fault(kind="busy", key="manifest.json", count=2)]
    storage.publish(spool(tmp_path / "a"), LOCATION, {})
    assert store.met == ["busy", "busy"]
    assert fetched(storage, tmp_path / "into") == FILES


def test_a_store_that_stays_busy_is_tried_again_later(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    folder = spool(tmp_path / "a")
    store.faults = [Fault(kind="busy", key="manifest.json", count=3)]
    with pytest.raises(StorageError, match="Another writer is busy") as caught:
        storage.publish(folder, LOCATION, {})
    assert caught.value.retryable
    storage.publish(folder, LOCATION, {})
    assert fetched(storage, tmp_path / "into") == FILES


@pytest.mark.parametrize("key", ["state.msgpack", "manifest.json"])
def test_what_becomes_visible_late_is_not_given_up(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, key: str
) -> None:
    folder = spool(tmp_path / "spool")
    store.faults = [Fault(kind="late", key=key)]
    errors = []
    for _ in range(4):
        try:
            storage.publish(folder, LOCATION, {}, keep=True)
        except StorageError as error:
            errors.append(error)
    assert all(error.retryable for error in errors)
    assert fetched(storage, tmp_path / "into") == FILES


@pytest.mark.parametrize("operation", ["info", "open", "find", "remove"])
@pytest.mark.parametrize("kind", ["timed out", "foreign error"])
def test_a_store_that_does_not_answer_is_not_taken_for_one_that_says_no(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path, kind: str, operation: str
) -> None:
    digest = blake3(b"archive").hexdigest()
    storage.put_bundle(digest, b"archive")
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    calls: list[Callable[[], object]] = {
        "info": [lambda: storage.has_bundle(digest)],
        "open": [
            lambda: storage.manifest(LOCATION),
            lambda: storage.fetch(LOCATION, tmp_path / "into"),
            lambda: list(storage.read(LOCATION)),
            lambda: storage.get_bundle(digest, tmp_path / "bundle"),
        ],
        "find": [lambda: storage.sweep(lambda location: False, 1e12), lambda: storage.remove(LOCATION)],
        "remove": [lambda: storage.remove(LOCATION)],
    }[operation]
    for call in calls:
        store.faults = [Fault(kind=kind, operation=operation)]
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.retryable
        assert not isinstance(caught.value, CheckpointMissing | NotFound)


def test_a_removal_that_is_cut_short_goes_on_where_it_was(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    """Its manifest goes first: what is left is no checkpoint, and the next removal takes it."""
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    store.faults = [Fault(kind="timed out", operation="remove", key="tensors.safetensors")]
    with pytest.raises(StorageError):
        storage.remove(LOCATION)
    with pytest.raises(CheckpointMissing):
        storage.fetch(LOCATION, tmp_path / "into")
    storage.remove(LOCATION)
    assert store.find("/bucket") == []


def test_a_removal_whose_answer_was_lost_is_repeated(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    store.faults = [Fault(kind="answer lost", operation="remove")]
    with pytest.raises(StorageError):
        storage.remove(LOCATION)
    storage.remove(LOCATION)
    assert store.find("/bucket") == []


def test_what_a_sweep_cannot_remove_is_told_and_goes_the_next_time(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    store.faults = [Fault(kind="foreign error", operation="remove")]
    swept = storage.sweep(lambda location: False, 1e12)
    assert swept.removed == 0
    assert [str(LOCATION) in failure.message for failure in swept.failures] == [True]
    assert storage.sweep(lambda location: False, 1e12) == Swept(removed=1)


def test_a_bundle_whose_bytes_changed_is_not_unpacked(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    digest = blake3(b"archive").hexdigest()
    store.faults = [Fault(kind="bit flipped")]
    storage.put_bundle(digest, b"archive")
    with pytest.raises(BundleCorrupt):
        storage.get_bundle(digest, tmp_path / "into")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_hangs_holds_up_one_call_and_nothing_is_left_half_done(
    store: LyingStore, storage: ObjectStorage, tmp_path: Path
) -> None:
    store.faults = [Fault(kind="hangs", key="tensors.safetensors")]
    folder = spool(tmp_path / "spool")
    writer = threading.Thread(target=storage.publish, args=(folder, LOCATION, {}))
    writer.start()
    assert store.hanging.acquire(timeout=60)
    with pytest.raises(CheckpointMissing):
        storage.fetch(LOCATION, tmp_path / "into")
    store.goes_on.set()
    writer.join()
    assert fetched(storage, tmp_path / "into") == FILES


FAULTS = st.builds(
    Fault,
    kind=st.sampled_from((*LOUD, *SILENT, *UNHEARD, "late")),
    operation=st.sampled_from(("upload", "upload", "open", "info", "find", "remove")),
    key=st.sampled_from(("", "state.msgpack", "tensors.safetensors", "manifest.json")),
    count=st.integers(1, 3),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, max_size=5), removes=st.booleans())
def test_whatever_a_store_does_no_wrong_byte_is_handed_out_and_what_was_answered_is_there(
    faults: list[Fault], removes: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The oracle: the bytes that were meant. What changes bytes in silence may cost the checkpoint, and no more."""
    base = tmp_path_factory.mktemp("lying")
    store = LyingStore()
    storage = ObjectStorage(store, "bucket/hippo")
    folder = spool(base / "spool")
    store.faults = faults
    answered = None
    errors: list[HippoError] = []
    while answered is None and len(errors) < 30:
        try:
            answered = storage.publish(folder, LOCATION, {}, keep=True)
        except HippoError as error:
            errors.append(error)
            expect_right_bytes_or_an_error(storage, base / f"during-{len(errors)}")
    # Nothing that a publisher would give up at, unless bytes of the manifest were changed.
    assert all(error.retryable for error in errors) or set(store.met) & {"cut", "part lost", "bit flipped"}
    store.faults = []
    silent = set(store.met) & set(SILENT)
    assert answered is not None or silent
    if answered is not None and not silent:
        looks = 3 if "late" in store.met else 1
        for look in range(looks):
            try:
                assert fetched(storage, base / f"after-{look}", answered.digest) == FILES
            except CheckpointMissing:
                assert look < looks - 1
            else:
                break
    expect_right_bytes_or_an_error(storage, base / "end")
    if removes:
        storage.remove(LOCATION)
        with pytest.raises(CheckpointMissing):
            storage.fetch(LOCATION, base / "removed")


def expect_right_bytes_or_an_error(storage: ObjectStorage, into: Path) -> None:
    try:
        assert fetched(storage, into) == FILES
    except HippoError:
        assert not into.exists()
