"""Finds what looks like a secret where none may be: in what is kept with a study and shown to all who may read it.

Two signs count. A value of a form that only secrets have: a key of a known service, a private key, a password in an
address. And a name that says so, ``WANDB_API_KEY``, beside a value that could be one: of ``eos_token`` and
``"<|endoftext|>"`` it could not. No value is ever repeated in an error.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hippo_core.errors import InvalidStudy

_FORMS = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----
    | ://[^/\s:@]*:[^/\s:@]+@                       # a password in an address
    | \b(?:
        hippo_[A-Za-z0-9_-]{40,}
      | AKIA[0-9A-Z]{16} | ASIA[0-9A-Z]{16}          # AWS
      | AIza[0-9A-Za-z_-]{35}                        # Google
      | gh[opsur]_[A-Za-z0-9]{36,} | github_pat_[A-Za-z0-9_]{22,}
      | glpat-[A-Za-z0-9_-]{20,}                     # GitLab
      | hf_[A-Za-z0-9]{30,}                          # Hugging Face
      | sk-[A-Za-z0-9_-]{20,} | sk_live_[A-Za-z0-9]{20,}
      | xox[abprs]-[A-Za-z0-9-]{10,}                 # Slack
      | pypi-[A-Za-z0-9_-]{40,}
      | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+   # JSON Web Token
    )
    """,
    re.VERBOSE,
)
_PASSWORDS = {"password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials"}
_KEYS = {
    ("api", "key"),
    ("access", "key"),
    ("secret", "key"),
    ("private", "key"),
    ("auth", "key"),
    ("account", "key"),
    ("wandb", "key"),
    ("comet", "key"),
    ("neptune", "key"),
    ("openai", "key"),
}
_TOKENS = {"token", "apikey", "pat", "bearer"}
_OPAQUE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_\-+/=.~]{16,}")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def refuse_secrets(value: Any, where: str) -> None:
    """Refuses plain data that holds what looks like a secret.

    Args:
        value: Text, numbers, lists and dicts of these.
        where: What it is, for the words: ``env``, ``options``.

    Raises:
        InvalidStudy: There is one; names its place and what to do, and not the value.
    """
    for place, name, text in _texts(value, where, ""):
        if looks_secret(name, text):
            raise InvalidStudy(
                place,
                "looks like a secret, and would be kept with the study",
                "Name it in secrets=[...], and write its value into the workers' secrets.env.",
            )


def looks_secret(name: str, text: str) -> bool:
    """Whether a text that goes by a name looks like a secret."""
    if _FORMS.search(text):
        return True
    words = [word.lower() for word in _WORDS.findall(name)]
    if _PASSWORDS & set(words[-1:]) or _KEYS & set(itertools.pairwise(words)):
        return len(text) >= 4 and not text.isspace()
    return bool(_TOKENS & set(words)) and _OPAQUE.fullmatch(text) is not None


def _texts(value: Any, place: str, name: str) -> Iterator[tuple[str, str, str]]:
    """The texts in plain data: place, name, text."""
    match value:
        case str():
            yield place, name, value
        case Mapping():
            for key, each in value.items():
                yield from _texts(each, f"{place}[{key!r}]", str(key))
        case list() | tuple():
            for index, each in enumerate(value):
                yield from _texts(each, f"{place}[{index}]", name)
