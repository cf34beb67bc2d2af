"""Tables in text files (CSV), read into NumPy arrays."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

#: how a column's fields become values; text that these refuse is an error
_KINDS: dict[str, Callable[[str], Any]] = {
    "float": lambda field: float(_plain(field)),
    "int": lambda field: int(_plain(field)),
    "str": str,
}


def read_csv(
    path_or_file: str | os.PathLike[str] | IO[str],
    *,
    header: bool | Sequence[str] = True,
    columns: Sequence[str | int] | None = None,
    types: Mapping[str | int, type | str] | None = None,
    missing: Mapping[str | int, Any] | Any = None,
    missing_values: Sequence[str] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"),
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    max_field: int = 1 << 16,
) -> dict[str, np.ndarray]:
    """Read a text file of separated values into one array for each column.

    Columns whose fields are all integers become int64, those of numbers float64, others strings.

    Args:
        path_or_file: a path, or a file opened in text mode with ``newline=""``.
        header: True if the first line names the columns; False if there is none (they are named ``"0"``, ``"1"``, ...);
            or the names.
        columns: the columns to give, by name or number (default: all).
        types: ``float``, ``int`` or ``str`` for columns by name or number, instead of what their fields look like.
        missing: what stands for missing values: one for all columns, or by column. Without one they are an error.
        missing_values: fields that mean there is none (but in columns of strings).
        delimiter: what separates fields.
        encoding: of a file given by path.
        max_field: most characters in one field.

    Raises:
        ValueError: a missing value, a field that does not fit its type, a line with too few or too many fields, names
            that occur twice; it names the file, line and column. KeyError: a column that is not there.

    Example:
        >>> import io
        >>> table = read_csv(io.StringIO("length,kind\\n1.5,a\\n2,b\\n"))
        >>> table["length"], table["kind"].tolist()
        (array([1.5, 2. ]), ['a', 'b'])
    """
    if isinstance(path_or_file, str | os.PathLike):
        with open(path_or_file, encoding=encoding, newline="") as file:
            return read_csv(
                file, header=header, columns=columns, types=types, missing=missing, missing_values=missing_values,
                delimiter=delimiter, max_field=max_field,
            )  # fmt: skip
    name = str(getattr(path_or_file, "name", "the file"))
    rows = _rows(path_or_file, name, delimiter, max_field)
    try:
        first_line, first = next(rows)
    except StopIteration:
        raise ValueError(f"read_csv: {name}: expected a header and lines of values, got an empty file") from None
    if header is True:
        names, lines, fields = first, [], []
    else:
        names = [str(i) for i in range(len(first))] if header is False else list(header)
        lines, fields = [first_line], [first]
        _check_count(name, first_line, first, names)
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise ValueError(f"read_csv: {name}: line {first_line}: the columns {twice} occur more than once; pass header=")
    for line, row in rows:
        _check_count(name, line, row, names)
        lines.append(line)
        fields.append(row)
    chosen = range(len(names)) if columns is None else [_number(name, names, c) for c in columns]
    wanted = {_number(name, names, c): t for c, t in (types or {}).items()}
    fills = missing if isinstance(missing, Mapping) else dict.fromkeys(names, missing)
    filled = {_number(name, names, c): v for c, v in fills.items()}
    absent = frozenset(missing_values)
    return {
        names[c]: _column(name, names[c], lines, [row[c] for row in fields], wanted.get(c), filled.get(c), absent)
        for c in chosen
    }


def _plain(field: str) -> str:
    """Refuses what Python reads as a number, and nobody else: 1_000, and numbers too large to be finite."""
    if "_" in field or (math.isinf(float(field)) and "inf" not in field.lower()):
        raise ValueError
    return field


def _rows(file: IO[str], name: str, delimiter: str, max_field: int) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers."""
    before = csv.field_size_limit(max_field)
    try:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        for row in reader:
            if row:
                yield reader.line_num, [field.strip() for field in row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"read_csv: {name}: line {reader.line_num + 1}: {error}") from error
    finally:
        csv.field_size_limit(before)


def _check_count(name: str, line: int, row: list[str], names: Sequence[str]) -> None:
    if len(row) != len(names):
        raise ValueError(f"read_csv: {name}: line {line}: expected {len(names)} fields, got {len(row)}")


def _number(name: str, names: Sequence[str], column: str | int) -> int:
    if isinstance(column, int) and -len(names) <= column < len(names):
        return column % len(names)
    if column in names:
        return names.index(str(column))
    raise KeyError(f"read_csv: {name}: no column {column!r}; there are {', '.join(names)}")


def _column(
    name: str, column: str, lines: list[int], fields: list[str], kind: Any, fill: Any, absent: frozenset[str]
) -> np.ndarray:
    kind = getattr(kind, "__name__", kind)
    if kind is None:
        kind = _guess([field for field in fields if field not in absent])
    if kind not in _KINDS:
        raise ValueError(f"read_csv: types: column {column!r} must be float, int or str, got {kind!r}")
    if kind == "str":
        return np.array(fields, dtype=np.str_)
    values = []
    for line, field in zip(lines, fields, strict=True):
        where = f"read_csv: {name}: line {line}, column {column!r}"
        if field in absent:
            if fill is None:
                raise ValueError(f"{where}: the value is missing ({field!r}); pass missing= with what stands for it")
            values.append(fill)
            continue
        try:
            values.append(_KINDS[kind](field))
        except ValueError:
            raise ValueError(f"{where}: expected {kind}, got {field[:40]!r}") from None
    try:
        whole = kind == "int" and all(isinstance(v, int) for v in values)
        return np.array(values, dtype=np.int64 if whole else np.float64)
    except OverflowError:
        raise ValueError(f"read_csv: {name}: column {column!r}: an integer does not fit into 64 bits") from None


def _guess(fields: list[str]) -> str:
    """The narrowest kind of all fields that are there."""
    for kind in ("int", "float"):
        try:
            for field in fields:
                _KINDS[kind](field)
        except ValueError:
            continue
        return kind if fields else "float"
    return "str"
