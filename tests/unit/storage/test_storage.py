"""What every storage promises, whatever lies below it: one suite for all kinds."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_core.errors import InvalidStudy, NotFound
from hippo_storage.errors import BundleCorrupt, CheckpointCorrupt, CheckpointMissing, StorageError
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation, FileEntry, Manifest, decode
from hippo_storage.objects import ObjectStorage
from hippo_storage.storage import Storage, Swept
from tests.unit.storage.crashes import entries
from tests.unit.storage.kinds import KINDS, Kept, make, make_in_s3

LOCATION = CheckpointLocation(plan=1, node=22, step=3, fence=44)
FILES = {"state.msgpack": b"structure", "tensors.safetensors": bytes(range(256)) * 10_000, "empty": b""}


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A storage of each kind, and what lies in it."""
    if request.param == "S3":
        return make_in_s3(request, monkeypatch)
    return make(request.param, tmp_path / "storage")


@pytest.fixture
def storage(kept: Kept) -> Storage:
    """A storage of each kind."""
    return kept.storage


def left_behind(folder: Path) -> list[str]:
    """What lies in a test's folder beside the storage."""
    return sorted(path.name for path in folder.iterdir() if path.name != "storage")


def spool(folder: Path, contents: dict[str, bytes] = FILES) -> Path:
    folder.mkdir(parents=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def fetched(storage: Storage, into: Path, digest: str | None = None) -> dict[str, bytes]:
    storage.fetch(LOCATION, into, digest)
    return {path.name: path.read_bytes() for path in into.iterdir()}


def streamed(storage: Storage, digest: str | None = None) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, piece in storage.read(LOCATION, digest):
        assert len(piece) <= 1 << 20
        found[name] = found.get(name, b"") + piece
    return found


def test_what_is_published_is_fetched_and_streamed(kept: Kept, tmp_path: Path) -> None:
    storage = kept.storage
    published = storage.publish(spool(tmp_path / "spool"), LOCATION, {"unit": "epoch"})
    assert published.size_bytes == sum(map(len, FILES.values()))
    assert fetched(storage, tmp_path / "into", published.digest) == FILES
    assert streamed(storage, published.digest) == FILES
    assert not (tmp_path / "spool").exists()
    assert kept.names() == {f"{LOCATION.path}/{name}" for name in (*FILES, "manifest.json")}
    assert blake3(kept.read(f"{LOCATION.path}/manifest.json")).hexdigest() == published.digest
    assert storage.manifest(LOCATION).about == {"unit": "epoch"}


def test_streaming_goes_file_by_file_in_the_order_of_names(storage: Storage, tmp_path: Path) -> None:
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    names = [name for name, _ in storage.read(LOCATION)]
    assert names == sorted(names)
    assert set(names) == set(FILES)


def test_a_folder_that_is_kept_is_as_it_was(storage: Storage, tmp_path: Path) -> None:
    folder = spool(tmp_path / "spool")
    storage.publish(folder, LOCATION, {}, keep=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_publishing_again_changes_nothing(storage: Storage, tmp_path: Path) -> None:
    """As after an answer that was lost; what is told about it may differ, e.g. seconds."""
    first = storage.publish(spool(tmp_path / "a"), LOCATION, {"seconds": 1})
    assert storage.publish(spool(tmp_path / "b"), LOCATION, {"seconds": 2}) == first
    assert storage.manifest(LOCATION, first.digest).about == {"seconds": 1}


def test_what_the_writer_says_of_a_file_of_another_length_is_not_believed(kept: Kept, tmp_path: Path) -> None:
    known = entries(FILES)
    said = {**known, "state.msgpack": FileEntry(size_bytes=1, digest=64 * "1")}
    published = kept.storage.publish(spool(tmp_path / "spool"), LOCATION, {}, files=said)
    assert published.manifest.files == known


def test_another_state_is_never_put_in_a_checkpoints_place(storage: Storage, tmp_path: Path) -> None:
    storage.publish(spool(tmp_path / "a"), LOCATION, {})
    other = spool(tmp_path / "b", {"state.msgpack": b"another"})
    with pytest.raises(StorageError, match="Another checkpoint lies"):
        storage.publish(other, LOCATION, {})
    assert fetched(storage, tmp_path / "into") == FILES
    assert other.exists()


def test_writers_with_other_fences_do_not_touch_each_other(storage: Storage, tmp_path: Path) -> None:
    later = CheckpointLocation(plan=1, node=22, step=3, fence=45)
    storage.publish(spool(tmp_path / "a"), LOCATION, {})
    storage.publish(spool(tmp_path / "b", {"state.msgpack": b"another"}), later, {})
    storage.remove(later)
    assert fetched(storage, tmp_path / "into") == FILES


def test_what_is_removed_is_missing_and_leaves_nothing(kept: Kept, tmp_path: Path) -> None:
    storage = kept.storage
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    storage.remove(LOCATION)
    storage.remove(LOCATION)
    with pytest.raises(CheckpointMissing):
        storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointMissing):
        next(iter(storage.read(LOCATION)))
    assert kept.names() == set()


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_file_that_lacks_is_a_missing_checkpoint(kept: Kept, tmp_path: Path, name: str) -> None:
    storage = kept.storage
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    kept.remove(f"{LOCATION.path}/{name}")
    with pytest.raises(CheckpointMissing, match=name):
        storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointMissing, match=name):
        streamed(storage)
    assert not (tmp_path / "into").exists()
    assert left_behind(tmp_path) == [], "no half of it"


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("change", ["cut", "grown", "emptied", "replaced"])
def test_a_file_of_another_length_or_content_is_corrupt(
    kept: Kept, tmp_path: Path, name: str, change: str
) -> None:
    storage = kept.storage
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    data = kept.read(f"{LOCATION.path}/{name}")
    changed = {"cut": data[:-1], "grown": data + b"\0", "emptied": b"", "replaced": b"x" * len(data)}[change]
    if changed == data:
        return  # of a file without bytes there is nothing to cut, empty or replace
    kept.write(f"{LOCATION.path}/{name}", changed)
    with pytest.raises(CheckpointCorrupt):
        storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointCorrupt):
        streamed(storage)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "S3"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bit_that_flips_is_seen_before_anything_is_loaded(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("flip")
    kept = make(kind, base / "storage")
    storage = kept.storage
    storage.publish(spool(base / "spool"), LOCATION, {"unit": "epoch"})
    name = data.draw(st.sampled_from(["state.msgpack", "tensors.safetensors", "manifest.json"]))
    content = bytearray(kept.read(f"{LOCATION.path}/{name}"))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    kept.write(f"{LOCATION.path}/{name}", bytes(content))
    with pytest.raises(CheckpointCorrupt):
        storage.fetch(LOCATION, base / "into")
    assert not (base / "into").exists()
    with pytest.raises(CheckpointCorrupt):
        streamed(storage)


def test_a_stream_never_completes_a_bad_file(kept: Kept, tmp_path: Path) -> None:
    storage = kept.storage
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    content = bytearray(kept.read(f"{LOCATION.path}/tensors.safetensors"))
    content[0] ^= 1
    kept.write(f"{LOCATION.path}/tensors.safetensors", bytes(content))
    received: list[tuple[str, bytes]] = []
    with pytest.raises(CheckpointCorrupt, match=r"tensors\.safetensors"):
        received.extend(storage.read(LOCATION))
    assert sum(len(piece) for name, piece in received if name == "tensors.safetensors") < len(content)


def test_a_checkpoint_of_another_digest_than_recorded_is_corrupt(storage: Storage, tmp_path: Path) -> None:
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    with pytest.raises(CheckpointCorrupt, match="recorded"):
        storage.fetch(LOCATION, tmp_path / "into", "0" * 64)


def test_a_checkpoint_that_was_copied_elsewhere_is_not_taken_for_another(kept: Kept, tmp_path: Path) -> None:
    kept.storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    other = CheckpointLocation(plan=1, node=22, step=4, fence=44)
    for name in (*FILES, "manifest.json"):
        kept.write(f"{other.path}/{name}", kept.read(f"{LOCATION.path}/{name}"))
    with pytest.raises(CheckpointCorrupt, match="is that of checkpoints/1/22/3/44"):
        kept.storage.fetch(other, tmp_path / "into")


def test_a_prefix_that_was_copied_without_its_manifest_is_no_checkpoint_and_no_rubbish_while_needed(
    kept: Kept, tmp_path: Path
) -> None:
    """The manifest is the mark of the whole and travels with the data; what lacks it goes when nobody needs it."""
    kept.storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    manifest = kept.read(f"{LOCATION.path}/manifest.json")
    kept.remove(f"{LOCATION.path}/manifest.json")
    names = kept.names()
    with pytest.raises(CheckpointMissing):
        kept.storage.fetch(LOCATION, tmp_path / "into")
    assert kept.storage.sweep(lambda location: True, 1e12) == Swept(removed=0)
    assert kept.storage.sweep(lambda location: False, kept.newest() + 60) == Swept(removed=0)
    assert kept.names() == names
    kept.write(f"{LOCATION.path}/manifest.json", manifest)
    assert fetched(kept.storage, tmp_path / "into") == FILES


def test_fetching_into_a_folder_with_content_is_refused(storage: Storage, tmp_path: Path) -> None:
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "mine").write_text("x")
    with pytest.raises(StorageError):
        storage.fetch(LOCATION, tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["mine"]
    assert left_behind(tmp_path) == ["into"]


def put(kept: Kept, folder: str) -> None:
    """Files of a writer that came no further."""
    for name, data in FILES.items():
        kept.write(f"{folder}/{name}", data)


@pytest.mark.parametrize("whole", [True, False])
def test_sweeping_takes_what_nobody_needs_once_it_is_old(kept: Kept, tmp_path: Path, whole: bool) -> None:
    storage = kept.storage
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    names = kept.names()
    lost = CheckpointLocation(plan=9, node=1, step=1, fence=1)
    if whole:
        storage.publish(spool(tmp_path / "lost"), lost, {})
    else:
        put(kept, lost.path)
    now = kept.newest()

    def needed(location: CheckpointLocation) -> bool:
        return location == LOCATION

    assert storage.sweep(needed, now + 3500) == Swept(removed=0)
    assert storage.sweep(needed, now + 3700) == Swept(removed=1)
    assert kept.names() == names
    assert storage.sweep(needed, now + 3700) == Swept(removed=0)
    assert fetched(storage, tmp_path / "into") == FILES


def test_what_is_needed_stays_however_old_and_unfinished_it_looks(kept: Kept) -> None:
    put(kept, LOCATION.path)
    before = kept.names()
    assert kept.storage.sweep(lambda location: location == LOCATION, 1e12) == Swept(removed=0)
    assert kept.names() == before


def test_sweeping_leaves_alone_what_is_not_the_storages(kept: Kept) -> None:
    for folder in ("1/1", "1/1/1/01", "1/1/1/-1", "notes/1/1/1"):
        put(kept, f"checkpoints/{folder}")
    before = kept.names()
    assert kept.storage.sweep(lambda location: False, 1e12) == Swept(removed=0)
    assert kept.names() == before


def test_what_ends_a_sweep_ends_it_before_the_next_removal(kept: Kept) -> None:
    for fence in (1, 2, 3):
        put(kept, CheckpointLocation(plan=1, node=1, step=1, fence=fence).path)
    asked = []

    def needed(location: CheckpointLocation) -> bool:
        asked.append(location)
        if len(asked) == 2:
            raise NotFound("this server no longer leads")
        return False

    with pytest.raises(NotFound):
        kept.storage.sweep(needed, 1e12)
    assert len({name.rpartition("/")[0] for name in kept.names()}) == 2


def test_what_cannot_be_removed_is_told_and_does_not_keep_the_rest(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    locations = [CheckpointLocation(plan=1, node=1, step=1, fence=fence) for fence in (1, 2, 3)]
    for location in locations:
        put(kept, location.path)
    remove = type(kept.storage).remove

    def fail(self: Storage, location: CheckpointLocation) -> None:
        if location.fence == 2:
            raise StorageError("the storage failed")
        remove(self, location)

    monkeypatch.setattr(type(kept.storage), "remove", fail)
    swept = kept.storage.sweep(lambda location: False, 1e12)
    assert swept.removed == 2
    assert [str(error) for error in swept.failures] == ["the storage failed"]
    assert {name.rpartition("/")[0] for name in kept.names()} == {locations[1].path}


@pytest.mark.parametrize("as_file", [True, False])
def test_bundles_are_kept_under_their_digest(storage: Storage, tmp_path: Path, as_file: bool) -> None:
    data = b"archive" * 300_000
    digest = blake3(data).hexdigest()
    (tmp_path / "archive").write_bytes(data)
    assert not storage.has_bundle(digest)
    for _ in range(2):
        storage.put_bundle(digest, tmp_path / "archive" if as_file else data)
    assert storage.has_bundle(digest)
    storage.get_bundle(digest, tmp_path / "inner" / "into")
    assert (tmp_path / "inner" / "into").read_bytes() == data
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["into"]


def test_a_bundle_of_another_digest_is_not_kept(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"other")
    for archive in (tmp_path / "archive", b"other"):
        with pytest.raises(BundleCorrupt):
            kept.storage.put_bundle("0" * 64, archive)
    assert not kept.storage.has_bundle("0" * 64)
    assert kept.names("") == set()


def test_a_bundle_that_changed_is_corrupt(kept: Kept, tmp_path: Path) -> None:
    digest = blake3(b"archive").hexdigest()
    kept.storage.put_bundle(digest, b"archive")
    kept.write(f"bundles/{digest}", b"Archive")
    with pytest.raises(BundleCorrupt):
        kept.storage.get_bundle(digest, tmp_path / "into")
    assert left_behind(tmp_path) == []


def test_a_bundle_that_is_not_there_is_not_found(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        storage.get_bundle("0" * 64, tmp_path / "into")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "/" + "0" * 63])
def test_a_digest_is_never_a_path(storage: Storage, tmp_path: Path, digest: str) -> None:
    for call in (
        lambda: storage.has_bundle(digest),
        lambda: storage.get_bundle(digest, tmp_path / "into"),
        lambda: storage.put_bundle(digest, b"x"),
    ):
        with pytest.raises(InvalidStudy, match="no blake3 digest"):
            call()


def forged(entries: dict[str, FileEntry], /, **changes: Any) -> bytes:
    """A manifest whose own digest is right, whatever it says."""
    import json

    from hippo_storage import manifest as manifests

    body = json.loads(Manifest(location=LOCATION, files=entries, about={}).encode())
    del body["blake3"]
    body.update(changes)
    body["blake3"] = manifests._self_digest(body)
    return manifests._canonical(body)


ENTRY = FileEntry(size_bytes=1, digest="0" * 64)


@pytest.mark.parametrize(
    "name",
    [
        "../../../../../etc/hostname",
        "/etc/hostname",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        ".hidden",
        "manifest.json",
    ],
)
def test_a_manifest_that_names_an_unsafe_path_opens_nothing(kept: Kept, tmp_path: Path, name: str) -> None:
    storage = kept.storage
    kept.write(f"{LOCATION.path}/manifest.json", forged({name: ENTRY}))
    with pytest.raises(CheckpointCorrupt, match="unsafe paths"):
        storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointCorrupt, match="unsafe paths"):
        streamed(storage)


