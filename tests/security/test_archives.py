"""S06. Archives that are no bundles of ours: each is refused in words, and nothing of it is anywhere."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hippo_core.errors import InvalidStudy
from hippo_storage import bundle
from hippo_storage.layout import MAX_FILES

REGULAR = stat.S_IFREG | 0o644
Entry = tuple[str, bytes, int]


def zipped(
    *entries: Entry, compression: int = zipfile.ZIP_STORED, comment: bytes = b"", extra: bytes = b""
) -> bytes:
    """A zip file of entries: name, content, mode."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as opened:
        for name, data, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type, entry.extra = mode << 16, compression, extra
            opened.writestr(entry, data)
        opened.comment = comment
    return target.getvalue()


def plain(name: str, data: bytes = b"x") -> bytes:
    return zipped(("ok.py", b"1", REGULAR), (name, data, REGULAR))


def of_kind(kind: int, target: bytes = b"/etc/passwd") -> bytes:
    return zipped(("ok.py", b"1", REGULAR), ("entry", target, kind | 0o777))


def renamed(data: bytes, before: bytes, after: bytes) -> bytes:
    assert len(before) == len(after)
    return data.replace(before, after)


def twice() -> bytes:
    return renamed(zipped(("a.py", b"1", REGULAR), ("b.py", b"2", REGULAR)), b"b.py", b"a.py")


def through_a_link() -> bytes:
    return zipped(("out", b"..", stat.S_IFLNK | 0o777), ("out/evil", b"x", REGULAR))


def quoted() -> bytes:
    """Entries that lie within each other, so that little unpacks to much."""
    data = bytearray(zipped(*((f"{number:02}", b"x" * 1000, REGULAR) for number in range(50))))
    at = data.index(b"PK\x01\x02")
    while at >= 0:
        data[at + 42 : at + 46] = struct.pack("<I", 0)
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(data)


def told(field: int, form: str, value: int) -> bytes:
    """One field of the first entry in the directory says something else."""
    data = bytearray(plain("a.py"))
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + field, value)
    return bytes(data)


def crowded(count: int = 1_000_000) -> bytes:
    """A million entries of nothing, which share their one local header."""
    name = b"a"
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + name
    entry = (
        struct.pack(
            "<4s6H3I5H2I", b"PK\x01\x02", 788, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, REGULAR << 16, 0
        )
        + name
    )
    directory = entry * count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFE, 0xFFFE, len(directory), len(local), 0)
    return local + directory + end


def many() -> bytes:
    """So many entries that the directory's own count does not hold them: another record does."""
    return zipped(*((f"{number}", b"", REGULAR) for number in range(70_000)))


def tar(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as opened:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        opened.addfile(entry)
    return target.getvalue()


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "slip": lambda: plain("../evil"),
    "slip within": lambda: plain("a/../../evil"),
    "slip far": lambda: plain("../" * 40 + "tmp/evil"),
    "absolute": lambda: plain("/tmp/evil"),
    "two slashes": lambda: plain("//tmp/evil"),
    "backslashes": lambda: plain("a\\..\\..\\evil"),
    "drive": lambda: plain("C:/evil"),
    "drive without a root": lambda: plain("C:evil"),
    "UNC": lambda: plain("\\\\host\\share\\evil"),
    "stream of NTFS": lambda: plain("a.py:evil"),
    "dot": lambda: plain("./a.py"),
    "dots at the end": lambda: plain("a/.."),
    "empty part": lambda: plain("a//b.py"),
    "folder": lambda: plain("a/", b""),
    "zero byte": lambda: renamed(plain("evilXname"), b"evilXname", b"evil\0name"),
    "new line": lambda: plain("a\nb.py"),
    "escape": lambda: plain("a\x1b[2Jb.py"),
    "long name": lambda: plain("x" * 4096),
    "empty name": lambda: renamed(plain("\x01"), b"\x01", b"\x00"),
    "symbolic link": lambda: of_kind(stat.S_IFLNK),
    "link that stays within": lambda: of_kind(stat.S_IFLNK, b"ok.py"),
    "through a link": through_a_link,
    "character device": lambda: of_kind(stat.S_IFCHR),
    "block device": lambda: of_kind(stat.S_IFBLK),
    "pipe": lambda: of_kind(stat.S_IFIFO),
    "socket": lambda: of_kind(stat.S_IFSOCK),
    "folder by its mode": lambda: of_kind(stat.S_IFDIR),
    "no kind at all": lambda: of_kind(0),
    "twice": twice,
    "file and folder": lambda: zipped(("a", b"1", REGULAR), ("a/b", b"2", REGULAR)),
    "bomb": lambda: zipped(("bomb", b"\0" * 50_000_000, REGULAR), compression=zipfile.ZIP_DEFLATED),
    "bomb by LZMA": lambda: zipped(("bomb", b"\0" * 5_000_000, REGULAR), compression=zipfile.ZIP_LZMA),
    "bomb of shared bytes": quoted,
    "a million entries": crowded,
    "one entry too many": lambda: zipped(*((f"{number}", b"", REGULAR) for number in range(MAX_FILES + 1))),
    "comment": lambda: zipped(("a.py", b"1", REGULAR), comment=b"PK\x05\x06 twice"),
    "extra field": lambda: zipped(("a.py", b"1", REGULAR), extra=struct.pack("<HHI", 0x7875, 4, 0)),
    "encrypted": lambda: told(8, "<H", 1),
    "size that lies": lambda: told(24, "<I", 2**32 - 2),
    "place that lies": lambda: told(42, "<I", 2**31),
    "checksum that lies": lambda: told(16, "<I", 1),
    "method that nobody knows": lambda: told(10, "<H", 99),
    "tar with a slip": lambda: tar("../evil"),
    "tar with a hard link to a link": lambda: tar("a", tarfile.LNKTYPE, "../evil"),
    "tar with a device": lambda: tar("a", tarfile.CHRTYPE),
    "gzip": lambda: b"\x1f\x8b\x08" + b"\0" * 100,
    "sixty-five thousand entries and more": many,
    "nothing": lambda: b"",
    "cut short": lambda: plain("a.py")[:-10],
}


def test_there_are_enough_kinds() -> None:
    assert len(ARCHIVES) >= 40


@pytest.mark.parametrize("kind", ARCHIVES)
def test_it_is_refused_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    data = ARCHIVES[kind]()
    (tmp_path / "around" / "in").mkdir(parents=True)
    with pytest.raises(InvalidStudy, match=r"^bundle: "):
        bundle.unpack(data, tmp_path / "around" / "in" / "out")
    archive = tmp_path / "archive"
    archive.write_bytes(data)
    with pytest.raises(InvalidStudy, match=r"^bundle: "):
        bundle.check(archive)
    archive.unlink()
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "around", tmp_path / "around" / "in"]
    assert not Path("/tmp/evil").exists()


def test_a_good_one_is_not(tmp_path: Path) -> None:
    """What the others are changes of."""
    (tmp_path / "archive").write_bytes(plain("a.py"))
    bundle.check(tmp_path / "archive")
    bundle.unpack(plain("a.py"), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.py", "ok.py"}


def test_a_million_entries_are_counted_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each would take a kilobyte of memory."""

    def read(*arguments: object) -> None:
        raise AssertionError("it is read")

    monkeypatch.setattr(zipfile, "ZipFile", read)
    with pytest.raises(InvalidStudy, match="more than 10000 files"):
        bundle.unpack(crowded(), tmp_path / "out")
