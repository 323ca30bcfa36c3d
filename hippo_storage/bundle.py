"""A study's folder as one file, named by its digest, and back.

The archive is a zip file without compression. Its bytes depend on nothing but names, contents and execute bits:
neither on times, owners and the order of a folder, nor on a compressor's version. Unpacking trusts nothing in it:
regular files only, names that stay below the folder, each once, and no more than the limits.
"""

from __future__ import annotations

import io
import stat
import struct
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from hippo_core.errors import InvalidStudy
from hippo_storage.files import DurableFiles, no_hook
from hippo_storage.layout import MAX_BYTES, MAX_FILES, SourceFile, collect, is_safe_name
from hippo_storage.verify import bundle_corrupt, in_words

MAX_ARCHIVE_BYTES = MAX_BYTES + (16 << 20)

# What zipfile raises over bytes that are no archive, or a damaged one.
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, struct.error)
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
# The end of an archive without a comment: of what is in it, length and place of the directory.
_END = struct.Struct("<12sII2x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A study's code, ready to travel.

    Attributes:
        digest: blake3 of the archive, in hexadecimal.
        archive: The archive itself.
        files: The names in it, in order.
    """

    digest: str
    archive: bytes
    files: tuple[str, ...]


def build(folder: Path, code: Sequence[Path] = (), exclude: Sequence[Path] = ()) -> Bundle:
    """Packs a study's folder.

    Args:
        folder: The study's folder.
        code: Further folders, or single files (`hippo_storage.layout` tells where they go).
        exclude: Folders that stay out, e.g. the home in use.

    Raises:
        InvalidStudy: A folder lacks, two files have one name, a name is not portable, or it is too much.
        StorageError: A file cannot be read.
    """
    with in_words(f"reading the code in {folder}"):
        sources = collect(folder, code, exclude)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
            for name, source in sources.items():
                archive.writestr(_entry(name, source), source.path.read_bytes())
    data = target.getvalue()
    return Bundle(digest=blake3(data).hexdigest(), archive=data, files=tuple(sources))


def unpack(
    archive: Path | bytes,
    into: Path,
    digest: str | None = None,
    *,
    files: DurableFiles | None = None,
    hook: Callable[[str], None] = no_hook,
) -> None:
    """Unpacks an archive into a folder, which appears whole or not at all, also after a loss of power.

    Args:
        archive: The archive, or its file.
        into: The folder to make; it must not exist, or be empty.
        digest: What the archive must hash to, where known.
        files: What carries out file operations.
        hook: Called at the named points of unpacking.

    Raises:
        BundleCorrupt: It has another digest.
        InvalidStudy: It is no archive of ours, or not a safe one; nothing was unpacked.
        StorageError: The disk failed.
    """
    temporary = into.parent / f".{into.name}.{uuid.uuid4().hex}"
    files = files or DurableFiles()
    with in_words(f"unpacking code into {into}", disk=into.parent):
        data = _contents(archive, digest)
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _opened(data) as opened:
                files.make_folder(temporary)
                folders = {temporary: None}
                for entry in opened.infolist():
                    path = temporary / entry.filename
                    _make_folders(files, path.parent, folders)
                    files.write(path, opened.read(entry))
                    path.chmod(0o755 if (entry.external_attr >> 16) & stat.S_IXUSR else 0o644)
                    files.sync(path)
                    hook(f"unpacked {entry.filename}")
            for folder in folders:
                files.sync_folder(folder)
            hook("unpacked")
            files.rename(temporary, into)
            hook("renamed")
            files.sync_folder(into.parent)
        finally:
            files.remove_tree(temporary)


def check(archive: Path) -> None:
    """Refuses an archive that ``unpack`` would refuse; writes nothing.

    Raises:
        InvalidStudy: It is no archive of ours, or not a safe one.
        StorageError: It cannot be read.
    """
    with in_words(f"checking code in {archive}"), _opened(_contents(archive, None)) as opened:
        if (damaged := opened.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged} is damaged")


@contextmanager
def _opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """An archive that has been checked, but for the contents of its files; damage found in these is refused, too."""
    try:
        _check_count(data)
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            _check(opened)
            yield opened
    except _DAMAGED as error:
        raise _refused(f"it is no archive of code ({error})") from error


def _entry(name: str, source: SourceFile) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system = _UNIX
    entry.external_attr = (stat.S_IFREG | (0o755 if source.executable else 0o644)) << 16
    return entry


def _contents(archive: Path | bytes, digest: str | None) -> bytes:
    """The archive's bytes: read once, so that what was checked is what is unpacked."""
    size_bytes = len(archive) if isinstance(archive, bytes) else archive.stat().st_size
    if size_bytes > MAX_ARCHIVE_BYTES:
        raise _refused(f"it has {size_bytes} bytes, more than {MAX_ARCHIVE_BYTES}")
    data = archive if isinstance(archive, bytes) else archive.read_bytes()
    if digest is not None and (found := blake3(data).hexdigest()) != digest:
        raise bundle_corrupt(digest, found)
    return data


def _check_count(data: bytes) -> None:
    """Refuses too many entries before they are read: each takes a kilobyte of memory and more.

    An archive of ours ends with its directory, so that no other can be found in it.
    """
    head, size_bytes, start = _END.unpack(data[-_END.size :])
    if not head.startswith(b"PK\x05\x06") or start + size_bytes + _END.size != len(data):
        raise zipfile.BadZipFile("it does not end with its directory")
    if data.count(b"PK\x01\x02", start, start + size_bytes) > MAX_FILES:
        raise _refused(f"it has more than {MAX_FILES} files")


def _check(archive: zipfile.ZipFile) -> None:
    """Refuses an archive before any of it is unpacked."""
    entries = archive.infolist()
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise _refused(f"it has more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB")
    if archive.comment or any(entry.comment or entry.extra for entry in entries):
        # Ours have none: a length that was damaged makes the entries that follow a comment.
        raise _refused("it has comments or extra fields")
    names: set[str] = set()
    for entry in entries:
        # zipfile cuts a name at a zero byte, and lets go of what came after.
        if entry.orig_filename != entry.filename or not is_safe_name(entry.filename):
            raise _refused(f"{entry.orig_filename!r} is no name of a file below the folder")
        if not stat.S_ISREG(entry.external_attr >> 16):
            raise _refused(f"{entry.filename} is no regular file")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise _refused(f"{entry.filename} is compressed")
        if entry.flag_bits & 0x1:
            raise _refused(f"{entry.filename} is encrypted")
        if entry.filename in names:
            raise _refused(f"{entry.filename} occurs twice")
        names.add(entry.filename)
    folders = {name[:index] for name in names for index, letter in enumerate(name) if letter == "/"}
    if both := sorted(folders & names):
        raise _refused(f"{both[0]} is both a file and a folder")


def _make_folders(files: DurableFiles, folder: Path, made: dict[Path, None]) -> None:
    """Makes a folder and what lacks above it, and notes them."""
    if folder not in made:
        _make_folders(files, folder.parent, made)
        files.make_folder(folder)
        made[folder] = None


def _refused(reason: str) -> InvalidStudy:
    return InvalidStudy("bundle", reason, "Send an archive that Hippo has built.")
