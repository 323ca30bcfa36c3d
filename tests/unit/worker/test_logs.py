"""Shipping of what user code printed: offsets, outages, the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from hippo_core.errors import HippoError, NotFound, Unavailable
from hippo_worker.logs import PIECE_BYTES, LogShipper


class Kept:
    """A server that keeps logs."""

    def __init__(self) -> None:
        self.logs: dict[tuple[int, int], bytearray] = {}
        self.calls = 0
        self.error: HippoError | None = None

    async def append(self, fence: int, node: int, offset: int, data: bytes) -> int:
        self.calls += 1
        if self.error is not None:
            raise self.error
        log = self.logs.setdefault((fence, node), bytearray())
        if offset <= len(log):
            log[offset : offset + len(data)] = data
        return len(log)


def files(folder: Path) -> dict[str, int]:
    """What lies in a folder, with sizes."""
    return {path.name: path.stat().st_size for path in folder.iterdir()}


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_what_appears_is_shipped_from_where_the_last_piece_ended(kept: Kept, tmp_path: Path) -> None:
    shipper = LogShipper(kept.append)
    shipper.watch(7, tmp_path)
    for text in ("one\n", "two\n"):
        with (tmp_path / "1.log").open("a") as file:
            file.write(text)
        await shipper.ship()
    await shipper.ship()
    assert kept.logs == {(7, 1): b"one\ntwo\n"}
    assert kept.calls == 2


async def test_an_outage_loses_nothing(kept: Kept, tmp_path: Path) -> None:
    shipper = LogShipper(kept.append)
    shipper.watch(7, tmp_path / "7")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "1.log").write_text("one\n")
    kept.error = Unavailable("away")
    shipper.finish(7)
    await shipper.ship()
    kept.error = None
    await shipper.ship()
    assert kept.logs == {(7, 1): b"one\n"}
    assert not (tmp_path / "7").exists()


@pytest.mark.parametrize("more", ["", "two\n"])
async def test_a_server_that_has_just_taken_the_lead_gets_all_of_what_still_trains(
    kept: Kept, tmp_path: Path, more: str
) -> None:
    """1. A lease prints. 2. Another server leads, which has nothing of that. 3. It is asked, whether or not there is
    more to say, and gets all.
    """
    shipper = LogShipper(kept.append)
    shipper.watch(7, tmp_path)
    (tmp_path / "1.log").write_text("one\n")
    await shipper.ship()
    kept.logs.clear()
    shipper.doubt()
    with (tmp_path / "1.log").open("a") as file:
        file.write(more)
    await shipper.ship()
    assert kept.logs == {(7, 1): f"one\n{more}".encode()}
    asked = kept.calls
    await shipper.ship()
    assert kept.calls == asked


async def test_a_server_that_has_all_of_it_is_only_asked(kept: Kept, tmp_path: Path) -> None:
    shipper = LogShipper(kept.append)
    shipper.watch(7, tmp_path)
    (tmp_path / "1.log").write_text("one\n")
    await shipper.ship()
    shipper.doubt()
    await shipper.ship()
    assert kept.logs == {(7, 1): b"one\n"}
    assert kept.calls == 2


async def test_a_log_that_the_server_does_not_take_is_let_go(kept: Kept, tmp_path: Path) -> None:
    shipper = LogShipper(kept.append)
    for fence in (7, 8):
        shipper.watch(fence, tmp_path / str(fence))
        (tmp_path / str(fence)).mkdir()
        (tmp_path / str(fence) / "1.log").write_text("one\n")
    kept.error = NotFound("no such lease")
    await shipper.ship()
    kept.error = None
    await shipper.ship()
    assert kept.logs == {}
    assert files(tmp_path) == {}


async def test_long_output_travels_in_pieces(kept: Kept, tmp_path: Path) -> None:
    data = bytes(range(256)) * (PIECE_BYTES // 100)
    shipper = LogShipper(kept.append)
    shipper.watch(7, tmp_path)
    (tmp_path / "1.log").write_bytes(data)
    await shipper.ship()
    assert kept.logs == {(7, 1): data}
    assert kept.calls == 3


async def test_beyond_the_limit_a_notice_stands_and_the_file_is_kept_short(
    kept: Kept, tmp_path: Path
) -> None:
    """
    1. two nodes of a lease print 10 bytes together more than a mebibyte
    2. a mebibyte of it is kept, then the notice, once; the files on the disk do not grow further
    """
    limit = 1 << 20
    shipper = LogShipper(kept.append, limit_bytes=limit)
    shipper.watch(7, tmp_path)
    (tmp_path / "1.log").write_bytes(b"a" * (limit - 10))
    (tmp_path / "2.log").write_bytes(b"b" * 20)
    await shipper.ship()
    with (tmp_path / "2.log").open("ab") as file:
        file.write(b"c" * 1000)
    await shipper.ship()
    assert kept.logs[7, 1] == b"a" * (limit - 10)
    assert kept.logs[7, 2] == b"b" * 10 + b"\n[hippo] What this lease printed beyond 1 MiB is not kept.\n"
    assert files(tmp_path) == {"1.log": 0, "2.log": 0}


async def test_a_log_of_exactly_the_limit_is_whole(kept: Kept, tmp_path: Path) -> None:
    shipper = LogShipper(kept.append, limit_bytes=100)
    shipper.watch(7, tmp_path)
    (tmp_path / "1.log").write_bytes(b"a" * 100)
    await shipper.ship()
    assert kept.logs == {(7, 1): b"a" * 100}
