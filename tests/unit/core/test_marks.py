"""A state has one mark, wherever it is drawn."""

from __future__ import annotations

from hippo_core.charts.parameter_charts import _KINDS
from hippo_core.drawings.stage_tree_svg import ENDS
from hippo_core.engine.states import TrialState


def test_stopped_trials_are_squares_in_charts_and_in_the_tree() -> None:
    marks = {state: marker for state, _, _, marker in _KINDS}
    assert (ENDS["stopped"], marks[TrialState.STOPPED]) == ("■", "square")
