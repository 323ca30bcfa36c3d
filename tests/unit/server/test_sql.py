"""How values are written into statements."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hippo_server.store.sql import PAGE_ROWS, Script, dump, dump_metrics, insert, update
from hippo_server.store.tables import metadata

METRICS = st.dictionaries(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(METRICS)
def test_metrics_are_written_as_any_other_json_is(metrics: dict[str, float | None]) -> None:
    assert dump_metrics(metrics) == dump(metrics)


def test_names_with_percent_signs_and_the_sign_of_zero_are_kept() -> None:
    assert dump_metrics({"%r": 0.5, 'a"%%': -0.0}) == '{"%r":0.5,"a\\"%%":-0.0}'


class Heard:
    """Stands in for a cursor."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def execute(self, statement: str) -> None:
        self.said.append(statement)


JOURNAL = metadata.tables["journal"]
TEXTS = st.sampled_from(["", "w", "a\\b'c\td"])
ROWS = st.builds(
    dict,  # all have the same columns, in one order
    st.tuples(
        st.integers(1, 10**9).map(lambda value: ("id", value)),
        st.integers(1, 2).map(lambda day: ("at", datetime(2026, 1, day, tzinfo=UTC))),
        (st.none() | TEXTS).map(lambda value: ("actor", value)),
        TEXTS.map(lambda value: ("body", {"reason": value})),
        (st.none() | st.integers(1, 3)).map(lambda value: ("study", value)),
    ),
)


def heard(rows: list[dict[str, Any]]) -> list[str]:
    cursor = Heard()
    script = Script(cursor)  # type: ignore[arg-type]
    insert(script, JOURNAL, rows)
    script.send()
    return cursor.said


def arrays(said: str) -> list[list[str]]:
    """What stands in each array of what was said, a value for each row; texts hold no comma."""
    found = re.findall(r"(?<=[ (])(string_to_array\()?\$h\$(.*?)\$h\$(?:,'\x01','NULL'\))?::", said)
    return [
        written.split("\x01") if parted else written.removeprefix("{").removesuffix("}").split(",")
        for parted, written in found
    ]


@given(st.lists(ROWS, min_size=2, max_size=5))
def test_rows_that_are_inserted_together_are_written_as_each_alone(rows: list[dict[str, Any]]) -> None:
    alone = [arrays(*heard([row])) for row in rows]
    assert len(alone[0]) == len(rows[0])
    assert arrays(*heard(rows)) == [[*chain(*values)] for values in zip(*alone, strict=True)]


def test_many_rows_are_sent_at_once_in_statements_that_are_short() -> None:
    """No statement comes near its time-out, and none has a round trip of its own."""
    row = {"id": 1, "at": datetime(2026, 1, 1, tzinfo=UTC), "actor": None, "body": {}, "study": 1}
    (said,) = heard([row] * (2 * PAGE_ROWS + 1))
    pages = [len(arrays(statement)[0]) for statement in said.split(";")]
    assert pages == [PAGE_ROWS, PAGE_ROWS, 1]


@given(st.lists(ROWS, min_size=2, max_size=5))
def test_rows_that_are_changed_together_are_written_as_each_alone(rows: list[dict[str, Any]]) -> None:
    def changing(changed: list[dict[str, Any]]) -> list[str]:
        cursor = Heard()
        script = Script(cursor, {})  # type: ignore[arg-type]
        update(script, JOURNAL, ("id",), [("study", "set"), ("actor", "set")], changed)
        script.send()
        prepared, carried_out = cursor.said
        assert prepared.startswith("PREPARE "), "by itself: PostgreSQL keeps all of the text that it comes in"
        return arrays(carried_out.removeprefix("EXECUTE "))

    alone = [changing([row]) for row in rows]
    assert len(alone[0]) == 3
    assert changing(rows) == [[*chain(*values)] for values in zip(*alone, strict=True)]
