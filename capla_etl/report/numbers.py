"""Numbers as they are printed: decimals, thousands, p values, intervals, values withheld."""

from decimal import ROUND_HALF_UP, Decimal

import pandas as pd

MINUS, RANGE, NONE = "\u2212", "\u2013", "\u2013"
# What a protecting profile does not show.
CONFIDENTIAL = "[c]"
CONFIDENTIAL_CAVEATS = ("suppressed: ", "withheld: ")


def fixed(value: float, decimals: int) -> str:
    """The number with that many decimals, halves away from zero, with a typographic minus; never "−0.0"."""
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    return f"{MINUS if rounded < 0 else ''}{abs(rounded):f}"


def short(value: float, decimals: int = 1) -> str:
    """As ``fixed``, without zeros at the end: "4", "4.5"."""
    text = fixed(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def thousands(number: float) -> str:
    """A count with a thin space between thousands from 10000 on (ISO 80000); a mark if it may not be shown."""
    if pd.isna(number):
        return CONFIDENTIAL
    return f"{int(number):,}".replace(",", "\u202f") if abs(number) >= 10_000 else str(int(number))


def p_text(p: float) -> str:
    """A p value: "< 0.0001", four decimals below 0.01, else three."""
    if p < 0.0001:
        return "<\u00a00.0001"
    return fixed(p, 4 if p < 0.01 else 3)


def interval(line, decimals: int) -> str:
    """The interval of a row of ``study.result``: "0.10 to 0.37"; empty where there is none."""
    if pd.isna(line.lower) or pd.isna(line.upper):
        return ""
    return f"{fixed(line.lower, decimals)} to {fixed(line.upper, decimals)}"


def without_value(line) -> str:
    """What is printed in place of a missing number: a mark for not estimable, or for not shown."""
    return CONFIDENTIAL if not pd.isna(line.caveat) and line.caveat.startswith(CONFIDENTIAL_CAVEATS) else NONE
