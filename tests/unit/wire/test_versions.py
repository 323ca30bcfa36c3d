"""Versions that work together, and what is said where they do not."""

from __future__ import annotations

import pytest

from hippo_core.errors import Incompatible
from hippo_wire.versions import check_caller, own_version


@pytest.mark.parametrize(
    ("caller", "server"),
    [
        ("0.4.0", "0.4.0"),
        ("0.4.7", "0.5.0"),
        ("0.5.0", "0.4.9"),
        ("1.0.0rc1", "1.1.0.dev3+g12ab"),
        ("2.10.1", "2.9.0"),
    ],
)
def test_one_minor_version_apart_works_together(caller: str, server: str) -> None:
    check_caller("client", caller, server)
    check_caller("worker", server, caller)


@pytest.mark.parametrize(
    ("part", "caller", "server", "words"),
    [
        ("client", "0.5.0", "0.3.0", "client 0.5.0 needs server ≥ 0.4; server is 0.3.0."),
        ("worker", "0.3.1", "0.5.2", "server 0.5.2 needs worker ≥ 0.4; worker is 0.3.1."),
        ("client", "0.9.0", "1.0.0", "server 1.0.0 needs client ≥ 1.0; client is 0.9.0."),
        ("worker", "2.0.0", "1.9.0", "worker 2.0.0 needs server ≥ 2.0; server is 1.9.0."),
        ("client", "newest", "1.9.0", "'newest' is no version."),
    ],
)
def test_others_do_not_and_hear_which_version_to_install(
    part: str, caller: str, server: str, words: str
) -> None:
    with pytest.raises(Incompatible) as refused:
        check_caller(part, caller, server)
    assert refused.value.message == words
    assert f"pip install 'hippo-hpo=={server}'" in refused.value.hint


def test_what_is_installed_here_has_a_version_that_can_be_read() -> None:
    check_caller("client", own_version(), own_version())
