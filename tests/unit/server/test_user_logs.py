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


async def test_pieces_come_twice_and_in_any_order(tmp_path):
    logs = UserLogs(tmp_path)
    await logs.append(1, 7, 6, b"world\n")
    for _ in range(2):
        await logs.append(1, 7, 0, b"hello\n")
    assert await read(logs, 1) == {(1, 7): "hello\nworld\n"}


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
