"""Which files of a study's folder travel in its bundle, and under which names.

Regular files only: a link may point anywhere. `.gitignore` and `.hippoignore` files are honoured in every folder,
the latter last, so that it can take back what the former ignores. What is never wanted elsewhere stays out whatever
they say: version control, environments, caches, keys, `.env*`, `*.env`, and any home of Hippo, which holds tokens.

Folders given as `code` are added: one with an `__init__.py` is a package and keeps its name; the files of any other
lie beside the study file, so that what it holds is imported as if it were there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from pathspec import GitIgnoreSpec

from hippo_core.errors import InvalidStudy

MAX_FILES = 10_000
MAX_BYTES = 100 << 20
MAX_NAME_BYTES = 1024

_IGNORE_FILES = (".gitignore", ".hippoignore")
_FOLDERS = (
    ".git", ".hg", ".svn", ".jj", "CVS", ".venv", ".conda", ".pixi", ".tox", ".nox", "__pycache__", "*.egg-info",
    ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache", ".cache",
    ".ipynb_checkpoints", ".idea", ".vscode", "node_modules", ".hippo", ".ssh", ".gnupg", ".aws", ".azure",
    ".gcloud", ".kube", ".docker", ".env*",
)  # fmt: skip
_FILES = (
    ".git", ".env*", "*.env", "*.pyc", "*.pyo", ".DS_Store", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx",
    "*.ppk", "*.token", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".pypirc", ".npmrc",
    ".pgpass", ".git-credentials", ".htpasswd", "*.swp",
)  # fmt: skip
# A folder that holds one of these is an environment, a cache, or a home of Hippo.
_MARKS = (
    "pyvenv.cfg", "conda-meta", "CACHEDIR.TAG", "server/server.json", "server/admin.token", "server/worker.token",
    "postgres/PG_VERSION", "postgres/data/PG_VERSION",
)  # fmt: skip
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\:]")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of a bundle-to-be.

    Attributes:
        path: Where it lies here.
        size_bytes: Its length.
        executable: Whether its owner may execute it.
    """

    path: Path
    size_bytes: int
    executable: bool


def collect(folder: Path, code: Sequence[Path] = (), exclude: Sequence[Path] = ()) -> dict[str, SourceFile]:
    """The files of a bundle by their names in it, in the order of the names.

    Args:
        folder: The study's folder.
        code: Further folders, or single files.
        exclude: Folders that stay out, e.g. the home in use.

    Raises:
        InvalidStudy: A folder lacks, two files have one name, a name is not portable, or it is too much.
    """
    if not folder.is_dir():
        raise InvalidStudy("study", f"{folder} is no folder", "Give a study file in a folder that exists.")
    left_out = {path.resolve() for path in exclude}
    # A folder of data may hold millions of files: enough are looked at to say that it is too much.
    found = dict(islice(_walk(folder, "", left_out, ()), 10 * MAX_FILES))
    for extra in code:
        for name, source in _extra(extra, left_out):
            if name in found and found[name].path.resolve() != source.path.resolve():
                raise InvalidStudy(
                    "code",
                    f"{source.path} and {found[name].path} both are {name} in the bundle",
                    "Rename one.",
                )
            found[name] = source
    _check_size(found, folder)
    return dict(sorted(found.items()))


def is_safe_name(name: str) -> bool:
    """Whether a name stays below the folder that it is joined to, on every system."""
    parts = name.split("/")
    return (
        0 < len(os.fsencode(name)) <= MAX_NAME_BYTES
        and not _UNSAFE.search(name)
        and all(part not in ("", ".", "..") for part in parts)
    )


def _extra(path: Path, left_out: set[Path]) -> Iterator[tuple[str, SourceFile]]:
    if path.is_dir():
        resolved = path.resolve()
        prefix = f"{resolved.name}/" if (resolved / "__init__.py").is_file() else ""
        yield from _walk(resolved, prefix, left_out, ())
    elif path.is_file():
        yield path.name, _source(path, path.stat())
    else:
        raise InvalidStudy("code", f"{path} does not exist", "Give folders relative to the study file.")


def _walk(
    folder: Path, prefix: str, left_out: set[Path], above: tuple[tuple[str, GitIgnoreSpec], ...]
) -> Iterator[tuple[str, SourceFile]]:
    """The files below a folder; `above` holds the rules of the folders above, with the prefix they count from."""
    rules = (*above, (prefix, _rules(folder)))
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        name = prefix + entry.name
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if _matches(entry.name, _FOLDERS) or _ignored(name + "/", rules):
                continue
            if _is_marked(path) or path.resolve() in left_out:
                continue
            yield from _walk(path, name + "/", left_out, rules)
        elif entry.is_file(follow_symlinks=False):
            if _matches(entry.name, _FILES) or _ignored(name, rules):
                continue
            _check_name(name, path)
            yield name, _source(path, entry.stat(follow_symlinks=False))


def _rules(folder: Path) -> GitIgnoreSpec:
    lines: list[str] = []
    for name in _IGNORE_FILES:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    return GitIgnoreSpec.from_lines(lines)


def _ignored(name: str, rules: tuple[tuple[str, GitIgnoreSpec], ...]) -> bool:
    """As git decides it: the last rule that matches stands, and nearer folders come later."""
    for prefix, spec in reversed(rules):
        include = spec.check_file(name.removeprefix(prefix)).include
        if include is not None:
            return include
    return False


def _is_marked(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _source(path: Path, status: os.stat_result) -> SourceFile:
    return SourceFile(path=path, size_bytes=status.st_size, executable=bool(status.st_mode & stat.S_IXUSR))


def _check_name(name: str, path: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        portable = False
    else:
        portable = is_safe_name(name)
    if not portable:
        raise InvalidStudy(
            "study", f"the name of {str(path)!r} cannot travel", "Rename it, or name it in .hippoignore."
        )


def _check_size(found: dict[str, SourceFile], folder: Path) -> None:
    total_bytes = sum(source.size_bytes for source in found.values())
    if len(found) <= MAX_FILES and total_bytes <= MAX_BYTES:
        return
    largest = sorted(found.items(), key=lambda item: (-item[1].size_bytes, item[0]))[:3]
    named = ", ".join(f"{name} ({source.size_bytes / 2**20:.1f} MiB)" for name, source in largest)
    raise InvalidStudy(
        "study",
        f"{folder} has {len(found)} files of {total_bytes / 2**20:.1f} MiB, more than {MAX_FILES} files or "
        f"{MAX_BYTES >> 20} MiB; the largest: {named}",
        "Keep data elsewhere, or name them in .hippoignore.",
    )
