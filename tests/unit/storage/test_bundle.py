"""Bundles: what travels, that equal folders give equal bytes, and that unpacking trusts nothing."""

import io
import os
import random
import stat
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_core.errors import InvalidStudy
from hippo_storage import bundle, layout
from hippo_storage.errors import BundleCorrupt


def tree(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def unpacked(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


names = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\:"), min_size=1, max_size=8)
    .map(lambda text: f"n{text}z"),
    min_size=1, max_size=3,
).map("/".join)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(names, st.binary(max_size=50), max_size=6), chance=st.randoms())
def test_a_folder_comes_back_as_it_was_and_its_digest_depends_on_nothing_else(
    files: dict[str, bytes], chance: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("bundle")
    try:
        tree(base / "one", files)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return  # one name is a folder of another
    shuffled = list(files.items())
    chance.shuffle(shuffled)
    other = tree(base / "elsewhere" / "two", dict(shuffled))
    for path in other.rglob("*"):
        os.utime(path, (chance.randrange(2**31), chance.randrange(2**31)))
        path.chmod(0o700 if path.is_dir() else 0o600)
    first, second = bundle.build(base / "one"), bundle.build(other)
    assert first == second
    assert first.digest == blake3(first.archive).hexdigest()
    bundle.unpack(first.archive, base / "out", first.digest)
    assert unpacked(base / "out") == files
    assert list(first.files) == sorted(files)


def test_the_digest_does_not_depend_on_owners_groups_and_masks(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"a.py": "x", "b/c.py": "y"})
    before = bundle.build(folder).digest
    if os.geteuid() == 0:
        for path in folder.rglob("*"):
            os.chown(path, 65534, 65534)
    (folder / "a.py").chmod(0o640)
    assert bundle.build(folder).digest == before


def test_execute_bits_travel(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"run.sh": "x", "a.py": "x"})
    (folder / "run.sh").chmod(0o744)
    before = bundle.build(folder)
    bundle.unpack(before.archive, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "out" / "a.py").stat().st_mode) == 0o644
    (folder / "run.sh").chmod(0o644)
    assert bundle.build(folder).digest != before.digest


def test_a_golden_digest(tmp_path: Path) -> None:
    """Another version of Python or zipfile must not change it: bundles are shared by digest."""
    found = bundle.build(tree(tmp_path / "study", {"trainer.py": "class T: ...\n", "data/é.txt": b"\0\1"}))
    assert found.digest == GOLDEN
    assert [entry.date_time for entry in zipfile.ZipFile(io.BytesIO(found.archive)).infolist()] == [
        (1980, 1, 1, 0, 0, 0)
    ] * 2


GOLDEN = "be617083fa298f3aed5a08d60d64177018cd88d6e9e209768bab03429873c504"


def test_what_never_travels(tmp_path: Path) -> None:
    wanted = {
        "trainer.py": "",
        "study.py": "",
        "lib/net.py": "",
        "environment.yml": "",
        "token.py": "",
        "envs/a.py": "",
    }
    unwanted = [
        ".git/config", "lib/.git", ".hg/x", "__pycache__/a.pyc", "lib/__pycache__/a.py", "a.pyc", ".env", ".env.local",
        "lib/.envrc", "key.pem", "server.key", "id_rsa", "id_ed25519.pub", "worker.token", ".netrc", ".pypirc",
        ".aws/credentials", ".ssh/config", ".venv/bin/python", "env/pyvenv.cfg", "env/lib/x.py", "conda/conda-meta/x",
        "cache/CACHEDIR.TAG", "cache/x", ".mypy_cache/x", ".pytest_cache/x", "node_modules/x/y.js", "x.egg-info/x",
        ".ipynb_checkpoints/x.py", ".hippo/server/admin.token", "home/server/admin.token", "home/storage/x",
        "other/postgres/PG_VERSION", "other/x", ".DS_Store",
    ]  # fmt: skip
    folder = tree(tmp_path / "study", {**wanted, **dict.fromkeys(unwanted, "")})
    assert set(bundle.build(folder).files) == set(wanted)


def test_what_is_excluded_by_the_caller_stays_out(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"a.py": "", "state/x": "", "lib/state/y": ""})
    assert bundle.build(folder, exclude=[tmp_path / "study" / "state"]).files == ("a.py", "lib/state/y")


def test_links_and_special_files_never_travel(tmp_path: Path) -> None:
    tree(tmp_path / "outside", {"secret": "x"})
    folder = tree(tmp_path / "study", {"a.py": ""})
    (folder / "link").symlink_to(tmp_path / "outside" / "secret")
    (folder / "folder").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    assert bundle.build(folder).files == ("a.py",)


