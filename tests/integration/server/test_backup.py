"""Backups: which files are copied when, what is refused, and that half a restore is none."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import pytest

from hippo_core.errors import Conflict, InvalidStudy, Unavailable
from hippo_server.backup import DUMP, Place, back_up, restore
from hippo_server.postgres.embedded import EmbeddedPostgres
from hippo_server.store import Store
from hippo_server.store.database import parse_url


def value(url: str, statement: str) -> object:
    plain = parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchone()
            assert found is not None
            return found[0]
    finally:
        connection.close()


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Place:
    """A migrated database that a server has led, and a storage."""
    store = Store(database_url)
    store.resign(store.lead("test", 10.0))
    store.close()
    return Place(home=tmp_path / "home", database_url=database_url, storage=str(tmp_path / "storage"))


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)


def checkpoints(place: Place) -> Path:
    assert place.database_url is not None
    identity = value(place.database_url, "SELECT value::text FROM identity")
    return Path(place.storage) / str(identity) / "checkpoints" / "1" / "1"


def held(folder: Path) -> dict[str, str]:
    """The files of a folder, however deep, by name."""
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_what_comes_after_the_database_is_copied_too_and_what_is_there_is_not_copied_again(
    place: Place, tmp_path: Path
) -> None:
    """1. A checkpoint is there at first, one comes and one goes after the database was copied: all are in the backup.
    2. Brought up to date, the backup gets what is new. 3. Leftovers of writers are in neither."""
    there, backup = checkpoints(place), tmp_path / "backup"
    write(there / "3" / "7", data="state", manifest_json="{}")
    write(there / "6" / "7", data="going", manifest_json="{}")
    write(there.parents[2] / "temporary" / "x", data="half")

    def between() -> None:
        write(there / "9" / "8", data="later", manifest_json="{}")
        for file in (there / "6" / "7").iterdir():
            file.unlink()

    copied = back_up(place, backup, between)
    assert (copied.files, copied.size_bytes, copied.storage) == (6, 3 * 2 + 5 * 3, True)
    expected = {
        f"{step}/{fence}/{name}": content
        for step, fence, data in ((3, 7, "state"), (6, 7, "going"), (9, 8, "later"))
        for name, content in (("data", data), ("manifest.json", "{}"))
    }
    assert held(backup / "storage" / there.relative_to(place.storage)) == expected
    assert "temporary" not in {each.name for each in backup.rglob("*")}
    assert backup.stat().st_mode & 0o077 == 0

    write(there / "12" / "9", data="new", manifest_json="{}")
    assert back_up(place, backup).files == 2
    assert sorted(each.name for each in backup.iterdir()) == [DUMP, "storage"]


def test_a_checkpoint_with_a_file_that_cannot_be_copied_has_no_manifest_in_the_backup(
    place: Place, tmp_path: Path
) -> None:
    there, backup = checkpoints(place), tmp_path / "backup"
    write(there / "3" / "7", manifest_json="{}")
    (tmp_path / "secret").write_text("not the storage's")
    (there / "3" / "7" / "data").symlink_to(tmp_path / "secret")
    back_up(place, backup)
    assert held(backup / "storage") == {}


def test_half_a_restore_is_none(place: Place, tmp_path: Path, empty_database_url: str) -> None:
    """1. The database cannot be put back to its end: nothing is in it, and a server would not find a table. 2. The same
    again, with a backup that is whole: all is there, and numbers are passed over. 3. Once more: refused."""
    write(checkpoints(place) / "3" / "7", data="state", manifest_json="{}")
    backup = tmp_path / "backup"
    back_up(place, backup)
    there = Place(home=tmp_path / "other", database_url=empty_database_url, storage=str(tmp_path / "new"))
    dump = (backup / DUMP).read_text()
    assert "SET transaction_timeout" not in dump, "PostgreSQL before 17 does not know it"
    (backup / DUMP).write_text(dump + "\nSELECT 1 / 0;\n")
    with pytest.raises(Unavailable, match=r"psql failed: .*division by zero"):
        restore(there, backup)
    assert value(empty_database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0

    (backup / DUMP).write_text(dump)
    restore(there, backup)
    assert held(tmp_path / "new") == held(backup / "storage")
    skipped = value(empty_database_url, "SELECT skipped_fences FROM identity")
    assert isinstance(skipped, int)
    assert skipped >= 1_000_000_000
    store = Store(empty_database_url)  # leads at once, as nothing is unsure any more
    store.resign(store.lead("test", 10.0))
    store.close()
    with pytest.raises(Conflict, match="not empty"):
        restore(there, backup)


def test_a_backup_is_restored_into_an_embedded_database(place: Place, tmp_path: Path) -> None:
    assert place.database_url is not None
    identity = value(place.database_url, "SELECT value::text FROM identity")
    back_up(place, tmp_path / "backup")
    home = tmp_path / "other"
    restore(Place(home=home, database_url=None, storage=str(home / "storage")), tmp_path / "backup")
    postgres = EmbeddedPostgres(home)
    try:
        assert value(postgres.start(), "SELECT value::text FROM identity") == identity
        with pytest.raises(Conflict, match="a server uses the home"):
            restore(Place(home=home, database_url=None, storage=str(home / "storage")), tmp_path / "backup")
    finally:
        postgres.stop()


def test_an_object_store_is_left_alone(place: Place, tmp_path: Path) -> None:
    elsewhere = Place(home=place.home, database_url=place.database_url, storage="s3://bucket/hippo")
    copied = back_up(elsewhere, tmp_path / "backup")
    assert (copied.files, copied.storage) == (0, False)
    assert (tmp_path / "backup" / DUMP).is_file()


def test_what_is_no_backup_and_no_place_for_one_is_refused(
    place: Place, tmp_path: Path, empty_database_url: str
) -> None:
    with pytest.raises(InvalidStudy, match="holds no whole backup"):
        restore(place, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter").touch()
    with pytest.raises(InvalidStudy, match="holds something else"):
        back_up(place, tmp_path / "full")
    with pytest.raises(InvalidStudy, match="lies in the storage"):
        back_up(place, Path(place.storage) / "backup")
    (tmp_path / "other" / "storage" / "another").mkdir(parents=True)
    with pytest.raises(InvalidStudy, match="is a backup of another database"):
        back_up(place, tmp_path / "other")
    empty = Place(home=place.home, database_url=empty_database_url, storage=place.storage)
    with pytest.raises(InvalidStudy, match="is no database of Hippo"):
        back_up(empty, tmp_path / "backup")
    (tmp_path / "file").touch()
    for unwritable in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidStudy, match="cannot be written"):
            back_up(place, unwritable)
    nothing = Place(home=tmp_path / "nothing", database_url=None, storage=place.storage)
    with pytest.raises(InvalidStudy, match="holds no database"):
        back_up(nothing, tmp_path / "backup")
