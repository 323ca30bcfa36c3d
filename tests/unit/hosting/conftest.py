"""Each test leaves the process as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.hosting.untouched import untouched


@pytest.fixture(autouse=True)
def untouched_process() -> Iterator[None]:
    with untouched():
        yield
