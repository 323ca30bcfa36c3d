"""Logs: an event and its fields a line, as JSON for programs, or for people at a terminal.

An event has a name that does not change (``lease_granted``); what differs is in fields, by which a log can be searched.
What a whole task is about (a call's ``request_id``, a lease's ``fence``) is bound once, and is on every line that the
task writes from then on. Asterisks stand for tokens, and for passwords within addresses.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import Context, ContextVar, copy_context
from typing import Any, Literal, TextIO

from hippo_wire.secrets import PREFIX

Format = Literal["auto", "json", "text"]
FORMATS: tuple[Format, ...] = ("auto", "json", "text")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TOKEN = re.compile(rf"\b{PREFIX}[A-Za-z0-9_-]{{43}}(?![A-Za-z0-9_-])")
_PASSWORD = re.compile(r"(://[^/\s:@\"]*):[^/\s@\"]+@")
#: Libraries that say more than is of use.
_QUIET = ("alembic", "uvicorn")

_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound", default={})  # noqa: B039 - it is never changed


def bind(**fields: Any) -> None:
    """Puts fields on every line that this task, and those that it begins, write from now on; None: on no line."""
    kept = {**_bound.get(), **fields}
    _bound.set({name: value for name, value in kept.items() if value is not None})


@contextlib.contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Puts fields on every line that is written within."""
    before = _bound.get()
    bind(**fields)
    try:
        yield
    finally:
        _bound.set(before)


def unbound() -> Context:
    """A copy of the context in which nothing is bound: for a task that is about more than the one that begins it."""
    copied = copy_context()
    copied.run(_bound.set, {})
    return copied


def log_to(stream: TextIO, form: Format, **fields: Any) -> None:
    """Writes the process's log.

    Args:
        stream: Where to.
        form: ``auto``: text on a terminal, JSON elsewhere.
        **fields: What stands on every line.
    """
    handler = logging.StreamHandler(stream)
    text = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(TextFormatter() if text else JsonFormatter(fields))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)


def log_to_stderr(form: Format, **fields: Any) -> None:
    """Writes the process's log to where it talks to people; see ``log_to``."""
    log_to(sys.stderr, form, **fields)


def without_secrets(text: str) -> str:
    """A text in which asterisks stand for tokens, and for passwords within addresses."""
    return _PASSWORD.sub(r"\1:***@", _TOKEN.sub("***", text))


class JsonFormatter(logging.Formatter):
    """Records as JSON objects: ``ts`` (UTC), ``level``, ``event``, the fields, and ``traceback``.

    Args:
        fields: What stands on every line.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "ts": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **self._fields,
            **_bound.get(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(line, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Records for people: the time of day, the event, and the fields that are its own or bound."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace of an error."""
        found = {**_bound.get(), **_fields(record)}
        said = "".join(f" {name}={_shown(value)}" for name, value in found.items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"{clock} {level}{record.getMessage()}{said}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return without_secrets(line)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _shown(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"\s", text) or not text else text