def test_where_a_folder_is_not_mounted_nothing_is_missing_and_nothing_is_written(tmp_path: Path) -> None:
    """1. What others have made is not seen: everything asked of it fails, and may be tried again. 2. It is seen."""
    made = LocalStorage(tmp_path / "mounted")
    made.publish(spool(tmp_path / "spool"), LOCATION, {})
    archive = b"archive"
    digest = blake3(archive).hexdigest()
    made.put_bundle(digest, archive)
    mount_point = tmp_path / "storage"
    mount_point.mkdir()
    storage = Storage.open(str(mount_point), make=False)
    spooled = spool(tmp_path / "spool")
    asked: list[Callable[[], object]] = [
        lambda: storage.manifest(LOCATION),
        lambda: storage.fetch(LOCATION, tmp_path / "into"),
        lambda: streamed(storage),
        lambda: storage.publish(spooled, LOCATION, {}),
        lambda: storage.remove(LOCATION),
        lambda: storage.get_bundle(digest, tmp_path / "archive"),
        lambda: storage.has_bundle(digest),
        lambda: storage.put_bundle(digest, archive),
    ]
    for ask in asked:
        with pytest.raises(StorageError) as error:
            ask()
        assert error.value.retryable
    assert list(mount_point.iterdir()) == []
    mount_point.rmdir()
    (tmp_path / "mounted").rename(mount_point)
    for ask in asked:
        ask()


