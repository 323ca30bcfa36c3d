"""How values are written into statements."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hippo_server.store.sql import dump, dump_metrics

METRICS = st.dictionaries(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(METRICS)
def test_metrics_are_written_as_any_other_json_is(metrics: dict[str, float | None]) -> None:
    assert dump_metrics(metrics) == dump(metrics)


def test_names_with_percent_signs_and_the_sign_of_zero_are_kept() -> None:
    assert dump_metrics({"%r": 0.5, 'a"%%': -0.0}) == '{"%r":0.5,"a\\"%%":-0.0}'
