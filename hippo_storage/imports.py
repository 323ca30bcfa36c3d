"""The imports of one Python file, read from its syntax tree; nothing is executed."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from hippo_core.errors import InvalidStudy
from hippo_core.syntax import parse_module

# Calls that import, or run, a file whose name is computed while running.
_COMPUTING = frozenset(
    {
        "exec", "eval", "exec_module", "run_path", "run_module", "load_source", "load_module", "iter_modules",
        "walk_packages", "spec_from_file_location", "SourceFileLoader", "module_from_spec",
    }
)  # fmt: skip
_IMPORTING = frozenset({"import_module", "__import__"})
# With other folders on these, any file may be a module.
_SEARCH_PATHS = frozenset({"path", "meta_path", "path_hooks"})
# As methods these two are another thing: `model.eval()`.
_ONLY_AS_NAMES = frozenset({"exec", "eval"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A module that a file imports.

    Attributes:
        module: Its absolute name.
        line: Where the file says so.
        star: Whether all its names are imported, and so the submodules in its ``__all__``.
    """

    module: str
    line: int
    star: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a file may import.

    Attributes:
        wanted: The modules; ``from x import y`` gives both x and x.y, since y may be a module.
        computed: Whether it imports, or runs, files whose names are not written in it.
        listed: The names in its ``__all__``.
    """

    wanted: tuple[Wanted, ...]
    computed: bool
    listed: tuple[str, ...]


def parse(name: str, text: bytes, field: str = "trainer") -> Source:
    """Reads a Python file.

    Args:
        name: Its name in the bundle, with slashes.
        text: Its bytes.
        field: Whose module needs it, for messages.

    Raises:
        InvalidStudy: It has a syntax error; names the file and the line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of invalid escapes and the like, which are the author's business
            tree = parse_module(text, name)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidStudy(field, f"{name}{line}: {reason}", "Correct the file.") from error
    package = _package(name)
    wanted: list[Wanted] = []
    listed: list[str] = []
    computed = False
    for node in _running(tree):
        if isinstance(node, ast.Import):
            wanted += [Wanted(module=alias.name, line=node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            wanted += _from(node, package)
            computed = computed or (
                node.module == "sys" and any(alias.name in _SEARCH_PATHS for alias in node.names)
            )
        elif isinstance(node, ast.Call):
            found = _called(node, package)
            computed = computed or found is None
            wanted += found or []
        elif isinstance(node, ast.Attribute):
            computed = computed or _is_search_path(node)
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            listed += _listed(node)
    return Source(wanted=tuple(wanted), computed=computed, listed=tuple(listed))


def _running(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node that can run: not what stands below ``if TYPE_CHECKING``."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            todo += node.orelse
            continue
        yield node
        todo += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _package(name: str) -> list[str]:
    """The package that a file's relative imports count from: its folder."""
    return name.split("/")[:-1]


def _from(node: ast.ImportFrom, package: list[str]) -> list[Wanted]:
    module = _absolute("." * node.level + (node.module or ""), package)
    if module is None:
        return []
    wanted = []
    if module:
        star = any(alias.name == "*" for alias in node.names)
        wanted.append(Wanted(module=module, line=node.lineno, star=star))
    for alias in node.names:
        if alias.name != "*":
            inner = f"{module}.{alias.name}" if module else alias.name
            wanted.append(Wanted(module=inner, line=node.lineno))
    return wanted


def _called(node: ast.Call, package: list[str]) -> list[Wanted] | None:
    """What a call imports; None where only running it would tell."""
    is_name = isinstance(node.func, ast.Name)
    name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
    if name in _COMPUTING:
        return [] if name in _ONLY_AS_NAMES and not is_name else None
    if name not in _IMPORTING:
        return []
    match node.args[:1]:
        case [ast.Constant(value=str(text))]:
            module = _absolute(text, package)
            return [Wanted(module=module, line=node.lineno)] if module else []
    return None


def _absolute(module: str, package: list[str]) -> str | None:
    """A module's absolute name; empty for the top folder itself, None for what lies above it."""
    stripped = module.lstrip(".")
    level = len(module) - len(stripped)
    if level == 0:
        return stripped
    if level - 1 > len(package):
        return None
    above = package[: len(package) - (level - 1)]
    return ".".join([*above, *([stripped] if stripped else [])])


def _is_search_path(node: ast.Attribute) -> bool:
    """Whether it speaks of ``sys.path`` and the like."""
    return isinstance(node.value, ast.Name) and node.value.id == "sys" and node.attr in _SEARCH_PATHS


def _listed(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if node.value is None or not any(
        isinstance(target, ast.Name) and target.id == "__all__" for target in targets
    ):
        return []
    inner = ast.walk(node.value)
    return [each.value for each in inner if isinstance(each, ast.Constant) and isinstance(each.value, str)]
