"""The user's classes: importing them from the bundle, and checking them before anything is spent on training."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import site
import sys
import sysconfig
from functools import cache
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hippo_core.training import Trainer
from hippo_worker.hosting.compiler_caches import compiler_caches
from hippo_worker.hosting.failures import InvalidTrainer

if TYPE_CHECKING:
    from hippo_core.own_policy import Policy

_METHODS = {"setup": ("context",), "apply": ("hp",), "train": ("step",), "evaluate": ()}


class Code:
    """The code of one bundle in this process.

    Args:
        folder: The unpacked bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._known = set(sys.modules)

    def trainer_class(self, trainer: str) -> type[Trainer]:
        """Imports and checks the trainer's class.

        Args:
            trainer: ``module:attribute``.

        Raises:
            InvalidTrainer: It is not a trainer, lacks a method, or its module is not the bundle's.
            Exception: Whatever the module raises while it is imported.
        """
        return _require_trainer(self._find(trainer, Trainer), trainer)

    def policy_class(self, policy: str) -> type[Policy]:
        """Imports and checks the class of a user's own policy.

        Args:
            policy: ``module:attribute``.

        Raises:
            InvalidTrainer: It is not a policy, cannot be made, or its module is not the bundle's.
            Exception: Whatever the module raises while it is imported.
        """
        from hippo_core.own_policy import Policy

        found = self._find(policy, Policy)
        if not isinstance(found, type) or not issubclass(found, Policy):
            raise InvalidTrainer(
                f"{policy} is no Policy.", f"Write: class {policy.partition(':')[2]}(hippo.Policy)."
            )
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise InvalidTrainer(f"{policy} lacks {', '.join(missing)}.", "Write: def decide(self).")
        return found

    def _find(self, reference: str, kind: type) -> Any:
        """What a reference of the form ``module:attribute`` names; where it is not there, those of its kind are."""
        module_name, _, attribute = reference.partition(":")
        path = str(self.folder)
        if path not in sys.path:
            sys.path.insert(0, path)
        importlib.invalidate_caches()
        module = importlib.import_module(module_name)
        self._require_own(module)
        found: Any = module
        for part in attribute.split("."):
            if not hasattr(found, part):
                classes = ", ".join(sorted(_classes_of(module, kind))) or "none"
                what = "Trainers" if kind is Trainer else "Policies"
                raise InvalidTrainer(f"{module_name} has no {attribute}.", f"{what} in it: {classes}.")
            found = getattr(found, part)
        return found

    def is_users(self, cls: type) -> bool:
        """Whether a class comes from the bundle."""
        module = sys.modules.get(cls.__module__)
        return module is not None and self._is_own_file(_file_of(module))

    def own_modules(self) -> list[ModuleType]:
        """The modules of the bundle that are imported, by name."""
        return [
            module
            for _, module in sorted(sys.modules.items())
            if module is not None and self._is_own_file(_file_of(module))
        ]

    def require_accounted(self) -> None:
        """Refuses modules that neither travel with the bundle nor belong to an installed distribution.

        The code digest does not see them, and another worker may lack them or have others. What an installed compiler
        made of the trainer's code is accounted for by both.
        """
        if len(sys.modules) == len(self._known):
            return
        new = sorted(set(sys.modules) - self._known)
        self._known |= set(new)
        for name in new:
            file = _file_of(sys.modules.get(name))
            if file is None or self._is_own_file(file) or _is_installed(file):
                continue
            raise InvalidTrainer(
                f"The module {name} comes from {file}, which is neither in the study's folder nor installed.",
                f'Add its folder: Study(code=["{file.parent}"]), or install it as a package.',
            )

    def _is_own_file(self, file: Path | None) -> bool:
        return file is not None and file.is_relative_to(self.folder)

    def _require_own(self, module: ModuleType) -> None:
        file = _file_of(module)
        if not self._is_own_file(file):
            raise InvalidTrainer(
                f"The module {module.__name__} is {file or 'built in'}, and not a file of the study's folder.",
                "Give the file a name that no other module has.",
            )


def _file_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def _classes_of(module: ModuleType, kind: type) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, kind) and value is not kind
    ]


def _require_trainer(found: Any, trainer: str) -> type[Trainer]:
    if not isinstance(found, type):
        raise InvalidTrainer(f"{trainer} is a {type(found).__qualname__}, not a class.", "Name the class.")
    if not issubclass(found, Trainer):
        raise InvalidTrainer(f"{trainer} is no Trainer.", f"Write: class {found.__name__}(hippo.Trainer).")
    for method, arguments in _METHODS.items():
        own = getattr(found, method, None)
        if not callable(own) or getattr(own, "__isabstractmethod__", False):
            raise InvalidTrainer(
                f"{trainer} lacks the method {method}.", f"Write: def {_signature(method, arguments)}."
            )
        try:
            inspect.signature(own).bind(None, *arguments)
        except TypeError:
            raise InvalidTrainer(
                f"{trainer}: {method}{inspect.signature(own)} cannot be called as it has to be.",
                f"Write: def {_signature(method, arguments)}.",
            ) from None
    try:
        inspect.signature(found).bind()
    except TypeError:
        raise InvalidTrainer(
            f"{trainer} cannot be made without arguments.",
            "Move what __init__ needs to setup(self, context).",
        ) from None
    return found


def _signature(method: str, arguments: tuple[str, ...]) -> str:
    return f"{method}({', '.join(('self', *arguments))})"


def _is_installed(file: Path) -> bool:
    folders = chain.from_iterable(
        look() for look in (_installed_folders, _distribution_folders, compiler_caches)
    )
    return any(file.is_relative_to(folder) for folder in folders)


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages()]
    return tuple(Path(path).resolve() for path in dict.fromkeys(paths) if path)


@cache
def _distribution_folders() -> tuple[Path, ...]:
    """Where distributions lie: folders on the path that an installer has put them into, and those of editable ones."""
    found = []
    for distribution in importlib.metadata.distributions():
        about = json.loads(distribution.read_text("direct_url.json") or "{}")
        if about.get("dir_info", {}).get("editable"):
            found.append(Path(url2pathname(urlsplit(about["url"]).path)).resolve())
        if distribution.read_text("INSTALLER") is not None:
            found.append(Path(str(distribution.locate_file(""))).resolve())
    return tuple(dict.fromkeys(found))
