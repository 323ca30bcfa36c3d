"""A study in a storage of Optuna's, where ``optuna.load_study`` and optuna-dashboard find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hippo_client.optuna_study import convert
from hippo_core.errors import HippoError
from hippo_core.simulation.recording import Recording

_SQLITE = (".db", ".sqlite", ".sqlite3")


def write_optuna(recording: Recording, place: str) -> str:
    """Adds the study to a storage.

    Args:
        recording: The study.
        place: A database's URL; or a file: one that ends in .db or .sqlite is an SQLite database, any other a journal.

    Returns:
        How it is loaded, as a line of Python.

    Raises:
        HippoError: Optuna is not installed.
        Conflict: The storage has a study of that name.
        OSError: The file cannot be written.
    """
    storage, written = _storage(place)
    convert(recording, storage)
    return f"optuna.load_study(study_name={recording.name!r}, storage={written})"


def _storage(place: str) -> tuple[Any, str]:
    try:
        import optuna.storages.journal as journal
        from optuna.storages import JournalStorage
    except ImportError as error:
        raise HippoError("--format optuna needs Optuna.", "pip install 'hippo-hpo[plots]'") from error
    if "://" in place:
        return place, repr(place)
    Path(place).open("ab").close()  # where it cannot be written, this says why
    if Path(place).suffix in _SQLITE:
        url = f"sqlite:///{place}"
        return url, repr(url)
    written = f"JournalStorage(JournalFileBackend({place!r}))"
    return JournalStorage(journal.JournalFileBackend(place)), written
