"""Numbers and ranges of numbers as question files write them."""

import math
import re
from decimal import Decimal
from typing import Final

from muster_session.question_files.errors import quote

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST: Final = 50


def read_range(text: str) -> tuple[float, float]:
    """Lowest and highest number of `3`, `3:0.5` (a tolerance) or `2.5..3.5`.

    Raises ValueError with a sentence for the author. The ends are computed in decimal, so that
    3.1415 with a tolerance of 0.0005 begins at 3.141 and not a bit off.
    """
    low, dots, high = text.partition("..")
    if dots:
        minimum, maximum = read_number(low), read_number(high)
    else:
        middle, colon, around = text.partition(":")
        value = read_number(middle)
        tolerance = read_number(around) if colon else Decimal(0)
        if tolerance < 0:
            raise ValueError(f"the tolerance in {quote(text)} is below 0")
        minimum, maximum = value - tolerance, value + tolerance
    if minimum > maximum:
        raise ValueError(f"the range {quote(text)} ends before it begins")
    return _float(minimum, text), _float(maximum, text)


def read_number(text: str) -> Decimal:
    """The number that `text` is; raises ValueError with a sentence for the author."""
    text = text.strip()
    if not text:
        raise ValueError("a number is missing")
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a number")
    return Decimal(text)


def _float(number: Decimal, text: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{quote(text)} is too large a number")
    return value
