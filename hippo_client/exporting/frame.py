"""A table for pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hippo_client.result_tables import Column, ColumnType, Table
from hippo_core.errors import HippoError

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    ColumnType.INT: "int64",
    ColumnType.FLOAT: "float64",
    ColumnType.BOOL: "bool",
    ColumnType.TEXT: "object",
    ColumnType.MIXED: "object",
    ColumnType.TIME: "datetime64[us, UTC]",
    ColumnType.LOCAL_TIME: "datetime64[us]",
    ColumnType.DURATION: "timedelta64[us]",
}
_WITH_GAPS = {ColumnType.INT: "Int64", ColumnType.BOOL: "boolean"}


def frame(table: Table, what: str) -> pd.DataFrame:
    """The table as a ``pandas.DataFrame``.

    Args:
        table: The table.
        what: Who needs pandas, for the error: ``dataframe()``.

    Raises:
        HippoError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise HippoError(f"{what} needs pandas.", "pip install pandas") from error
    return pandas.DataFrame(
        {column.name: pandas.Series(column.values, dtype=_dtype(column)) for column in table}
    )


def _dtype(column: Column) -> str:
    gaps = any(value is None for value in column.values)
    return _WITH_GAPS.get(column.type, _DTYPES[column.type]) if gaps else _DTYPES[column.type]
