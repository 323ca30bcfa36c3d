"""What looks like a secret is refused in what is kept with a study, and nothing else is."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core.errors import InvalidStudy
from hippo_core.program import Program
from hippo_core.secret_words import looks_secret, refuse_secrets

LETTERS = string.ascii_letters + string.digits


def drawn(length: int) -> str:
    """As a service draws them; put together here, so that no scanner finds any in this file."""
    return "".join(random.Random(length).choices(LETTERS, k=length))


SECRETS = {
    "WANDB_API_KEY": drawn(40),
    "MLFLOW_TRACKING_PASSWORD": "hunter2",
    "aws_secret_access_key": drawn(40),
    "HF_TOKEN": drawn(30),
    "apiKey": "1234",
    "db.password": "correct horse battery staple",
    "clientSecret": drawn(12),
    "anything": "hf_" + drawn(34),
    "key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    "url": "postgresql://hippo:" + drawn(9) + "@db.example.org/hippo",
    "header": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + drawn(20),
    "note": "use AKIA" + "".join(random.Random(1).choices(string.ascii_uppercase, k=16)),
    "server": "hippo_" + drawn(43),
}
HARMLESS = {
    "eos_token": "<|endoftext|>",
    "pad_token": "[PAD]",
    "tokenizer": "bert-base-uncased-2024-06-01",
    "TOKENIZERS_PARALLELISM": "false",
    "max_tokens": "1000000000000000000000",
    "token_dropout": "0.1",
    "key": "value",
    "sort_key": "validation_accuracy_2",
    "secret": "",
    "monkey": drawn(40),
    "data": "/data/imagenet/2012/train-0000-of-1024",
    "url": "https://example.org:443/path?x=1",
    "proxy": "http://proxy.example.org:3128",
    "ssh": "git@github.com:owner/name.git",
    "digest": "d" * 64,
    "WANDB_PROJECT": "vision2",
}


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_secret_is_refused_by_its_place_and_never_repeated(name: str) -> None:
    """B12. Wherever it is: among the variables, or deep in the options."""
    value = SECRETS[name]
    for place, given_ in (
        (f"options[{name!r}]", {name: value}),
        (f"options['a'][1][{name!r}]", {"a": [0, {name: value}]}),
    ):
        with pytest.raises(InvalidStudy) as refused:
            refuse_secrets(given_, "options")
        assert refused.value.field == place
        assert "secrets=" in refused.value.hint
        assert value not in str(refused.value)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_sounds_like_one_passes(name: str) -> None:
    assert not looks_secret(name, HARMLESS[name])
    refuse_secrets({name: HARMLESS[name], "n": [1, None, 0.5, True]}, "options")


@pytest.mark.parametrize("field", ["env", "options"])
def test_a_program_has_none(field: str) -> None:
    with pytest.raises(InvalidStudy, match=f"{field}.'WANDB_API_KEY'"):
        Program(trainer="a:B", code_digest="d", **{field: {"WANDB_API_KEY": SECRETS["WANDB_API_KEY"]}})


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_text_is_judged(name: str, text: str) -> None:
    assert looks_secret(name, text) in (True, False)
    assert looks_secret(name, f"{text} {SECRETS['anything']}")


def test_long_texts_take_no_time() -> None:
    """The forms are searched in one pass: a text that almost matches everywhere is no trap."""
    for text in ("://" * 100_000, "://a:" * 50_000, "eyJ" + "a" * 300_000, "-----BEGIN " * 30_000):
        assert not looks_secret("token", text)
