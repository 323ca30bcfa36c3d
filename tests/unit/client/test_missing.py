"""What modules of functions say of names that they do not have."""

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
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_what_there_is(module, name, words):
    with pytest.raises(InvalidStudy, match=words):
        getattr(module, name)


def test_python_s_own_tools_get_what_they_expect():
    assert not hasattr(schedules, "__wrapped__")
    assert not hasattr(schedules, "cosin")
    with pytest.raises(ImportError):
        from hippo_client.schedules import cosin  # noqa: F401
