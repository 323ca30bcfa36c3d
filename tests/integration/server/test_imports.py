"""Archives over the wire: taken whole or not at all, by those who may, and written down."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hippo_client.archives import send_archive, write_archive
from hippo_core.errors import Conflict, InvalidStudy, NotAllowed
from hippo_storage.archive_names import JOURNAL
from hippo_storage.storage import CheckpointLocation
from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import submit
from tests.integration.server.test_audit import calls, shown
from tests.integration.server.test_work import ended
from tests.integration.server.worker import Worker, working
from tests.integration.store.test_schema import execute


class Publishing(Worker):
    """A worker whose checkpoints have files."""

    def __init__(self, server, folder: Path) -> None:
        super().__init__(server.connect(server.token("worker")))
        self._storage, self._folder = server.server.driver.storage, folder

    def publish(self, order, node, step):
        files = self._folder / f"{node}-{step}"
        files.mkdir(parents=True)
        (files / "weights.safetensors").write_bytes(bytes([node, step]) * 700_000)
        (files / "empty.json").write_bytes(b"")
        location = CheckpointLocation(plan=order.plan, node=node, step=step, fence=order.fence)
        published = self._storage.publish(files, location, {"kind": "test"})
        return replace(
            super().publish(order, node, step), size_bytes=published.size_bytes, digest=published.digest
        )


@pytest.fixture
def archive(server, client, tmp_path) -> Path:
    """A study that has ended, with its checkpoints."""
    submit(client)
    worker = Publishing(server, tmp_path / "states")
    with working(worker) as stream:
        worker.work(lambda: ended(client) and worker.settled(), stream)
    path = tmp_path / "study.archive"
    assert write_archive(client, "study", path, checkpoints=True).checkpoints > 0
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def requests(files: dict[str, bytes], **first: str) -> Iterator[study_pb2.ImportStudyRequest]:
    """The messages of files, whatever they are."""
    for place, (name, data) in enumerate(files.items()):
        given = {"request_id": "r", **first} if not place else {}
        yield study_pb2.ImportStudyRequest(file=name, size_bytes=len(data), data=data[: 1 << 20], **given)
        for start in range(1 << 20, len(data), 1 << 20):
            yield study_pb2.ImportStudyRequest(data=data[start : start + (1 << 20)])


def rows(database_url):
    return [
        execute(database_url, f"SELECT count(*) FROM {table}")
        for table in ("studies", "metrics", "checkpoints")
    ]


def test_an_archive_comes_whole_under_another_name_once_and_is_written_down(server, client, archive):
    """1. It comes beside the study that it is of: results are there, the study is new. 2. With the same request id the
    first answer comes. 3. In another project it brings all, and its files are those that were saved."""
    other = server.connect(server.new_token("bo", "editor", "other"))
    moved = send_archive(client, archive, "moved")
    assert (moved.study.name, moved.steps_brought, moved.checkpoints_brought) == ("moved", 0, 0)
    files = members(archive)
    answers = [other.studies.ImportStudy(requests(files, request_id="same"), timeout=60) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].study.name == "study"
    assert answers[0].checkpoints_brought == sum(name.endswith("manifest.json") for name in files)
    request = study_pb2.DownloadCheckpointRequest(name="study", trial=0)
    pulled = list(other.studies.DownloadCheckpoint(request))
    got = b"".join(message.data for message in pulled[1:])
    assert got in {data for name, data in files.items() if name.endswith("weights.safetensors")}
    assert [each for each in shown(calls(client, 5)) if each[1] == "ImportStudy"] == [
        ("admin", "ImportStudy", "moved", "OK"),
        ("bo", "ImportStudy", "study", "OK"),
        ("bo", "ImportStudy", "study", "OK"),
    ]
    with pytest.raises(NotAllowed):
        send_archive(server.connect(server.token("viewer")), archive, "mine")


def forgeries(files: dict[str, bytes]) -> Iterator[tuple[dict[str, bytes], str]]:
    manifest = next(name for name in files if name.endswith("manifest.json"))
    weights = next(name for name in files if name.endswith("weights.safetensors"))
    bundle = next(name for name in files if name.startswith("bundles/"))
    yield {}, "is empty"
    yield {name: data for name, data in files.items() if name != JOURNAL}, "is to come"
    yield {**files, "../evil": b"x"}, "no archive has"
    yield {**files, "checkpoints/1/1/../../evil": b"x"}, "no archive has"
    yield {**files, "checkpoints/999/1/manifest.json": b"{}"}, "its journal does not have"
    yield {**files, weights: files[weights][:-1]}, "is to come"
    yield {**files, weights: files[weights][:-1] + b"!"}, "other bytes"
    yield {**files, manifest: files[manifest].replace(b"test", b"test2")}, "not what was saved"
    yield {name: data for name, data in files.items() if name != weights}, "is to come"
    yield {**files, bundle: b"other code"}, "is not that of"
    yield {**files, f"bundles/{'0' * 64}": b"x"}, "other code"
    yield {**files, JOURNAL: files[JOURNAL][:-20]}, "cut short"
    yield {**files, JOURNAL: files[JOURNAL].replace(b"0.1", b"0.2", 1)}, "its own digest"


def test_what_is_no_archive_is_refused_in_words_and_leaves_nothing(server, archive, database_url):
    """Into another project, so that all of it would be new: no row, and no file, is there afterwards."""
    files = members(archive)
    other = server.connect(server.new_token("bo", "editor", "other"))
    storage = Path(server.server.driver.storage_address)
    before = rows(database_url), sorted(storage.rglob("*manifest.json"))
    for number, (forged, words) in enumerate(forgeries(files)):
        with pytest.raises(InvalidStudy, match=words):
            other.studies.ImportStudy(requests(forged, request_id=f"forged {number}"), timeout=60)
    assert (rows(database_url), sorted(storage.rglob("*manifest.json"))) == before


def test_files_that_are_no_archive_or_damaged_are_refused_here(client, archive, tmp_path):
    files = members(archive)
    links = tmp_path / "links"
    with tarfile.open(links, "w") as tar:
        info = tarfile.TarInfo(JOURNAL)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    cut = tmp_path / "cut"
    cut.write_bytes(archive.read_bytes()[:-700_000])
    for path in (links, cut, packed(tmp_path / "more", {**files, "/etc/passwd": b"x"})):
        with pytest.raises(InvalidStudy, match="is damaged"):
            send_archive(client, path, "damaged")
    submit(client, request_id="taken", name="taken", space={"lr": [0.3], "momentum": [0.8]})
    with pytest.raises(Conflict, match="is not the one of the archive"):
        send_archive(client, archive, "taken")
