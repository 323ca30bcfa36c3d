"""Programs: what is trained, whatever the hyper-parameters. Only trials of one program share."""

from __future__ import annotations

import hashlib
import json as _json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hippo_core.errors import InvalidStudy
from hippo_core.secret_words import refuse_secrets
from hippo_core.values import Kind

TRAINER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
ENV_NAME = re.compile(r"[A-Za-z_]\w*")


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys and no spaces: one text for one value.

    Raises:
        ValueError: The value holds a number that is not finite.
        TypeError: The value is not plain data.
    """
    return _json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def require_keys(json: Any, known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    """Checks that JSON is an object with exactly the known keys.

    Raises:
        InvalidStudy: It is not; names the key and a near one.
    """
    if not isinstance(json, Mapping):
        raise InvalidStudy(where, f"must be a JSON object, not {json!r}")
    for key in json:
        if key not in known:
            raise InvalidStudy(f"{where}.{key}", "is not known", f"Known are: {', '.join(known)}.")
    for key in known:
        if key not in json:
            raise InvalidStudy(f"{where}.{key}", "is missing")
    return json


def require_int(value: Any, where: str, least: int, hint: str = "") -> int:
    """Checks that a value is an int of at least ``least``.

    Raises:
        InvalidStudy: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidStudy(where, f"must be an int of at least {least}, not {value!r}", hint)
    return int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What training a trial takes.

    Attributes:
        cpus: Cores, and torch's threads.
        gpus: GPUs; None: one where there is one. More than one is not supported yet.
        accelerator: ``"same"`` keeps a study on one model of GPU, or of CPU where it trains on CPUs.
    """

    cpus: int = 1
    gpus: int | None = None
    accelerator: str | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        require_int(self.cpus, "resources.cpus", 1)
        if self.gpus is not None:
            require_int(self.gpus, "resources.gpus", 0)
            if self.gpus > 1:
                raise InvalidStudy(
                    "resources.gpus",
                    f"{self.gpus} GPUs a trial are not supported yet",
                    "Use gpus=1, or leave it out: one where there is one.",
                )
        if self.accelerator not in (None, "same"):
            raise InvalidStudy(
                "resources.accelerator",
                f"must be None or 'same', not {self.accelerator!r}",
                "'same' keeps the study on one model, whichever trains first.",
            )

    def to_json(self) -> dict[str, Any]:
        """The resources as a JSON object."""
        return {"cpus": self.cpus, "gpus": self.gpus, "accelerator": self.accelerator}

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`."""
        return cls(**require_keys(json, ("cpus", "gpus", "accelerator"), "resources"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is trained, whatever the hyper-parameters.

    Attributes:
        trainer: ``module:attribute`` of the trainer's class, within the bundle.
        code_digest: Digest of the trainer's module and what it imports from the bundle, or the user's word.
        options: Plain data, as ``context.options``.
        env: Environment variables of the trainer's process.
        data_version: The user's word for the data that is trained on.
        seed: What all random generators are seeded with.
        unit: What a step is: "epoch", "iteration", ...
        evaluate_every: The states at which there are metrics: its multiples.
        deterministic: Whether torch's deterministic algorithms are asked for.
        resources: What training takes.
        kinds: The kind of each hyper-parameter, by name.
        key: The program's digest: programs of one key share.
    """

    trainer: str
    code_digest: str
    options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    data_version: str = ""
    seed: int = 0
    unit: str = "epoch"
    evaluate_every: int = 1
    deterministic: bool = True
    resources: Resources = field(default_factory=Resources)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    key: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Checks the values and computes the key."""
        if not isinstance(self.trainer, str) or not TRAINER.fullmatch(self.trainer):
            raise InvalidStudy(
                "trainer",
                f"{self.trainer!r} names no class",
                "Write 'module:Class', for example 'trainer:DigitsTrainer' for a file trainer.py.",
            )
        for name in ("code_digest", "data_version", "unit"):
            _require_text(getattr(self, name), name)
        if not self.unit:
            raise InvalidStudy("unit", "must not be empty", "Use 'epoch', 'iteration' or a word of your own.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise InvalidStudy("seed", f"must be an int from 0 to 2**32 - 1, not {self.seed!r}")
        require_int(self.evaluate_every, "evaluate_every", 1)
        if not isinstance(self.deterministic, bool):
            raise InvalidStudy("deterministic", f"must be True or False, not {self.deterministic!r}")
        object.__setattr__(self, "options", _plain_options(self.options))
        object.__setattr__(self, "env", _plain_env(self.env))
        refuse_secrets(self.options, "options")
        refuse_secrets(self.env, "env")
        kinds = {name: Kind(kind) for name, kind in sorted(self.kinds.items())}
        object.__setattr__(self, "kinds", kinds)
        content = self.to_json()
        # Whether the model of the accelerator must be the same is a matter of the plan's environment.
        del content["resources"]["accelerator"]
        object.__setattr__(self, "key", hashlib.sha256(canonical_json(content).encode()).hexdigest())

    def __hash__(self) -> int:
        return hash(self.key)

    def to_json(self) -> dict[str, Any]:
        """The program as a JSON object."""
        return {
            "trainer": self.trainer,
            "code_digest": self.code_digest,
            "options": dict(self.options),
            "env": dict(self.env),
            "data_version": self.data_version,
            "seed": self.seed,
            "unit": self.unit,
            "evaluate_every": self.evaluate_every,
            "deterministic": self.deterministic,
            "resources": self.resources.to_json(),
            "kinds": {name: kind.value for name, kind in self.kinds.items()},
        }

    @classmethod
    def from_json(cls, json: Any) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidStudy: A value is wrong, missing or not known.
        """
        content = dict(require_keys(json, PROGRAM_KEYS, "program"))
        kinds = content["kinds"]
        names = [kind.value for kind in Kind]  # a list: what is asked for may not be hashable
        if not isinstance(kinds, Mapping) or not all(kind in names for kind in kinds.values()):
            raise InvalidStudy(
                "program.kinds", f"must map names to {', '.join(sorted(names))}, not {kinds!r}"
            )
        content["resources"] = Resources.from_json(content["resources"])
        return cls(**content)


PROGRAM_KEYS = (
    "trainer",
    "code_digest",
    "options",
    "env",
    "data_version",
    "seed",
    "unit",
    "evaluate_every",
    "deterministic",
    "resources",
    "kinds",
)


def _require_text(value: Any, where: str) -> None:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidStudy(where, f"must be text, not {value!r}")


def _plain_options(options: Any) -> dict[str, Any]:
    hint = "Options are plain data: numbers, text, True, False, None, and lists and dicts of these."
    if not isinstance(options, Mapping):
        raise InvalidStudy("options", f"must be a dict, not {options!r}", hint)
    try:
        plain = _json.loads(canonical_json(dict(options)))
    except RecursionError:
        raise InvalidStudy("options", "are nested too deep, or within themselves", hint) from None
    except (TypeError, ValueError) as error:
        raise InvalidStudy("options", f"cannot be written as JSON: {error}", hint) from None
    if "\\u0000" in canonical_json(plain):
        raise InvalidStudy("options", "text must not contain a NUL character", hint)
    assert isinstance(plain, dict)
    return plain


def _plain_env(env: Any) -> dict[str, str]:
    if not isinstance(env, Mapping):
        raise InvalidStudy("env", f"must be a dict of text, not {env!r}")
    for name, value in env.items():
        if not isinstance(name, str) or not ENV_NAME.fullmatch(name):
            raise InvalidStudy("env", f"{name!r} is not the name of an environment variable")
        if not isinstance(value, str) or "\0" in value:
            raise InvalidStudy(f"env[{name!r}]", f"must be text, not {value!r}", f"Write '{value}'.")
    return dict(sorted(env.items()))
