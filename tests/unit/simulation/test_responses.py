"""What training comes to: a function of the prefix of values, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from hippo_core import policies, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.simulation import Host, PowerLaw, RecordedMetrics, Response, simulate
from tests.studies import grid

ACCURACY = Objective(metric="accuracy", maximize=True)
LOSS = Objective(metric="loss", maximize=False)
Values = list[dict[str, Any]]


def curve(response: Response, values: Values) -> list[dict[str, float]]:
    """The metrics after each step."""
    model, found = response.begin(0), []
    for step, each in enumerate(values):
        model = response.train(model, step, each)
        found.append(response.evaluate(model))
    return found


def test_power_laws_are_shared_up_to_where_values_part() -> None:
    response = PowerLaw([ACCURACY, LOSS], seed=3)
    stays = curve(response, [{"lr": 0.1, "optimizer": "sgd"}] * 8)
    parts = curve(response, [{"lr": 0.1, "optimizer": "sgd"}] * 5 + [{"lr": 0.01, "optimizer": "sgd"}] * 3)
    assert stays[:5] == parts[:5]
    assert all(one != other for one, other in zip(stays[5:], parts[5:], strict=True))
    assert curve(PowerLaw([ACCURACY, LOSS], seed=3), [{"lr": 0.1, "optimizer": "sgd"}] * 8) == stays
    assert curve(PowerLaw([ACCURACY, LOSS], seed=4), [{"lr": 0.1, "optimizer": "sgd"}] * 8) != stays


def test_power_laws_tell_values_of_different_types_apart() -> None:
    response = PowerLaw([LOSS])
    found = [curve(response, [{"x": value}] * 3) for value in (1, True, "1", (1,), None)]
    assert all(one != other for place, one in enumerate(found) for other in found[:place])


def test_without_noise_a_loss_falls_by_a_power_of_the_step() -> None:
    """Of four states of one curve the asymptote and the exponent follow, and all others with them."""
    response = PowerLaw([LOSS, ACCURACY], noise=0.0)
    found = curve(response, [{"lr": 0.1}] * 64)
    losses = [1.0, *(each["loss"] for each in found)]
    assert losses == sorted(losses, reverse=True)
    # (x(1) - a)^2 = (x(0) - a) (x(3) - a), as the exponent is the same from 1 to 2 and from 2 to 4.
    asymptote = (losses[1] ** 2 - losses[0] * losses[3]) / (2 * losses[1] - losses[0] - losses[3])
    ratio = (losses[1] - asymptote) / (losses[0] - asymptote)
    for power in range(2, 7):
        assert losses[2**power - 1] == pytest.approx(asymptote + (1 - asymptote) * ratio**power)
    assert all(0 < each["accuracy"] < 1 for each in found)


def test_noise_spreads_what_is_seen_and_not_what_is_learned() -> None:
    exact, seen = (curve(PowerLaw([LOSS], noise=noise), [{"lr": 0.1}] * 400) for noise in (0.0, 0.1))
    errors = [one["loss"] - other["loss"] for one, other in zip(seen, exact, strict=True)]
    mean = sum(errors) / len(errors)
    spread = (sum(error**2 for error in errors) / len(errors)) ** 0.5
    assert abs(mean) < 0.02
    assert 0.09 < spread < 0.11


@pytest.mark.parametrize("noise", [-0.1, 1.0, "much"])
def test_a_noise_that_is_none_is_refused(noise: Any) -> None:
    with pytest.raises(InvalidStudy, match="noise: must be a number from 0 to below 1"):
        PowerLaw([LOSS], noise=noise)


def test_recorded_metrics_decide_a_study_as_they_were_recorded() -> None:
    """1. Four rates, of which 0.2 is best at step 1 and 0.4 at step 3. 2. ASHA sees step 1 only, and promotes 0.2."""
    rates = [0.1, 0.2, 0.3, 0.4]
    first = dict(zip(rates, [0.5, 0.9, 0.6, 0.7], strict=True))
    recorded = RecordedMetrics(
        ([{"lr": rate}] * 3, {1: {"accuracy": first[rate]}, 2: {"accuracy": 0.0}, 3: {"accuracy": rate}})
        for rate in rates
    )
    spec = grid(
        {"lr": space.choice(rates)}, max_steps=3, policy=policies.asha(min_steps=1, reduction_factor=4)
    )
    found = simulate([spec], [Host(name="host", slots=2)], response=recorded)
    assert found.studies[0].trials == {"completed": 1, "stopped": 3}
    assert (found.studies[0].best_trial, found.studies[0].best_value) == (1, 0.2)
    assert found.steps_trained == 4 + 2


def test_what_was_not_recorded_is_said() -> None:
    recorded = RecordedMetrics([([{"lr": 0.1}] * 2, {2: {"accuracy": 0.5}})])
    spec = grid({"lr": space.choice([schedules.piecewise([0.1, 0.2], [1])])}, max_steps=2)
    host = [Host(name="host", slots=1)]
    with pytest.raises(InvalidStudy, match="no metrics are recorded for a state at step 1 that is evaluated"):
        simulate([grid({"lr": 0.1}, max_steps=2)], host, response=recorded)
    recorded.add([{"lr": 0.1}], {1: {"accuracy": 0.4}})
    with pytest.raises(InvalidStudy, match=r"no metrics are recorded for step 1 under \{'lr': 0\.2\}"):
        simulate([spec], host, response=recorded)


def test_records_that_contradict_each_other_are_refused() -> None:
    recorded = RecordedMetrics([([{"n": 1}] * 2, {2: {"loss": 0.5}})])
    recorded.add([{"n": 1}] * 3, {2: {"loss": 0.5}, 3: {"loss": 0.4}})
    recorded.add([{"n": True}] * 2, {2: {"loss": 0.7}})
    with pytest.raises(InvalidStudy, match=r"equal values up to state 2 have the metrics"):
        recorded.add([{"n": 1}] * 2, {2: {"loss": 0.6}})
    with pytest.raises(InvalidStudy, match="values of 1 steps, but metrics of state 2"):
        recorded.add([{"n": 1}], {2: {"loss": 0.5}})
