"""The code digest: what a trainer's results can depend on, found without importing anything.

Starting from the trainer's module, imports are followed as the interpreter would follow them with the bundle first
on its path: wherever they stand (in functions, in ``try``), absolute and relative, packages with their
``__init__.py``, and modules named to ``importlib.import_module`` or ``__import__`` by a literal. Where a module that
is reached computes the name of what it imports, every Python file of the bundle counts, since any may be meant.

The study file never counts, unless the trainer is defined there: it says what to search, not how to train. A module
that imports it is therefore refused. What is installed is no part of the bundle; the environment tells of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from blake3 import blake3

from hippo_core.errors import InvalidStudy
from hippo_storage.imports import Source, Wanted, parse
from hippo_storage.layout import SourceFile, collect
from hippo_storage.verify import in_words

_EXTENSIONS = (".so", ".pyd")


class TrainerMissing(InvalidStudy):
    """The trainer's module, or that of the user's own policy, is not in the bundle."""


def code_files(
    folder: Path,
    trainer_module: str,
    code: Sequence[Path] = (),
    study_file: Path | None = None,
    exclude: Sequence[Path] = (),
    field: str = "trainer",
) -> dict[str, Path]:
    """The files that count for the code digest, by their names in the bundle, in order.

    Args:
        folder: The study's folder.
        trainer_module: The trainer's module, with dots.
        code: Further folders, as for `hippo_storage.bundle.build`.
        study_file: The study file; it counts only if it is the trainer's module.
        exclude: Folders that stay out of the bundle.
        field: Whose module it is, for messages.

    Raises:
        TrainerMissing: The trainer's module is not in the bundle.
        InvalidStudy: A file that counts has a syntax error, is left out of the bundle, or imports the study file.
    """
    with in_words(f"reading the code in {folder}"):
        return _Closure(folder, collect(folder, code, exclude), study_file, field).of(trainer_module)


def code_digest(
    folder: Path,
    trainer_module: str,
    code: Sequence[Path] = (),
    study_file: Path | None = None,
    exclude: Sequence[Path] = (),
    field: str = "trainer",
) -> str:
    """The digest of `code_files`: of their names and their bytes.

    Raises:
        TrainerMissing: The trainer's module is not in the bundle.
        InvalidStudy: A file that counts has a syntax error, is left out of the bundle, or imports the study file.
    """
    hasher = blake3()
    with in_words(f"reading the code in {folder}"):
        for name, path in code_files(folder, trainer_module, code, study_file, exclude, field).items():
            for piece in (name.encode(), path.read_bytes()):
                # Lengths first: else a file's end could be taken for the next one's beginning.
                hasher.update(len(piece).to_bytes(8, "little"))
                hasher.update(piece)
    return hasher.hexdigest()


class _Closure:
    """The files that are reached from one module of a bundle."""

    def __init__(
        self, folder: Path, files: dict[str, SourceFile], study_file: Path | None, field: str
    ) -> None:
        self._field = field
        self._folder = folder
        self._files = files
        study = None if study_file is None else study_file.resolve()
        self._study = {name for name, source in files.items() if source.path.resolve() == study}
        self._folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
        self._extensions = {
            f"{PurePosixPath(name).parent / PurePosixPath(name).name.split('.')[0]}": name
            for name in files
            if name.endswith(_EXTENSIONS)
        }

    def of(self, trainer_module: str) -> dict[str, Path]:
        """The files by name, in order; raises as `code_files`."""
        start, found = self._find(trainer_module)
        if not found:
            self._require_in_bundle("the study", Wanted(module=trainer_module, line=0))
            raise TrainerMissing(
                self._field,
                f"there is no module {trainer_module} in {self._folder}",
                "Put it beside the study file, or name its folder in code=[...].",
            )
        study = set() if self._study.intersection(start) else self._study
        reached = dict.fromkeys(start)
        computed = False
        for name in iter_growing(reached):
            if not name.endswith(".py"):
                continue
            source = self._parse(name)
            computed = computed or source.computed
            for wanted in source.wanted:
                for each in self._imported(name, wanted):
                    if each in study:
                        raise _imports_study(self._field, name, wanted.line, each)
                    reached.setdefault(each)
        if computed:
            python = (name for name in self._files if name.endswith((".py", *_EXTENSIONS)))
            reached.update(dict.fromkeys(name for name in python if name not in study))
        return {name: self._files[name].path for name in sorted(reached)}

    def _imported(self, name: str, wanted: Wanted) -> list[str]:
        """The files that one import of the file `name` runs, those of the packages above included."""
        files, found = self._find(wanted.module)
        if not found:
            self._require_in_bundle(name, wanted)
        if wanted.star and files and files[-1].endswith("/__init__.py"):
            for listed in self._parse(files[-1]).listed:
                files = [*files, *self._find(f"{wanted.module}.{listed}")[0]]
        return files

    def _find(self, module: str) -> tuple[list[str], bool]:
        """The files that importing a module runs, as far as it is in the bundle, and whether it is there.

        As the interpreter decides it: a package before an extension before a file, and last a folder without an
        ``__init__.py``, which is a package with no file of its own.
        """
        files: list[str] = []
        file: str | None = None
        for part_count in range(1, module.count(".") + 2):
            stem = "/".join(module.split(".")[:part_count])
            candidates = (f"{stem}/__init__.py", self._extensions.get(stem, ""), f"{stem}.py")
            file = next((name for name in candidates if name in self._files), None)
            if file is not None:
                files.append(file)
            elif stem not in self._folders:
                return files, False
        return files, file is not None

    def _require_in_bundle(self, name: str, wanted: Wanted) -> None:
        stem = wanted.module.replace(".", "/")
        where = f"{name}, line {wanted.line}, imports" if wanted.line else f"{name} needs"
        for lacking in (f"{stem}.py", f"{stem}/__init__.py"):
            if lacking not in self._files and os.path.lexists(self._folder / lacking):
                raise InvalidStudy(
                    self._field,
                    f"{where} {lacking}, which does not travel in the bundle",
                    f"It is a link, or ignored: make it a plain file, or add !/{lacking} to .hippoignore.",
                )

    def _parse(self, name: str) -> Source:
        return parse(name, self._files[name].path.read_bytes(), self._field)


def iter_growing(names: dict[str, None]) -> Iterator[str]:
    """The keys of a dict that grows meanwhile, each once."""
    done = 0
    while done < len(names):
        batch = list(names)[done:]
        done += len(batch)
        yield from batch


def _imports_study(field: str, name: str, line: int, study: str) -> InvalidStudy:
    return InvalidStudy(
        field,
        f"{name}, line {line}, imports the study file {study}",
        f"Move what both use into a module of its own: an edit of the study file must not change the {field}.",
    )
