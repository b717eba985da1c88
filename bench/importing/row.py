"""A line of a log of another program: its cells as text, checked, converted to values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from bench.plan.axes import canonical_label
from bench.record.confirm import range_of
from bench.texts import fault_of

_FRACTION = re.compile(r"val/(acc|f1)(_.*)?")  # bench has no such metrics
_MISSING = ("", "nan", "na")


def is_number(cell: str) -> bool:
    """Whether Python and everybody else read a number; `1_000` is none."""
    try:
        return cell.isascii() and "_" not in cell and not math.isnan(float(cell))
    except ValueError:
        return False


def _label(cell: str) -> str:
    if not cell:
        raise ValueError("no label; every trial has one on every axis")
    if fault := fault_of(cell):
        raise ValueError(f"{cell[:20]!r} is no label: it {fault}")
    return canonical_label(cell)


def _seed(cell: str) -> int | None:
    return None if cell.lower() in _MISSING else _integer(cell, least=0)


def _epoch(cell: str, info: ValidationInfo) -> int:
    """The epoch, counted from 1."""
    assert isinstance(info.context, int)
    first = info.context
    if first == 1 and is_number(cell) and float(cell) == 0:
        raise ValueError("epochs count from 1 here; --first-epoch 0 reads a log that counts from 0")
    return _integer(cell, least=first) - first + 1


def _integer(cell: str, least: int) -> int:
    """A whole number; `3.0` is one, as pandas writes them where some are missing."""
    value = float(cell) if is_number(cell) else math.nan
    if not value.is_integer() or not least <= value < 2**53:
        raise ValueError(f"{cell[:20]!r} is no whole number from {least} on")
    return int(value)


def _number(cell: str) -> str:
    """The cell as it stands, with all its digits; empty where it is missing."""
    if cell.lower() in _MISSING:
        return ""
    if not is_number(cell):
        wrong = f"{cell[:20]!r} is no number; a missing one is empty, decimals have a point"
        raise ValueError(wrong)
    return cell


class Row(BaseModel):
    """One epoch of one trial.

    Attributes:
        labels: by axis, written as in a plan.
        seed: None where the line names none.
        epoch: counted from 1.
        numbers: by column of history.csv, each in its range; a missing one is empty.
    """

    labels: dict[str, Annotated[str, AfterValidator(_label)]]
    seed: Annotated[int | None, BeforeValidator(_seed)]
    epoch: Annotated[int, BeforeValidator(_epoch)]
    numbers: dict[str, Annotated[str, AfterValidator(_number)]]

    @field_validator("numbers")
    @classmethod
    def _in_range(cls, numbers: dict[str, str]) -> dict[str, str]:
        for column, cell in numbers.items():
            if cell and (wrong := _out_of_range(column, cell)):
                raise PydanticCustomError("range", "{wrong}", {"wrong": wrong, "column": column})
        return numbers


class WrongCellError(ValueError):
    """What is wrong with a cell, and in which column it is."""

    def __init__(self, column: str, wrong: str) -> None:
        super().__init__(wrong)
        self.column = column


def read_row(
    cells: Mapping[str, str], axes: Sequence[str], columns: Sequence[str], first_epoch: int
) -> Row:
    """The row that a line's cells are; `first_epoch` is the number that becomes epoch 1.

    Raises:
        WrongCellError: one of them is not what its column needs.
    """
    given = {
        "labels": {axis: cells[axis] for axis in axes},
        "seed": cells.get("seed", ""),
        "epoch": cells["epoch"],
        "numbers": {column: cells[column] for column in columns},
    }
    try:
        return Row.model_validate(given, context=first_epoch)
    except ValidationError as error:
        found = error.errors()[0]
    context = found["ctx"]
    column = str(context.get("column", found["loc"][-1]))
    raise WrongCellError(column, str(context.get("wrong", context.get("error"))))


def _out_of_range(column: str, cell: str) -> str | None:
    value = float(cell)
    fraction = "is not between 0 and 1; divide percentages by 100"
    if bounds := range_of(column):
        if bounds.holds(value):
            return None
        other = f"is {bounds.what}; correct it, or leave the cell empty"
        return f"{cell[:20]} {fraction if bounds.high == 1 else other}"
    if _FRACTION.fullmatch(column) and not 0 <= value <= 1:
        return f"{cell[:20]} {fraction}"
    return None
