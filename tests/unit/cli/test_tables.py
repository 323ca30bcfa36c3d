from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hippo_client.cli.tables import GAP, fit

columns = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 40)).map(sorted).map(reversed).map(tuple), max_size=8
)


@given(columns, st.integers(0, 200))
def test_columns_fit_are_readable_and_use_the_room(columns: list[tuple[int, int]], room: int) -> None:
    widths = fit(columns, room)
    used = sum(widths) + GAP * max(0, len(widths) - 1)
    assert used <= room or not widths
    assert all(least <= width <= needed for width, (needed, least) in zip(widths, columns, strict=False)), (
        "none is cut below its least width, nor wider than it needs"
    )
    if any(width < needed for width, (needed, _) in zip(widths, columns, strict=False)):
        assert used == room, "no room is left while one is cut"
    if len(widths) < len(columns):
        leasts = [least for _, least in columns[: len(widths) + 1]]
        assert sum(leasts) + GAP * (len(leasts) - 1) > room, "the next one would not have fitted"
