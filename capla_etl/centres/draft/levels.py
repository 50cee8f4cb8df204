"""Levels that a column is compared with: those of the other centres, or published ones where there are too few centres.

The unit that puts a column's median among them is likely; one that does not is never certain. The same is true of the
order of day and month and the days from one date of a patient to the next.

What does not belong here: whether a loaded centre differs from the others (``quality.monitoring``).
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import pandas as pd

from capla_etl import fields
from capla_etl.fields.units import conversion, limit_range, needs_limit, two_digits

#: With fewer numbers a column, and with fewer of these a centre, has no level.
LEAST = 20
#: With fewer other centres the published range counts.
LEAST_CENTRES = 3
#: So many alternatives are named beside the unit or order that fits.
_ALTERNATIVES = 2
#: Centres' medians may truly differ by this factor where watched.yml names no smaller one; patients' days between dates
#: by the second.
_DIFFERS, _DAYS_DIFFER = 2.0, 3.0


@dataclass(frozen=True)
class Level:
    """Where the median of a field lies: from ``low`` to ``high``, in its own unit.

    ``centres``: how many other centres say so; 0: published cohorts.
    """

    low: float
    high: float
    centres: int

    @property
    def whose(self) -> str:
        """The centres or cohorts in words."""
        return f"that of the {self.centres} other centres" if self.centres else "that of published cohorts"

    def ratio(self, value: float) -> float:
        """1 where a value lies within the level; else how many times it lies beyond."""
        if value <= 0 or self.low <= value <= self.high:
            return 1.0 if value > 0 else 0.0
        return value / self.high if value > self.high else value / self.low


def combined(levels: Iterable[Level]) -> Level:
    """Several levels as one, from the lowest to the highest."""
    found = list(levels)
    return Level(min(one.low for one in found), max(one.high for one in found), max(one.centres for one in found))


# ------------------------------------------------------------------ what is known


@cache
def published() -> dict[str, Level]:
    """Field -> where medians of published cohorts lie (watched.yml); of several quantities of a field, from the lowest
    to the highest.
    """
    found: dict[str, list[Level]] = {}
    for declared in fields.load("watched.yml").values():
        if "typical" in declared and declared["scale"] == "log" and declared.get("family", "level") == "level":
            found.setdefault(declared["field"], []).append(Level(*declared["typical"], 0))
    return {name: combined(levels) for name, levels in found.items()}


def of_centres(folders: Mapping[str, Path]) -> dict[str, Level]:
    """Field -> where the medians of loaded centres lie, for fields that at least ``LEAST_CENTRES`` of them have.

    Args:
        folders: centre -> folder of its last good load (Parquet).

    Returns:
        Also the days from one date of a patient to the next: ``session_date``, and ``date_of`` each analyte.
    """
    medians: dict[tuple[str, str], list[float]] = {}
    for folder in folders.values():
        for table, name, values in _values(folder):
            known = values[values > 0]
            if len(known) >= LEAST:
                medians.setdefault((table, name), []).append(float(known.median()))
    found: dict[str, list[Level]] = {}
    for (_, name), of_name in medians.items():
        if len(of_name) >= LEAST_CENTRES:
            level = Level(min(of_name) / _differs(name), max(of_name) * _differs(name), len(of_name))
            found.setdefault(name, []).append(level)
    return {name: combined(levels) for name, levels in found.items()}


@cache
def _natural() -> dict[str, float]:
    """Field -> the smallest factor by which the levels of centres may truly differ (watched.yml)."""
    found: dict[str, float] = {}
    for declared in fields.load("watched.yml").values():
        if declared["scale"] == "log" and declared.get("family", "level") == "level" and declared["natural"]:
            found[declared["field"]] = min(found.get(declared["field"], _DIFFERS), declared["natural"])
    return found


def _differs(name: str) -> float:
    return _DAYS_DIFFER if name.startswith(("result_date", "session_date")) else _natural().get(name, _DIFFERS)


def _values(folder: Path) -> Iterator[tuple[str, str, pd.Series]]:
    """(table, field, its values) of one centre; for dates the days from one to the next of a patient."""
    declared = fields.fields()
    numbers = [name for name in fields.tables()["patient"].columns if declared[name].units]
    read = {
        "patient": numbers,
        "lab_result": ["patient_id", "analyte", "result_date", "value"],
        "tpe_session": ["patient_id", "session_date", "volume_ml"],
    }
    patient, results, sessions = (
        pd.read_parquet(folder / f"harmonised.{table}.parquet", columns=columns) for table, columns in read.items()
    )
    for name in numbers:
        yield "patient", name, patient[name].astype(float)
    for analyte, own in results.groupby("analyte"):
        name = next(n for n, f in declared.items() if f.analyte == analyte)
        yield "lab_result", name, own["value"].astype(float)
        yield "lab_result", date_of(name), steps(own["patient_id"], own["result_date"])
    yield "tpe_session", "volume_ml", sessions["volume_ml"].astype(float)
    yield "tpe_session", "session_date", steps(sessions["patient_id"], sessions["session_date"])


def date_of(analyte_field: str) -> str:
    """The name of the level of the days between results of an analyte."""
    return f"result_date of {analyte_field}"


def steps(patients: Iterable, days: Iterable) -> pd.Series:
    """Days from each date of a patient to the next one, the same date counted once."""
    dated = pd.DataFrame({"patient": list(patients), "day": pd.to_datetime(pd.Series(list(days)))})
    dated = dated.dropna().drop_duplicates().sort_values(["patient", "day"])
    return dated.groupby("patient")["day"].diff().dt.days.dropna()


# ------------------------------------------------------------------ units


def as_unit(declared: fields.Field, unit: str, level: Level) -> tuple[Callable[[float], float], Level] | None:
    """How a number in this unit becomes the field's own, and the level for it; None where the unit is none.

    A unit that must be divided by a laboratory's upper limit is divided by the middle of the plausible limits, and the
    level is as much wider as limits differ.
    """
    found = conversion(declared, unit)
    if found is None:
        return None
    common, factor = found
    if not needs_limit(declared, common):
        own = float(factor) * float(declared.units[common])
        return (lambda number: number * own), level
    low, high = limit_range(declared, common)
    middle, wider = math.sqrt(low * high), math.sqrt(high / low)
    wide, divided = Level(level.low / wider, level.high * wider, level.centres), float(factor) / middle
    return (lambda number: number * divided), wide


@dataclass(frozen=True)
class Fit:
    """A unit or order, and how a column read so lies to the level: 1 within, else how many times beyond.

    ``usual``: the field's common units, which are named before others.
    """

    name: str
    ratio: float
    usual: bool = True

    @property
    def said(self) -> str:
        """How far from the level, in words."""
        if self.ratio <= 0:
            return "far below"
        if self.ratio > 1:
            return f"{two_digits(self.ratio)} times it"
        return f"1/{two_digits(1 / self.ratio)} of it"


def units_by_level(declared: fields.Field, units: Iterable[str], numbers: list[float], level: Level) -> list[Fit]:
    """Each unit and how the median would lie in it; units of the same factor once. Empty with too few numbers."""
    known = [number for number in numbers if number > 0]
    if len(known) < LEAST:
        return []
    middle, fits, seen = median(known), [], set()
    for unit in units:
        if (reading := as_unit(declared, unit, level)) is None:
            continue
        convert, own = reading
        value = convert(middle)
        if (key := f"{value:.6g}") not in seen:
            seen.add(key)
            fits.append(Fit(unit, own.ratio(value), unit in declared.units))
    return fits


def evidence(fits: list[Fit], level: Level, what: str = "the median", written: str = "") -> str:
    """What the level says of units or orders, in words: those that fit, the written one, usual and near ones."""
    like = " or ".join(fit.name for fit in fits if fit.ratio == 1)
    said = f"as {like} {what} is like {level.whose}" if like else f"{what} is not like {level.whose}"
    others = sorted(
        (fit for fit in fits if fit.ratio != 1),
        key=lambda fit: (fit.name != written, not fit.usual, abs(math.log(fit.ratio)) if fit.ratio else math.inf),
    )
    return "; ".join([said, *(f"as {fit.name} it would be {fit.said}" for fit in others[:_ALTERNATIVES])])


def of_rows(declared: fields.Field, numbers: Iterable[tuple[str, list[float]]], level: Level) -> Fit | None:
    """How a column lies whose rows each have a unit; None with too few numbers.

    Args:
        numbers: (unit, its numbers); a unit that is none of the field's is left out.
    """
    values, levels = [], [level]
    for unit, of_unit in numbers:
        if reading := as_unit(declared, unit, level):
            values += [reading[0](number) for number in of_unit if number > 0]
            levels.append(reading[1])
    return Fit("in the rows' units", combined(levels).ratio(median(values))) if len(values) >= LEAST else None


# ------------------------------------------------------------------ orders of day and month

_DATE = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})")


def parsed(texts: Iterable[str], written: str) -> list[pd.Timestamp | None] | None:
    """Texts read in one order of day, month and year; None where the format is of another kind."""
    order = re.findall(r"%-?([dmYy])", written)
    if sorted(token.lower() for token in order) != ["d", "m", "y"]:
        return None
    days = []
    for text in texts:
        match = _DATE.match(text.strip())
        numbers = map(int, match.groups() if match else ())
        parts = dict(zip(map(str.lower, order), numbers, strict=False))
        try:
            year = parts["y"] + (2000 if parts["y"] < 100 else 0)
            days.append(pd.Timestamp(year, parts["m"], parts["d"]))
        except (KeyError, ValueError):
            days.append(None)
    return days


def orders_by_level(patients: list[str], texts: list[str], formats: Iterable[str], level: Level) -> list[Fit]:
    """Each order and how the days from one date of a patient to the next would lie in it; empty with too few."""
    fits = []
    for written in formats:
        days = parsed(texts, written)
        apart = steps(patients, days) if days is not None else []
        if len(apart) < LEAST:
            return []
        fits.append(Fit(written, level.ratio(float(median(apart)))))
    return fits