def test_ignore_files_are_honoured_as_git_does(tmp_path: Path) -> None:
    folder = tree(
        tmp_path / "study",
        {
            ".gitignore": "*.csv\n/data/\n!keep.csv\n# a comment\nlogs\n",
            ".hippoignore": "!generated.py\nnotes.md\n",
            "lib/.gitignore": "generated.py\n!big.csv\n/only_here.py\n",
            "a.csv": "", "keep.csv": "", "data/x.py": "", "lib/data/y.py": "", "logs/z": "", "lib/logs/z": "",
            "notes.md": "", "lib/notes.md": "", "generated.py": "", "lib/generated.py": "", "lib/big.csv": "",
            "lib/only_here.py": "", "lib/sub/only_here.py": "", "trainer.py": "",
        },
    )  # fmt: skip
    assert set(bundle.build(folder).files) == {
        ".gitignore", ".hippoignore", "lib/.gitignore", "keep.csv", "lib/data/y.py", "generated.py", "lib/big.csv",
        "lib/sub/only_here.py", "trainer.py",
    }  # fmt: skip


def test_hippoignore_takes_back_what_gitignore_ignores_but_never_keys(tmp_path: Path) -> None:
    folder = tree(
        tmp_path / "study",
        {".gitignore": "*.py\n.env\n", ".hippoignore": "!trainer.py\n!.env\n!id_rsa\n", "trainer.py": "", "b.py": "",
         ".env": "", "id_rsa": ""},
    )  # fmt: skip
    assert bundle.build(folder).files == (".gitignore", ".hippoignore", "trainer.py")


def test_extra_packages_keep_their_name_and_other_folders_join_the_study(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"trainer.py": ""})
    tree(tmp_path / "src" / "mylib", {"__init__.py": "", "net.py": "", "inner/x.py": ""})
    tree(tmp_path / "scripts", {"helper.py": "", "pkg/__init__.py": "", ".env": ""})
    tree(tmp_path, {"single.py": ""})
    found = bundle.build(folder, [tmp_path / "src" / "mylib", tmp_path / "scripts", tmp_path / "single.py"])
    assert found.files == (
        "helper.py", "mylib/__init__.py", "mylib/inner/x.py", "mylib/net.py", "pkg/__init__.py", "single.py",
        "trainer.py",
    )  # fmt: skip


def test_extra_folders_may_not_hide_a_file_of_the_study(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"trainer.py": "a"})
    tree(tmp_path / "scripts", {"trainer.py": "b"})
    with pytest.raises(InvalidStudy, match=r"code: .*both are trainer\.py"):
        bundle.build(folder, [tmp_path / "scripts"])
    assert bundle.build(folder, [folder]).files == ("trainer.py",), "the same file twice is no clash"


def test_folders_that_lack_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match=r"study: .*nowhere is no folder"):
        bundle.build(tmp_path / "nowhere")
    with pytest.raises(InvalidStudy, match=r"code: .*nowhere does not exist"):
        bundle.build(tmp_path, [tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["a\\b.py", "a:b.py", "a\nb.py", os.fsdecode(b"a\xff.py")])
def test_names_that_cannot_travel_are_refused(name: str, tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {name: ""})
    with pytest.raises(InvalidStudy, match="cannot travel"):
        bundle.build(folder)


def test_too_much_is_refused_and_the_largest_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path / "study", {"big.bin": b"x" * 3000, "small.py": b"x"})
    monkeypatch.setattr(layout, "MAX_BYTES", 2000)
    with pytest.raises(InvalidStudy, match=r"the largest: big\.bin .*hippoignore"):
        bundle.build(folder)
    monkeypatch.setattr(layout, "MAX_BYTES", 4000)
    monkeypatch.setattr(layout, "MAX_FILES", 1)
    with pytest.raises(InvalidStudy, match="2 files"):
        bundle.build(folder)


def archive(
    *entries: tuple[str, bytes], mode: int = stat.S_IFREG | 0o644, compress: int = zipfile.ZIP_STORED
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compress) as opened:
        for name, data in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = compress
            opened.writestr(entry, data)
    return target.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "a/../../evil", "/etc/evil", "//evil", "a//b", "./a", "a/.", "a/..", "..", ".",
        "a\\..\\b", "C:/evil",
        "C:evil", "a\nb", "a/", "x" * 2000,
    ],
)  # fmt: skip
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    refuse(archive(("ok.py", b"x"), (name, b"x")), tmp_path, "no name of a file below the folder")


