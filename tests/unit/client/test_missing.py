"""What modules of functions say of names that they do not have."""

import re

import pytest

from hippo_client import policies, samplers, schedules, space
from hippo_client.errors import InvalidStudy


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (schedules, "cosin", r"schedules.cosin: there is no such function. .*cosine"),
        (samplers, "bayesian", r"samplers.bayesian: .* Known are: bohb, cma_es, gp"),
        (samplers, "cmaes", r"samplers.cmaes: .* Did you mean 'cma_es'"),
        (policies, "hyperbands", r"policies.hyperbands: .*Did you mean .hyperband.\?"),
        (space, "log_uniform", r"space.log_uniform: .*loguniform"),
        (policies, "ASHAScheduler", r"Use policies.asha\(\), .*stopping=True"),
        (policies, "AsyncHyperBandScheduler", r"Use policies.asha\(\)"),
        (policies, "SuccessiveHalvingPruner", r"Use policies.asha\(\)"),
        (policies, "HyperBandScheduler", r"Use policies.hyperband\(\)"),
        (policies, "HyperbandPruner", r"Use policies.hyperband\(\)"),
        (policies, "MedianPruner", r"Use policies.median_stopping\(\)"),
        (policies, "MedianStoppingRule", r"Use policies.median_stopping\(\)"),
        (policies, "PopulationBasedTraining", r"Use policies.pbt\("),
        (policies, "PB2", r"Use policies.pb2\("),
        (policies, "autolrs", r"Use policies.greedy_phases\(\)"),
        (policies, "AutoLRS", r"Use policies.greedy_phases\(\)"),
        (policies, "PBT", r"Did you mean .pbt.\?"),
        (policies, "ForkASHA", r"Did you mean .fork_asha.\?"),
        (schedules, "WSD", r"Did you mean .wsd.\?"),
        (schedules, "CosineAnnealingLR", r"Use schedules.cosine\("),
        (schedules, "StepLR", r"Use schedules.step_decay\("),
        (schedules, "LambdaLR", r"Use schedules.from_function\("),
        (schedules, "trapezoidal", r"Use schedules.wsd\("),
        (samplers, "TPESampler", r"Use samplers.tpe\(\)"),
        (samplers, "CmaEsSampler", r"Use samplers.cma_es\(\)"),
        (samplers, "nsgaii", r"Use samplers.nsga2\(\)"),
        (samplers, "NSGAIIISampler", r"Use samplers.nsga3\(\)"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_what_there_is(module, name, words):
    with pytest.raises(InvalidStudy, match=words):
        getattr(module, name)


@pytest.mark.parametrize("module", [policies, samplers])
def test_what_is_named_instead_exists(module):
    for said in [*module._PEERS.values(), *module._ELSEWHERE.values()]:
        for where, name in re.findall(r"\b(policies|samplers)\.(\w+)", said):
            assert name in {"policies": policies, "samplers": samplers}[where].__all__


def test_schedules_that_are_named_instead_exist():
    for said in schedules._PEERS.values():
        for name in re.findall(r"schedules\.(\w+)", said):
            assert name in schedules.__all__


def test_python_s_own_tools_get_what_they_expect():
    assert not hasattr(schedules, "__wrapped__")
    assert not hasattr(schedules, "cosin")
    with pytest.raises(ImportError):
        from hippo_client.schedules import cosin  # noqa: F401
