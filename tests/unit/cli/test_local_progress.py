from __future__ import annotations

from hippo_client.local.progress import parse


def test_the_counter_is_summed_over_its_samples() -> None:
    page = (
        "# HELP hippo_steps_trained_total Steps.\n"
        "# TYPE hippo_steps_trained_total counter\n"
        'hippo_steps_trained_total{kind="first"} 12.0\n'
        'hippo_steps_trained_total{kind="again"} 3.0\n'
        "hippo_steps_trained_total_created 1.7e9\n"
    )
    assert parse(page) == 15


def test_a_page_without_the_counter_tells_nothing() -> None:
    assert parse("HTTP/1.1 401 Unauthorized\r\n\r\n") is None
