"""What user code printed: pieces that come twice, characters that are cut, and logs that are too long."""

from __future__ import annotations

import pytest

from hippo_core.errors import InvalidStudy
from hippo_server import user_logs
from hippo_server.user_logs import UserLogs


async def read(logs, *nodes):
    found: dict[tuple[int, int], str] = {}
    async for node, fence, text in logs.read(nodes):
        found[node, fence] = found.get((node, fence), "") + text
    return found


async def test_pieces_come_twice(tmp_path):
    logs = UserLogs(tmp_path)
    for _ in range(2):
        assert await logs.append(1, 7, 0, b"hello\n") == 6
    assert await logs.append(1, 7, 6, b"world\n") == 12
    assert await logs.append(1, 7, 0, b"hello\n") == 12
    assert await read(logs, 1) == {(1, 7): "hello\nworld\n"}


async def test_a_piece_whose_beginning_lacks_is_not_kept(tmp_path):
    """As after a take-over; the worker is told from where it is to send."""
    logs = UserLogs(tmp_path)
    assert await logs.append(1, 7, 6, b"world\n") == 0
    assert await logs.append(1, 7, 0, b"") == 0
    assert await read(logs, 1) == {}
    assert await logs.append(1, 7, 0, b"hello\n") == 6
    assert await logs.append(1, 7, 9, b"ld\n") == 6
    assert await read(logs, 1) == {(1, 7): "hello\n"}


async def test_it_is_known_whether_others_may_have_logs(tmp_path):
    """A server that led all terms has all; one that led less tells which leases it has nothing of."""
    logs = UserLogs(tmp_path)
    assert logs.others_led(1)
    for term in (1, 2):
        logs.lead()
        assert not logs.others_led(term)
    assert UserLogs(tmp_path).others_led(3)
    await logs.append(1, 7, 0, b"hello\n")
    assert await logs.lacking([(1, 7), (1, 8), (2, 7), (2, 5)]) == [5, 8]


async def test_a_path_is_read_node_by_node_and_lease_by_lease(tmp_path):
    logs = UserLogs(tmp_path)
    for node, fence in ((2, 10), (2, 9), (1, 3), (5, 1)):
        await logs.append(node, fence, 0, f"{node}/{fence}".encode())
    assert list(await read(logs, 1, 2, 4)) == [(1, 3), (2, 9), (2, 10)]


@pytest.mark.parametrize("newline", [b"\n", b""])
async def test_no_character_is_cut_in_two(tmp_path, newline, monkeypatch):
    """However the pieces of the file fall, the text is the one that was printed."""
    monkeypatch.setattr(user_logs, "PIECE_BYTES", 10)
    logs = UserLogs(tmp_path)
    for text in ("größer" * 20, "😀" * 20, "a" + "ß" * 33):
        data = b"".join(character.encode() + newline for character in text)
        await logs.append(len(text), 1, 0, data)
        assert (await read(logs, len(text)))[len(text), 1] == data.decode()


async def test_what_is_no_text_is_shown_as_such(tmp_path):
    logs = UserLogs(tmp_path)
    await logs.append(1, 1, 0, b"\xff\xfe ok")
    assert await read(logs, 1) == {(1, 1): "\ufffd\ufffd ok"}


async def test_a_log_is_capped_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(user_logs, "LARGEST_LOG_BYTES", 100)
    logs = UserLogs(tmp_path)
    await logs.append(1, 1, 0, b"x" * 1000)
    await logs.append(1, 1, 10**12, b"far beyond")
    text = (await read(logs, 1))[1, 1]
    assert text.startswith("x" * 100)
    assert "cut here" in text
    assert (tmp_path / "1" / "1.log").stat().st_size == 101


async def test_numbers_that_make_no_sense_are_refused(tmp_path):
    for node, fence, offset in ((-1, 1, 0), (1, -1, 0), (1, 1, -1)):
        with pytest.raises(InvalidStudy):
            await UserLogs(tmp_path).append(node, fence, offset, b"x")
    assert list(tmp_path.iterdir()) == []
