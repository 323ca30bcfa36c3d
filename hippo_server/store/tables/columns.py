"""What the tables are made of: names of constraints, and columns of recurring kinds."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Double, MetaData, Text, text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """The constraint that a column holds one of some words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def moment(name: str, comment: str, *, now: bool = False) -> Column[object]:
    """A column for a time; ``now``: it is never empty, and by default that of the transaction."""
    default = text("now()") if now else None
    return Column(name, DateTime(timezone=True), nullable=not now, server_default=default, comment=comment)


def words(name: str, comment: str) -> Column[str]:
    """A column for text, empty by default."""
    return Column(name, Text, nullable=False, server_default=text("''"), comment=comment)


def count(name: str, comment: str) -> Column[int]:
    """A column for a number that grows from 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"), comment=comment)


def seconds(name: str, comment: str) -> Column[float]:
    """A column for a sum of seconds."""
    return Column(name, Double, nullable=False, server_default=text("0"), comment=comment)