@pytest.mark.parametrize("name", ["state.msgpack", "manifest.json", "."])
def test_a_link_in_a_checkpoint_is_not_followed(tmp_path: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "storage")
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    path = tmp_path / "storage" / LOCATION.path / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointCorrupt, match="is no plain file"):
        storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointCorrupt, match="is no plain file"):
        streamed(storage)


@pytest.mark.parametrize("name", ["state.msgpack", "manifest.json"])
def test_a_pipe_in_a_checkpoint_is_not_waited_for(tmp_path: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "storage")
    storage.publish(spool(tmp_path / "spool"), LOCATION, {})
    path = tmp_path / "storage" / LOCATION.path / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointCorrupt, match="is no plain file"):
        storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointCorrupt, match="is no plain file"):
        streamed(storage)


def test_a_manifest_that_tells_of_too_many_bytes_opens_nothing(kept: Kept, tmp_path: Path) -> None:
    entry = FileEntry(size_bytes=10 << 40, digest="0" * 64)
    kept.write(f"{LOCATION.path}/manifest.json", forged({"a": entry}))
    kept.write(f"{LOCATION.path}/a", b"x")
    with pytest.raises(CheckpointCorrupt, match="10995116277760 bytes, more than 1 TiB"):
        kept.storage.fetch(LOCATION, tmp_path / "into")
    with pytest.raises(CheckpointCorrupt, match="more than 1 TiB"):
        streamed(kept.storage)


