"""The worker's secrets: values that a study names, and that are nowhere but in a file of the worker's and its trainers.

::

    # secrets.env
    WANDB_API_KEY=0123456789abcdef

One a line, the value as it stands. Nothing of the worker's own environment is ever handed out: credentials for the
storage, say, which nobody meant for trainers.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hippo_core.errors import InvalidStudy
from hippo_core.program import ENV_NAME

DEFAULT_NAME = "secrets.env"
SHORTEST_BYTES = 6
"""Shorter values are not looked for in what is printed: they would be found everywhere."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets in a file, which is read again whenever a study names some.

    Attributes:
        file: Where they lie; only its owner may read it.
    """

    file: Path

    def chosen(self, names: Iterable[str]) -> dict[str, str]:
        """The secrets that a study names.

        Raises:
            InvalidStudy: One is not there, or is a variable of Hippo's own; or the file cannot be read.
        """
        wanted = list(names)
        for name in wanted:
            if name.startswith("HIPPO_"):
                raise InvalidStudy(
                    "secrets",
                    f"{name} is Hippo's own and is not handed to trainers.",
                    "Take it out of the list.",
                )
        known = self.read() if wanted else {}
        for name in wanted:
            if name not in known:
                raise InvalidStudy(
                    "secrets",
                    f"{name} is not among the worker's secrets.",
                    f"Write {name}=... into {self.file} there, or take it out of the list.",
                )
        return {name: known[name] for name in wanted}

    def read(self) -> dict[str, str]:
        """All that there are; none where there is no file.

        Raises:
            InvalidStudy: Others may read the file, or a line of it is no secret. No value is told.
        """
        try:
            mode = self.file.stat().st_mode
            text = self.file.read_text()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidStudy(
                "secrets-file", f"{self.file} cannot be read: {getattr(error, 'strerror', 'it is no text')}"
            ) from None
        if stat.S_IMODE(mode) & 0o077:
            raise InvalidStudy(
                "secrets-file", f"{self.file} can be read by others", f"Close it: chmod 600 {self.file}"
            )
        found: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, equals, value = line.partition("=")
            if not equals or not ENV_NAME.fullmatch(name) or "\0" in value:
                raise InvalidStudy("secrets-file", f"line {number} of {self.file} is no NAME=value")
            found[name] = value
        return found


class Redaction:
    """Puts asterisks in the place of secrets, of which what is told to the server has none.

    As many as a secret has bytes, so that no offset changes.

    Args:
        secrets: By name. Values of fewer than ``SHORTEST_BYTES`` bytes are left alone.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        values = {value.encode() for value in secrets.values()}
        self._values = [each for each in values if len(each) >= SHORTEST_BYTES]

    @property
    def margin(self) -> int:
        """So many bytes before a piece may belong to a secret that ends in it."""
        return max(map(len, self._values), default=1) - 1

    def text(self, text: str) -> str:
        """A text without secrets."""
        if not self._values:
            return text
        return self.all(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def names(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Numbers by name, the names without secrets."""
        if not self._values:
            return dict(numbers)
        return {self.text(name): number for name, number in numbers.items()}

    def all(self, data: bytes) -> bytes:
        """Bytes without secrets, also those that overlap."""
        hidden = bytearray(data)
        for value in self._values:
            at = data.find(value)
            while at >= 0:
                hidden[at : at + len(value)] = b"*" * len(value)
                at = data.find(value, at + 1)
        return bytes(hidden)

    def piece(self, before: bytes, data: bytes, *, last: bool) -> bytes:
        """The beginning of a piece, without secrets; what may be the beginning of one that goes on is left for later.

        Args:
            before: The ``margin`` bytes before it, or as many as there are.
            data: The piece.
            last: Whether nothing comes after it.
        """
        if not self._values:
            return data
        whole = before + data
        begun = 0 if last else self._begun(whole)
        return self.all(whole)[len(before) : max(len(before), len(whole) - begun)]

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret."""
        for count in range(min(len(data), self.margin), 0, -1):
            tail = data[-count:]
            if any(len(value) > count and value.startswith(tail) for value in self._values):
                return count
        return 0


NOTHING = Redaction({})
"""Where there are no secrets."""