def refuse(data: bytes, tmp_path: Path, words: str) -> None:
    """Refuses, and nothing is left anywhere."""
    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidStudy, match=words):
        bundle.unpack(data, tmp_path / "in" / "out")
    assert list(tmp_path.rglob("*")) == [tmp_path / "in"]


def test_names_with_a_zero_byte_are_refused(tmp_path: Path) -> None:
    data = archive(("evilXname", b"x")).replace(b"evilXname", b"evil\0name")
    refuse(data, tmp_path, "no name of a file")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR, 0])
def test_what_is_no_regular_file_is_refused(kind: int, tmp_path: Path) -> None:
    refuse(archive(("link", b"/etc/passwd"), mode=kind | 0o777), tmp_path, "no regular file")


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = archive(("a", b"1"), ("a", b"2"))
    refuse(data, tmp_path, "occurs twice")


def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path) -> None:
    refuse(archive(("a", b"1"), ("a/b", b"2")), tmp_path, "both a file and a folder")


def test_compressed_archives_are_refused_before_they_can_swell(tmp_path: Path) -> None:
    refuse(archive(("bomb", b"\0" * 1_000_000), compress=zipfile.ZIP_DEFLATED), tmp_path, "compressed")


def test_too_many_or_too_large_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive(("a", b"1"), ("b", b"2" * 100))
    monkeypatch.setattr(bundle, "MAX_FILES", 1)
    refuse(data, tmp_path, "more than")
    monkeypatch.undo()
    monkeypatch.setattr(bundle, "MAX_BYTES", 50)
    (tmp_path / "in").rmdir()
    refuse(data, tmp_path, "more than")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Many small entries over one stretch of bytes would unpack to far more than was sent."""
    data = bytearray(archive(("aa", b"x" * 1000), ("bb", b"x" * 1000)))
    end = data.rindex(b"PK\x05\x06")
    directory = struct.unpack("<I", data[end + 16 : end + 20])[0]
    second = data.index(b"PK\x01\x02", directory + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    refuse(bytes(data), tmp_path, "no archive of code")


@pytest.mark.parametrize("field", [28, 30, 32])  # lengths of the name, the extra field and the comment
def test_an_entry_that_swallows_the_next_one_is_refused(field: int, tmp_path: Path) -> None:
    data = bytearray(archive(("aa", b"1"), ("bb", b"2")))
    first = data.index(b"PK\x01\x02")
    swallowed = data.rindex(b"PK\x05\x06") - data.index(b"PK\x01\x02", first + 4)
    (length,) = struct.unpack_from("<H", data, first + field)
    struct.pack_into("<H", data, first + field, length + swallowed)
    refuse(bytes(data), tmp_path, "bundle: ")


@pytest.mark.parametrize("data", [b"", b"PK", b"nonsense" * 100])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path) -> None:
    refuse(data, tmp_path, "no archive of code")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_unpacks_whole_or_not_at_all(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("damaged")
    whole = bytearray(archive(("a.py", b"x" * 50), ("b/c.py", b"y" * 50)))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        bundle.unpack(bytes(whole), base / "in" / "out")
    except InvalidStudy:
        assert list(base.rglob("*")) == [base / "in"]
    else:
        assert [path.name for path in (base / "in").iterdir()] == ["out"]
        assert sorted(unpacked(base / "in" / "out").values()) == [b"x" * 50, b"y" * 50]


def test_the_digest_is_checked_before_anything_is_unpacked(tmp_path: Path) -> None:
    built = bundle.build(tree(tmp_path / "study", {"a.py": "x"}))
    (tmp_path / "archive").write_bytes(built.archive + b"\0")
    with pytest.raises(BundleCorrupt):
        bundle.unpack(tmp_path / "archive", tmp_path / "out", built.digest)
    assert not (tmp_path / "out").exists()
    (tmp_path / "archive").write_bytes(built.archive)
    bundle.unpack(tmp_path / "archive", tmp_path / "out", built.digest)
    assert unpacked(tmp_path / "out") == {"a.py": b"x"}


def test_unpacking_over_files_is_refused(tmp_path: Path) -> None:
    from hippo_storage.errors import StorageError

    tree(tmp_path / "out", {"mine": "x"})
    with pytest.raises(StorageError):
        bundle.unpack(archive(("a", b"1")), tmp_path / "out")
    assert unpacked(tmp_path / "out") == {"mine": b"x"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_platform_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path / "study", {"a.py": "x"})
    before = bundle.build(folder)
    monkeypatch.setattr(sys, "platform", "win32")
    assert bundle.build(folder) == before