def test_a_manifest_of_a_newer_format_asks_for_an_upgrade() -> None:
    with pytest.raises(StorageError, match=r"format 2, newer than 1.*Upgrade"):
        decode(forged({"a": ENTRY}, format=2), LOCATION)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b"nonsense", b'{"format":1}', b"\xff", b'{"format":NaN}',
        forged({"a": ENTRY}, files={"a": {"size_bytes": -1, "blake3": "0" * 64}}),
        forged({"a": ENTRY}, files={"a": {"size_bytes": 1.5, "blake3": "0" * 64}}),
        forged({"a": ENTRY}, files={"a": {"size_bytes": True, "blake3": "0" * 64}}),
        forged({"a": ENTRY}, files={"a": {"size_bytes": 1, "blake3": "0" * 63}}),
        forged({"a": ENTRY}, files=["a"]), forged({"a": ENTRY}, files={"a": None}), forged({"a": ENTRY}, files=None),
        forged({"a": ENTRY}, step="3"), forged({"a": ENTRY}, fence=None), forged({"a": ENTRY}, about=None),
        forged({"a": ENTRY}) + b"\n", b" " + forged({"a": ENTRY}),
        forged({f"a{number}": ENTRY for number in range(4097)}),
    ],
)  # fmt: skip
def test_what_is_no_manifest_of_ours_is_corrupt(data: bytes) -> None:
    with pytest.raises(CheckpointCorrupt):
        decode(data, LOCATION)


