"""What studies may be called: names travel in paths, in labels of metrics and on command lines."""

from __future__ import annotations

import re
from typing import Any

from hippo_core.errors import InvalidStudy

LONGEST_NAME = 128
FORM = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
NAME = re.compile(FORM)
SHOWN = 60  #: characters of a wrong name


def require_name(name: Any, field: str = "name") -> None:
    """Refuses what cannot be a name.

    Raises:
        InvalidStudy: It is none.
    """
    if isinstance(name, str) and NAME.fullmatch(name):
        return
    text = ascii(name)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
    raise InvalidStudy(
        field, f"must match {FORM}, not {shown}", "Use letters, digits, dots, dashes and underscores."
    )
