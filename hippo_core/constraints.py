"""Constraints on what is drawn: expressions of a small closed grammar, such as ``warmup + decay <= 100``.

Names (also joined with dots), numbers, ``+ - * / // %``, comparisons, ``and``, ``or``, ``not`` and
parentheses; nothing else. An expression is parsed by Python's parser and walked here: it is never run as
code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.syntax import parse_expression
from hippo_core.values import Scalar

LONGEST = 500
GRAMMAR = "Names, numbers, + - * / // %, comparisons, and, or, not and parentheses may stand in it."

ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A condition that every trial satisfies.

    Attributes:
        expression: As written.
        names: The names in it: of hyper-parameters with a value, and of draws.
    """

    expression: str
    names: frozenset[str] = field(init=False, compare=False)
    _tree: ast.expr = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Parses the expression."""
        if not isinstance(self.expression, str) or len(self.expression) > LONGEST:
            raise _refused(f"must be text of at most {LONGEST} characters")
        try:
            tree = parse_expression(self.expression.strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _refused(f"{self.expression!r} is not an expression") from None
        names: set[str] = set()
        if not _gives_truth(tree):
            raise _refused(f"{self.expression!r} is neither true nor false")
        _check(tree, names)
        object.__setattr__(self, "names", frozenset(names))
        object.__setattr__(self, "_tree", tree)

    def holds(self, values: Mapping[str, Scalar]) -> bool:
        """Whether it is satisfied.

        Args:
            values: By name. Where a name of the expression is absent, as in another branch of a conditional
                sub-space, the constraint does not apply: it is satisfied.
        """
        if not self.names <= values.keys():
            return True
        try:
            return bool(_value(self._tree, values))
        except (ZeroDivisionError, OverflowError):
            return False

    def to_json(self) -> dict[str, Any]:
        """The constraint as a JSON object."""
        return {"constraint": self.expression}


@worded("space.constraint")
def constraint(expression: str) -> Constraint:
    """A condition that every trial satisfies: ``space.constraint("warmup + decay <= 100")``.

    It stands in the space under a name of its own choice, which makes no hyper-parameter. Grid leaves out the
    points that do not satisfy it, random draws again.

    Args:
        expression: Over names of hyper-parameters that have plain numbers as values, and of draws
            (``name=``).
    """
    return Constraint(expression=expression)


def _refused(message: str) -> InvalidStudy:
    return InvalidStudy("space.constraint", message, GRAMMAR)


def dotted(tree: ast.expr) -> str | None:
    """The name, also one joined with dots, that an expression is."""
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Attribute):
        before = dotted(tree.value)
        return None if before is None else f"{before}.{tree.attr}"
    return None


def _gives_truth(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Compare | ast.BoolOp) or (
        isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
    )


def _check(tree: ast.expr, names: set[str]) -> None:
    """Refuses what is not in the grammar; collects names."""
    name = dotted(tree)
    match tree:
        case _ if name is not None:
            names.add(name)
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            pass
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            _check(left, names)
            _check(right, names)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            _check(operand, names)
        case ast.BoolOp(values=values):
            for each in values:
                _check(each, names)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in COMPARISONS for op in ops
        ):
            for each in (left, *others):
                _check(each, names)
        case _:
            raise _refused(f"{ast.unparse(tree)!r} cannot stand in a constraint")


def _value(tree: ast.expr, values: Mapping[str, Scalar]) -> Any:
    name = dotted(tree)
    if name is not None:
        return values[name]
    match tree:
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            return ARITHMETIC[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(op=op, operand=operand):
            found = _value(operand, values)
            return -found if isinstance(op, ast.USub) else found
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(each, values) for each in parts)
        case ast.BoolOp(values=parts):
            return any(_value(each, values) for each in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            found = [_value(each, values) for each in (left, *others)]
            pairs = zip(ops, found, found[1:], strict=False)
            return all(COMPARISONS[type(op)](one, other) for op, one, other in pairs)
    raise AssertionError(f"{ast.dump(tree)} was checked")
