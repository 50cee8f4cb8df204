"""Units: which unit of UCUM a text means, and by which factor its numbers come into a field's own unit.

A field names its own unit in UCUM and its common units with exact factors (fields.yml). Any other unit of UCUM is
accepted if it has the dimension of one of them; local spellings are declared in units.yml. Arbitrary units ([IU],
[arb'U]) and units of enzyme activity (U) are never converted into one another.

What does not belong here: which unit a column has (the centre's spec).
"""

import re
import unicodedata
from decimal import Decimal
from functools import cache
from math import isclose

from capla_etl import fields

#: Raised figures and signs, and their plain forms.
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED_POWER = re.compile(r"(?<!\d)10([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
#: A power of ten as it is written: x10^9, 10**9, 10(9), 10E9 (nobody means ten times that), 10*9.
_POWER = re.compile(r"^[x×*·]?10(?:\^|\*\*|\*|[Ee])?\(?([+-]?\d{1,2})\)?(?=$|\D)[.·]?")
_POWER_SIGN = re.compile(r"^[x×*·]?10(?:\^|\*|[Ee]|\()")
#: The units that results, volumes and times are made of. Those of other trades (bel, bit, degrees) are none here.
_METRIC = r"(?:da|[YZEPTGMkhdcmunpfazy])?(?:mol|g|L|l|m|s|U|kat|\[IU\]|\[iU\])"
_TERM = rf"\(?(?:{_METRIC}|\[arb'U\]|%|min|h|d|wk|mo|a|10[*^]|[0-9]+)(?:[+-]?[0-9]{{1,2}})?\)?"
_UNIT = re.compile(rf"/?{_TERM}(?:[./]{_TERM}){{0,5}}")
#: A number in a unit that is no power of ten: "109/L" is a lost exponent.
_NO_POWER = re.compile(r"(?:^|[./(])(?!10*(?![0-9])|10[*^])[0-9]")
#: A factor that has no more significant digits is decimal, and binary arithmetic left what is behind them.
DECIMAL_DIGITS = 10
#: A unit further than this from the field's own is none that a laboratory uses ("u/L" is a mass of atoms).
_LARGEST_FACTOR = 1e9


def conversion(field: fields.Field, unit: str) -> tuple[str, Decimal] | None:
    """Find how a unit is converted for a field.

    Returns:
        The field's common unit (a key of ``field.units``) of the same dimension and the factor to it; None where the
        text is no unit of a dimension that the field accepts.
    """
    if unit in field.units:
        return unit, Decimal(1)
    return _conversion(field.name, unit)


def unit_factor(field: fields.Field, unit: str) -> Decimal | None:
    """Factor from a unit to the field's own; None where it has none, or needs the laboratory's upper limit."""
    found = conversion(field, unit)
    if found is None or needs_limit(field, found[0]):
        return None
    return Decimal(str(field.units[found[0]])) * found[1]


def needs_limit(field: fields.Field, common_unit: str | None) -> bool:
    """Whether a result in this common unit must be divided by the laboratory's upper limit of normal."""
    return isinstance(field.units.get(common_unit), dict)


def limit_range(field: fields.Field, common_unit: str) -> tuple:
    """Plausible upper limits of normal in this common unit, which needs one."""
    return fields.fields()[field.units[common_unit]["divide_by_uln"]].range


def suggested(field: fields.Field, unit: str) -> str | None:
    """The unit that a refused text in capitals means, of the same scale by its letters; else None."""
    small = unit.lower()
    return small if unit == unit.upper() != small and conversion(field, small) else None


@cache
def _conversion(name: str, unit: str) -> tuple[str, Decimal] | None:
    field = fields.fields()[name]
    written = ucum(field, unit)
    for common in field.units:
        if (own := ucum(field, common)) and written and (factor := _factor(written, own)):
            return common, factor
    return None


def ucum(field: fields.Field, unit: str) -> str | None:
    """A unit as UCUM writes it, local spellings replaced; None for the multiple of an upper limit, which is no unit."""
    if unit == "x ULN":
        return None
    text = _RAISED_POWER.sub(lambda power: "10*" + power[1], unit)
    text = re.sub(r"(?:^|\s+)(?:per|pro|par|por)\s+", "/", _plain(text.translate(_RAISED)))
    return "/".join(_part(field, "".join(part.split())) for part in text.split("/"))


def _plain(text: str) -> str:
    """Signs in their plain forms: "㎎", full-width letters, both signs for micro."""
    return unicodedata.normalize("NFKC", text).replace("μ", "u")


def _part(field: fields.Field, part: str) -> str:
    groups = ["any", field.ucum, *field.units]
    spellings = {spelling: ucum for group in groups for spelling, ucum in _spellings(group).items()}
    power = _POWER.match(part) if _POWER_SIGN.match(part) else None
    rest = part[power.end() :] if power else part
    rest = spellings.get(rest, rest)
    return f"10*{power[1].removeprefix('+')}{'.' if rest else ''}{rest}" if power else rest


@cache
def _spellings(group: str) -> dict[str, str]:
    """Spelling without blanks -> UCUM, of one group of units.yml."""
    declared = fields.load("units.yml").get(group, {}).items()
    return {"".join(_plain(spelling).split()): ucum for ucum, spellings in declared for spelling in spellings}


@cache
def _registry():
    """The units of UCUM; two seconds, so only for a unit that no field lists."""
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


def _factor(written: str, own: str) -> Decimal | None:
    """Factor between two units of UCUM; None unless both are units of one dimension and of the same arbitrary unit."""
    from pint.errors import PintError
    from ucumvert import InvalidUcumError

    bare = [re.sub(r"\{[^{}]*\}", "", unit) for unit in (written, own)]
    arbitrary = [sorted(re.findall(r"\[[^\]]*\]", unit)) for unit in bare]
    if not _UNIT.fullmatch(bare[0]) or _NO_POWER.search(bare[0]) or arbitrary[0] != arbitrary[1]:
        return None
    try:
        ratio = (_registry().from_ucum(bare[0]) / _registry().from_ucum(bare[1])).to_base_units()
    except (InvalidUcumError, PintError, ArithmeticError, ValueError):
        return None
    factor = ratio.magnitude
    if not ratio.dimensionless or not 1 / _LARGEST_FACTOR <= factor <= _LARGEST_FACTOR:
        return None
    short = Decimal(f"{factor:.{DECIMAL_DIGITS}g}").normalize()
    return short if isclose(short, factor, rel_tol=1e-14) else Decimal(factor)


def two_digits(value: float) -> str:
    """A figure for people: two significant digits, without an exponent."""
    return f"{float(f'{value:.2g}'):,.10g}"