def test_a_manifest_comes_back_as_it_was() -> None:
    manifest = Manifest(
        location=LOCATION, files={"a": ENTRY}, about={"unit": "epoch", "seconds": [1.5, None]}
    )
    assert decode(manifest.encode(), LOCATION, manifest.digest) == manifest


@pytest.fixture
def memory() -> Iterator[None]:
    yield
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_addresses_of_storages(tmp_path: Path, memory: None) -> None:
    for url in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b"):
        opened = Storage.open(url)
        assert isinstance(opened, LocalStorage)
        assert opened.root == tmp_path / "a b"
    store = Storage.open("memory://bucket/prefix")
    assert isinstance(store, ObjectStorage)
    store.publish(spool(tmp_path / "spool"), LOCATION, {})
    assert fetched(store, tmp_path / "into") == FILES
    assert set(MemoryFileSystem.store) == {
        f"/bucket/prefix/{LOCATION.path}/{name}" for name in (*FILES, "manifest.json")
    }


@pytest.mark.parametrize("url", ["", "nonsense://x", "file://elsewhere/x", "file:relative", "a\0b"])
def test_an_address_that_makes_no_sense_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if url == "file:relative":
        assert isinstance(Storage.open(url), LocalStorage), "a folder may have any name"
        return
    with pytest.raises(InvalidStudy, match="storage"):
        Storage.open(url)


def test_locations_are_made_of_counts() -> None:
    for wrong in (-1, True, 1.0, "1"):
        with pytest.raises(ValueError, match="integers from 0"):
            CheckpointLocation(plan=1, node=1, step=1, fence=wrong)  # type: ignore[arg-type]


def test_a_storage_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=os.fspath(tmp_path / "file")):
        LocalStorage(tmp_path / "file" / "storage")


def test_what_is_configured_for_s3_goes_before_our_times(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.config import conf

    monkeypatch.setitem(conf, "s3", {"config_kwargs": {"read_timeout": 120}, "key": "someone"})
    storage = Storage.open("s3://bucket/configured")
    assert isinstance(storage, ObjectStorage)
    assert storage._filesystem.key == "someone"
    assert storage._filesystem.config_kwargs["read_timeout"] == 120
    assert storage._filesystem.config_kwargs["connect_timeout"] == 5


def test_an_address_with_a_password_is_not_repeated() -> None:
    with pytest.raises(InvalidStudy) as caught:
        Storage.open("nonsense://user:secret@host/x")
    assert "secret" not in str(caught.value)
