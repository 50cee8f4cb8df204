"""Kinds of faults of real life, each at several sizes, put into a centre's tables as sent.

A kind changes a ``Sent`` in place. Its ``targets`` are the fields that it can be put into; its sizes say how much. A
fault that finds no place raises ``NotHere``.

Sources of the kinds: Kirkwood 2013, Pogue 2013, Carlisle 2021 (copied rows), changes of assay and unit, time zones, the
1904 dates of spreadsheets, cut sheets, rows pasted twice, and retractions for errors of capture.

What does not belong here: reading and writing cells (sent.py), and what is made of a fault (measure.py).
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from .sent import Cell, NotHere, Sent, extra_decimals

#: Sizes of most kinds: shares of the rows or patients, and factors.
SHARES = (0.05, 0.2, 0.5, 1.0)
FACTORS = (1.1, 1.25, 2.0, 10.0)
#: Quantities, as harmonised table and field.
BASELINE = (
    "patient.hemoglobin_g_per_dl",
    "patient.creatinine_umol_per_l",
    "patient.troponin_x_uln",
    "patient.adamts13_percent",
    "patient.anti_adamts13_u_per_ml",
)
SERIES = ("lab_result.platelets_10e9_per_l", "lab_result.ldh_x_uln", "lab_result.adamts13_percent")
NUMBERS = (*BASELINE, *SERIES, "tpe_session.volume_ml")
ANSWERS = (
    "patient.first_episode",
    "patient.neurological_involvement",
    "patient.coma",
    "patient.corticosteroids",
    "patient.died",
    "patient.reported_refractory",
    "patient.reported_exacerbation",
)
OWN_DATES = ("patient.first_tpe_date", "patient.discharge_date", "patient.last_contact_date", "patient.birth_date")
LIST_DATES = (
    "lab_result.result_date",
    "tpe_session.session_date",
    "drug_course.start_date",
    "adverse_event.event_date",
)
DATES = (*OWN_DATES, *LIST_DATES)

Put = Callable[[Sent, str, object, Random], None]


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    ``family``: of checks that should see it. ``sizes``: what may be given to ``put``. ``targets``: fields that it may
    be put into. ``whole``: sizes at which it is a fault of a whole column (unit, order, month, exchanged columns or
    codes, sorted alone, cut, permuted pseudonyms), which must be seen in any centre of 100 patients. ``resent``: the
    unchanged tables are the submission before. ``later``: added after the checks were written.
    """

    name: str
    family: str
    sizes: tuple
    targets: tuple[str, ...]
    put: Put
    whole: tuple = ()
    resent: bool = False
    later: bool = False


KINDS: list[Kind] = []


def kind(
    family: str,
    name: str,
    sizes: Sequence = (1.0,),
    targets: Sequence[str] = ("all",),
    whole: Sequence | bool = (),
    resent: bool = False,
    later: bool = False,
) -> Callable[[Put], Put]:
    """Register a kind of fault."""

    def add(put: Put) -> Put:
        at = tuple(sizes) if whole is True else tuple(whole or ())
        KINDS.append(Kind(name, family, tuple(sizes), tuple(targets), put, at, resent, later))
        return put

    return add


def targets_in(kind: Kind, sent: Sent) -> list[str]:
    """The targets of a kind that a centre sends."""
    return [t for t in kind.targets if all("." not in part or sent.sends(*part.split(".")) for part in t.split("|"))]


# ---------------------------------------------------------------- parts of a column


def _cells(sent: Sent, target: str) -> list[Cell]:
    """The filled cells of a target ``table.field``."""
    return sent.filled(*target.split("."))


def _numbers(sent: Sent, target: str) -> list[Cell]:
    return [cell for cell in _cells(sent, target) if isinstance(cell.value, float)]


def _dates(sent: Sent, target: str) -> list[Cell]:
    return [cell for cell in _cells(sent, target) if isinstance(cell.value, date)]


def _at_random(cells: list, share: float, rng: Random) -> list:
    if not cells:
        raise NotHere("no cells")
    return rng.sample(cells, max(1, round(share * len(cells)))) if share < 1 else cells


def _some_patients(cells: list[Cell], share: float, rng: Random) -> list[Cell]:
    patients = sorted({cell.patient for cell in cells})
    chosen = set(rng.sample(patients, max(1, round(share * len(patients)))))
    return [cell for cell in cells if cell.patient in chosen]


def _last_in_file(cells: list[Cell], share: float) -> list[Cell]:
    return cells[len(cells) - max(1, round(share * len(cells))) :]


def _latest(cells: list[Cell], share: float) -> list[Cell]:
    days = sorted(cell.day for cell in cells if cell.day)
    if not days:
        raise NotHere("no dates")
    since = days[len(days) - max(1, round(share * len(days)))]
    return [cell for cell in cells if cell.day and cell.day >= since]


def _series(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Patient -> cells in the order of their days."""
    of: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell.day:
            of[cell.patient].append(cell)
    return {patient: sorted(some, key=lambda c: c.day) for patient, some in of.items()}


def _scale(sent: Sent, cells: Iterable[Cell], factor: float) -> None:
    for cell in cells:
        sent.put(cell, cell.value * factor, finer=extra_decimals(factor))


def _refill(sent: Sent, cells: Sequence[Cell], values: Sequence, signs: Sequence[str] | None = None) -> None:
    """Write values of other cells of the same column, with their comparators."""
    for i, cell in enumerate(cells):
        sent.put(cell, values[i], signs[i] if signs else None)


def _exchange(sent: Sent, one: Sequence[Cell], other: Sequence[Cell]) -> None:
    """Exchange the values of two equally long runs of cells."""
    values = [(cell.value, cell.sign) for cell in one], [(cell.value, cell.sign) for cell in other]
    for cells, (new, signs) in ((one, zip(*values[1], strict=True)), (other, zip(*values[0], strict=True))):
        _refill(sent, cells, new, signs)


def _deranged(items: list, rng: Random) -> list:
    """The items in another order, each moved where that is possible."""
    if len(items) < 2:
        raise NotHere("too few")
    order = list(range(len(items)))
    rng.shuffle(order)
    moved = [None] * len(items)
    for a, b in zip(order, order[1:] + order[:1], strict=True):
        moved[b] = items[a]
    return moved


def _by_patient(sent: Sent, table: str, name: str) -> dict[str, Cell]:
    return {cell.patient: cell for cell in sent.cells(table, name)}


# ---------------------------------------------------------------- level

#: Field -> factors between units (or decimal places) that laboratories use.
UNITS = {
    "patient.hemoglobin_g_per_dl": (0.6206, 10.0, 0.1),
    "patient.creatinine_umol_per_l": (88.4, 1 / 88.4, 10.0),
    "patient.troponin_x_uln": (14.0, 0.1, 1000.0),
    "patient.adamts13_percent": (0.01, 0.1, 10.0),
    "patient.anti_adamts13_u_per_ml": (0.1, 10.0, 1000.0),
    "lab_result.platelets_10e9_per_l": (0.1, 10.0, 1000.0),
    "lab_result.ldh_x_uln": (1 / 60, 0.1, 2.0),
    "lab_result.adamts13_percent": (0.01, 0.1, 10.0),
    "tpe_session.volume_ml": (0.001, 1000.0, 0.1),
}


@kind("level", "column in another unit", ("first", "second", "third"), NUMBERS, whole=True)
def _another_unit(sent, target, size, rng):
    _scale(sent, _numbers(sent, target), UNITS[target][("first", "second", "third").index(size)])


@kind("level", "column too high", FACTORS, NUMBERS)
def _too_high(sent, target, size, rng):
    _scale(sent, _numbers(sent, target), size)


@kind("level", "column too low", FACTORS, NUMBERS)
def _too_low(sent, target, size, rng):
    _scale(sent, _numbers(sent, target), 1 / size)


@kind("level", "blank value not subtracted (offset in medians)", (0.1, 0.25, 1.0), NUMBERS)
def _offset(sent, target, size, rng):
    cells = _numbers(sent, target)
    offset = size * statistics.median(cell.value for cell in cells)
    for cell in cells:
        sent.put(cell, cell.value + offset)


@kind("level", "upper limit of normal of another assay", (1.1, 1.25, 2.0), ("lab_result.ldh_x_uln",))
def _another_limit(sent, target, size, rng):
    for table, column, rows in sent.limits("ldh_x_uln"):
        for row in rows:
            text = sent.texts[table][column][row].strip()
            if text.isdecimal():
                sent.write(table, column, row, str(round(int(text) * size)))


@kind("level", "assay that flattens (power)", (0.9, 0.75, 0.5), NUMBERS)
def _another_assay(sent, target, size, rng):
    cells = [cell for cell in _numbers(sent, target) if cell.value > 0]
    middle = statistics.median(cell.value for cell in cells)
    for cell in cells:
        sent.put(cell, middle * (cell.value / middle) ** size)


@kind("level", "births years earlier", (1, 5, 20), ("patient.birth_date", "patient.birth_year"))
def _births_earlier(sent, target, size, rng):
    for cell in _cells(sent, target):
        earlier = cell.value - size if isinstance(cell.value, float) else _years(cell.value, -size)
        sent.put(cell, earlier)


@kind("level", "intensive care in hours", (24,), ("patient.icu_days",), whole=True)
def _in_hours(sent, target, size, rng):
    _scale(sent, _numbers(sent, target), size)


# ---------------------------------------------------------------- mixture

_MIXED = tuple((factor, share) for factor in (1.25, 2.0, 10.0) for share in (0.05, 0.2, 0.5))


@kind("mixture", "unit changed on a date (factor, last share)", _MIXED, NUMBERS)
def _since_a_date(sent, target, size, rng):
    _scale(sent, _latest(_numbers(sent, target), size[1]), size[0])


@kind("mixture", "last rows of the file from another export (factor, share)", _MIXED, NUMBERS)
def _end_of_file(sent, target, size, rng):
    _scale(sent, _last_in_file(_numbers(sent, target), size[1]), size[0])


@kind("mixture", "some patients in another unit (factor, share)", _MIXED, NUMBERS)
def _patients_in_another_unit(sent, target, size, rng):
    _scale(sent, _some_patients(_numbers(sent, target), size[1], rng), size[0])


@kind("mixture", "some values in another unit (factor, share)", _MIXED, NUMBERS)
def _values_in_another_unit(sent, target, size, rng):
    _scale(sent, _at_random(_numbers(sent, target), size[1], rng), size[0])


@kind("mixture", "one sex in another unit", (1.25, 2.0, 10.0), NUMBERS)
def _one_sex(sent, target, size, rng):
    women = {cell.patient for cell in sent.cells("patient", "sex") if cell.value == "female"}
    _scale(sent, (cell for cell in _numbers(sent, target) if cell.patient in women), size)


@kind("mixture", "a laboratory's decimal point lost in some cells", (0.05, 0.2, 0.5), BASELINE)
def _point_lost(sent, target, size, rng):
    cells = [cell for cell in _numbers(sent, target) if cell.value != int(cell.value)]
    if not cells:
        raise NotHere("no decimals")
    for cell in _at_random(cells, size, rng):
        sent.put(cell, cell.value * 10**cell.place.decimals)


@kind("mixture", "dates a month early from a date on", (0.05, 0.2, 0.5), DATES)
def _month_early_since(sent, target, size, rng):
    for cell in _latest(_dates(sent, target), size):
        sent.put(cell, _months(cell.value, -1))


# ---------------------------------------------------------------- shape


@kind("shape", "filled down in file order", (0.05, 0.2, 0.5, 1.0), NUMBERS)
def _filled_down(sent, target, size, rng):
    cells = _numbers(sent, target)
    first = rng.randrange(max(1, len(cells) - round(size * len(cells))))
    run = cells[first : first + max(2, round(size * len(cells)))]
    _refill(sent, run, [run[0].value] * len(run), [run[0].sign] * len(run))


@kind("shape", "cells empty below a value filled with it", (0.2, 0.5, 1.0), NUMBERS)
def _empty_filled(sent, target, size, rng):
    above, empty = None, []
    for cell in sent.cells(*target.split(".")):
        if cell.value is not None:
            above = cell.value
        elif above is not None:
            empty.append((cell, above))
    if not empty:
        raise NotHere("no empty cells")
    for cell, value in rng.sample(empty, max(1, round(size * len(empty)))):
        sent.put(cell, value)


@kind("shape", "column sorted alone", (0.2, 0.5, 1.0), NUMBERS, whole=(1.0,))
def _sorted_alone(sent, target, size, rng):
    cells = _last_in_file(_numbers(sent, target), size)
    ordered = sorted(cells, key=lambda cell: cell.value)
    _refill(sent, cells, [c.value for c in ordered], [c.sign for c in ordered])


@kind("shape", "dates sorted alone", (0.2, 0.5, 1.0), DATES, whole=(1.0,))
def _dates_sorted(sent, target, size, rng):
    cells = _last_in_file(_dates(sent, target), size)
    _refill(sent, cells, sorted(cell.value for cell in cells))


@kind("shape", "rounded to (last places)", (5, 10, 50, 100), NUMBERS)
def _rounded(sent, target, size, rng):
    cells = _numbers(sent, target)
    step = size * 10.0 ** (math.floor(math.log10(statistics.median(c.value for c in cells) or 1)) - 2)
    for cell in cells:
        sent.put(cell, step * max(1, round(cell.value / step)))


@kind("shape", "end digits invented", (0.2, 0.5, 1.0), NUMBERS)
def _digits_invented(sent, target, size, rng):
    for cell in _at_random(_numbers(sent, target), size, rng):
        step = 10.0**-cell.place.decimals
        kept = math.floor(cell.value / step / 10) * 10
        sent.put(cell, (kept + rng.choices(range(10), (1, 2, 5, 9, 4, 3, 5, 11, 6, 2))[0]) * step)


@kind("shape", "cut off at an upper limit (share at it)", (0.05, 0.2, 0.5), NUMBERS)
def _capped(sent, target, size, rng):
    cells = _numbers(sent, target)
    limit = sorted(cell.value for cell in cells)[-max(1, round(size * len(cells)))]
    for cell in cells:
        sent.put(cell, min(cell.value, limit))


@kind("shape", "raised to a lower limit (share at it)", (0.05, 0.2, 0.5), NUMBERS)
def _floored(sent, target, size, rng):
    cells = _numbers(sent, target)
    limit = sorted(cell.value for cell in cells)[max(0, round(size * len(cells)) - 1)]
    for cell in cells:
        sent.put(cell, max(cell.value, limit))


@kind(
    "shape",
    "a code for missing typed as a number (code, share)",
    tuple((code, share) for code in (0, 9, 99, 999) for share in (0.05, 0.2)),
    NUMBERS,
)
def _code_for_missing(sent, target, size, rng):
    cells = sent.cells(*target.split("."))
    empty = [cell for cell in cells if cell.value is None]
    wanted = max(1, round(size[1] * len(cells)))
    filled = [cell for cell in cells if cell.value is not None and not cell.kept]
    for cell in [*empty, *rng.sample(filled, len(filled))][:wanted]:
        sent.put(cell, float(size[0]), "" if cell.sign else None)


@kind(
    "shape", "comparators lost", (0.2, 1.0), ("patient.adamts13_percent", "lab_result.adamts13_percent"), whole=(1.0,)
)
def _comparators_lost(sent, target, size, rng):
    _signed(sent, target, size, "", rng)


@kind("shape", "comparators turned round", (0.2, 1.0), ("patient.adamts13_percent", "lab_result.adamts13_percent"))
def _comparators_turned(sent, target, size, rng):
    _signed(sent, target, size, ">", rng)


def _signed(sent: Sent, target: str, share: float, sign: str, rng: Random) -> None:
    cells = [cell for cell in _numbers(sent, target) if cell.sign == "<"]
    if not cells:
        raise NotHere("no comparators")
    for cell in _at_random(cells, share, rng):
        _refill(sent, [cell], [cell.value], [sign])


@kind("shape", "column moved down by one row", (0.2, 0.5, 1.0), (*NUMBERS, *ANSWERS[:4]), whole=(1.0,))
def _one_row_down(sent, target, size, rng):
    cells = _last_in_file(_cells(sent, target), size)
    values, signs = [c.value for c in cells], [c.sign for c in cells]
    _refill(sent, cells[1:], values[:-1], signs[:-1])


@kind("shape", "interpolated between first and last", (0.2, 1.0), SERIES)
def _interpolated(sent, target, size, rng):
    for cells in _series(_some_patients(_numbers(sent, target), size, rng)).values():
        first, last = cells[0].value, cells[-1].value
        for i, cell in enumerate(cells[1:-1], start=1):
            sent.put(cell, first + (last - first) * i / (len(cells) - 1))


@kind("shape", "drawn from the column's own distribution", (0.2, 1.0), NUMBERS)
def _drawn(sent, target, size, rng):
    cells = _numbers(sent, target)
    drawn = rng.choices(cells, k=len(cells))
    chosen = _at_random(list(range(len(cells))), size, rng)
    _refill(sent, [cells[i] for i in chosen], [drawn[i].value for i in chosen], [drawn[i].sign for i in chosen])


@kind("shape", "one value typed for many", (0.05, 0.2, 0.5), NUMBERS)
def _one_value(sent, target, size, rng):
    cells = _numbers(sent, target)
    typical = sorted(cells, key=lambda cell: cell.value)[len(cells) // 2]
    for cell in _at_random(cells, size, rng):
        _refill(sent, [cell], [typical.value], [typical.sign])


@kind("shape", "decimals cut off", (1.0,), BASELINE)
def _decimals_cut(sent, target, size, rng):
    for cell in _numbers(sent, target):
        sent.put(cell, float(math.floor(cell.value)) if cell.value >= 1 else cell.value)


# ---------------------------------------------------------------- dates


def _months(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 + months
    for last in (day.day, 30, 29, 28):
        try:
            return date(month // 12, month % 12 + 1, last)
        except ValueError:
            continue
    raise AssertionError


def _years(day: date, years: int) -> date:
    return _months(day, 12 * years)


def _move(sent: Sent, cells: Iterable[Cell], moved: Callable[[date], date]) -> None:
    for cell in cells:
        sent.put(cell, moved(cell.value))


@kind("dates", "day and month exchanged where possible", (0.05, 0.2, 1.0), DATES, whole=(1.0,))
def _day_and_month(sent, target, size, rng):
    cells = [cell for cell in _dates(sent, target) if cell.value.day <= 12]
    _move(sent, _at_random(cells, size, rng), lambda d: date(d.year, d.day, d.month))


@kind("dates", "months counted from zero", (0.2, 1.0), DATES, whole=(1.0,))
def _months_from_zero(sent, target, size, rng):
    _move(sent, _at_random(_dates(sent, target), size, rng), lambda d: _months(d, -1))


@kind("dates", "all dates of the centre a month early", (1.0,))
def _every_date_early(sent, target, size, rng):
    moved = set()
    for one in (
        *DATES[:3],
        *LIST_DATES,
        "drug_course.end_date",
        "patient.death_date",
        "patient.reported_response_date",
    ):
        if not sent.sends(*one.split(".")):
            continue
        for cell in _dates(sent, one):
            if cell.where not in moved and not cell.place.source.study_day:
                moved.add(cell.where)
                sent.put(cell, _months(cell.value, -1))


@kind("dates", "days later", (1, 2, 7, 30, 365), DATES)
def _days_later(sent, target, size, rng):
    _move(sent, _dates(sent, target), lambda d: d + timedelta(days=size))


@kind("dates", "days earlier", (1, 2, 7, 30, 365), DATES)
def _days_earlier(sent, target, size, rng):
    _move(sent, _dates(sent, target), lambda d: d - timedelta(days=size))


@kind("dates", "a day early in some rows (time zone)", (0.05, 0.2, 0.5), DATES)
def _time_zone(sent, target, size, rng):
    _move(sent, _at_random(_dates(sent, target), size, rng), lambda d: d - timedelta(days=1))


@kind("dates", "a year early in some rows", (0.05, 0.2, 0.5), DATES)
def _wrong_year(sent, target, size, rng):
    _move(sent, _at_random(_dates(sent, target), size, rng), lambda d: _years(d, -1))


@kind("dates", "days since 1904 read as since 1900", (0.05, 0.2, 1.0), DATES, whole=(1.0,))
def _since_1904(sent, target, size, rng):
    _move(sent, _at_random(_dates(sent, target), size, rng), lambda d: d - timedelta(days=1462))


@kind("dates", "firsts of the month", (0.2, 0.5, 1.0), DATES)
def _firsts(sent, target, size, rng):
    _move(sent, _at_random(_dates(sent, target), size, rng), lambda d: d.replace(day=1))


@kind("dates", "drag-filled: one day later in each row", (0.05, 0.2, 1.0), DATES)
def _dragged(sent, target, size, rng):
    cells = _dates(sent, target)
    first = rng.randrange(max(1, len(cells) - round(size * len(cells))))
    run = cells[first : first + max(3, round(size * len(cells)))]
    for i, cell in enumerate(run):
        sent.put(cell, run[0].value + timedelta(days=i))


@kind("dates", "one date filled down", (0.05, 0.2, 1.0), DATES)
def _one_date(sent, target, size, rng):
    cells = _dates(sent, target)
    first = rng.randrange(max(1, len(cells) - round(size * len(cells))))
    run = cells[first : first + max(3, round(size * len(cells)))]
    _move(sent, run, lambda d: run[0].value)


@kind("dates", "all of a patient's results on one date", (0.05, 0.2, 1.0), ("lab_result.result_date",))
def _on_one_date(sent, target, size, rng):
    for cells in _series(_some_patients(_dates(sent, target), size, rng)).values():
        _move(sent, cells, lambda d, first=cells[0].value: first)


@kind("dates", "weekends moved to Monday", (0.5, 1.0), ("lab_result.result_date", "tpe_session.session_date"))
def _no_weekends(sent, target, size, rng):
    cells = [cell for cell in _dates(sent, target) if cell.value.weekday() > 4]
    _move(sent, _at_random(cells, size, rng), lambda d: d + timedelta(days=7 - d.weekday()))


@kind("dates", "discharge is the last contact", (0.2, 0.5, 1.0), ("patient.discharge_date",))
def _discharge_is_last(sent, target, size, rng):
    last = _by_patient(sent, "patient", "last_contact_date")
    for cell in _at_random(_dates(sent, target), size, rng):
        if cell.patient in last and last[cell.patient].value:
            sent.put(cell, last[cell.patient].value)


@kind("dates", "last contact is the day of the export", (0.2, 0.5, 1.0), ("patient.last_contact_date",))
def _export_day(sent, target, size, rng):
    cells = _dates(sent, target)
    latest = max(cell.value for cell in cells)
    _move(sent, _at_random(cells, size, rng), lambda d: latest)


@kind("dates", "last contact is the discharge", (0.2, 0.5, 1.0), ("patient.last_contact_date",))
def _last_is_discharge(sent, target, size, rng):
    left = _by_patient(sent, "patient", "discharge_date")
    for cell in _at_random(_dates(sent, target), size, rng):
        if cell.patient in left and left[cell.patient].value:
            sent.put(cell, left[cell.patient].value)


@kind("dates", "death dated on the last contact", (1.0,), ("patient.death_date",))
def _death_on_last_contact(sent, target, size, rng):
    """The last contact of the dead is a control visit, 30 days after the death."""
    last = _by_patient(sent, "patient", "last_contact_date")
    for cell in _dates(sent, target):
        if cell.patient in last:
            sent.put(last[cell.patient], cell.value + timedelta(days=30))
            sent.put(cell, cell.value + timedelta(days=30))


@kind("dates", "first exchange is the admission", (1, 3, 7), ("patient.first_tpe_date",))
def _admission(sent, target, size, rng):
    _move(sent, _dates(sent, target), lambda d: d - timedelta(days=rng.randint(0, size)))


# ---------------------------------------------------------------- within patients


@kind("within_patients", "series reversed", (0.05, 0.2, 1.0), SERIES)
def _reversed(sent, target, size, rng):
    for cells in _series(_some_patients(_numbers(sent, target), size, rng)).values():
        _refill(sent, cells, [c.value for c in reversed(cells)], [c.sign for c in reversed(cells)])


@kind("within_patients", "series shuffled", (0.05, 0.2, 1.0), SERIES)
def _shuffled(sent, target, size, rng):
    for cells in _series(_some_patients(_numbers(sent, target), size, rng)).values():
        mixed = rng.sample(cells, len(cells))
        _refill(sent, cells, [c.value for c in mixed], [c.sign for c in mixed])


@kind("within_patients", "result carried forward", (0.05, 0.2, 0.5), SERIES)
def _carried_forward(sent, target, size, rng):
    for cells in _series(_numbers(sent, target)).values():
        for before, cell in zip(cells, cells[1:], strict=False):
            if rng.random() < size:
                cell.value = before.value
                _refill(sent, [cell], [before.value], [before.sign])


@kind("within_patients", "results one visit late", (0.05, 0.2, 1.0), SERIES)
def _one_visit_late(sent, target, size, rng):
    for cells in _series(_some_patients(_numbers(sent, target), size, rng)).values():
        values, signs = [c.value for c in cells], [c.sign for c in cells]
        _refill(sent, cells[1:], values[:-1], signs[:-1])


@kind("within_patients", "series copied from another patient", (0.05, 0.2, 0.5), SERIES)
def _copied_series(sent, target, size, rng):
    series = _series(_numbers(sent, target))
    patients = sorted(series)
    for patient in rng.sample(patients, max(1, round(size * len(patients)))):
        donor = series[rng.choice([p for p in patients if p != patient])]
        run = series[patient][: len(donor)]
        _refill(sent, run, [c.value for c in donor[: len(run)]], [c.sign for c in donor[: len(run)]])


@kind("within_patients", "series exchanged between patients", (0.05, 0.2, 1.0), SERIES)
def _exchanged_series(sent, target, size, rng):
    series = _series(_numbers(sent, target))
    patients = sorted(series)
    chosen = rng.sample(patients, max(2, round(size * len(patients))))
    values = {p: [(c.value, c.sign) for c in series[p]] for p in chosen}
    for patient, donor in zip(chosen, _deranged(chosen, rng), strict=True):
        length = min(len(series[patient]), len(values[donor]))
        given = values[donor][:length]
        _refill(sent, series[patient][:length], [v for v, _ in given], [s for _, s in given])


@kind("within_patients", "platelets and LDH exchanged", (0.05, 0.2, 1.0), ("lab_result.ldh_x_uln",), whole=(1.0,))
def _platelets_and_ldh(sent, target, size, rng):
    ldh = {(c.patient, c.day): c for c in _numbers(sent, target)}
    counts = {(c.patient, c.day): c for c in _numbers(sent, "lab_result.platelets_10e9_per_l")}
    pairs = [(ldh[at], counts[at]) for at in sorted(ldh.keys() & counts.keys(), key=str)]
    chosen = {c.patient for c in _some_patients([a for a, _ in pairs], size, rng)}
    for one, other in pairs:
        if one.patient in chosen:
            _exchange(sent, [one], [other])


@kind("within_patients", "each patient's results at one value", (0.05, 0.2, 1.0), SERIES)
def _flat(sent, target, size, rng):
    for cells in _series(_some_patients(_numbers(sent, target), size, rng)).values():
        middle = statistics.median(c.value for c in cells)
        _refill(sent, cells, [middle] * len(cells), [""] * len(cells))


@kind("within_patients", "patient's baseline copied from another", (0.05, 0.2, 0.5), ("all",))
def _copied_baseline(sent, target, size, rng):
    patients = sent.patients()
    chosen = rng.sample(patients, max(1, round(size * len(patients))))
    donors = {patient: rng.choice([p for p in patients if p != patient]) for patient in chosen}
    for one in (*BASELINE, "patient.sex", *ANSWERS[:4]):
        if sent.sends(*one.split(".")):
            by_patient = _by_patient(sent, *one.split("."))
            given = {p: (by_patient[d].value, by_patient[d].sign) for p, d in donors.items() if d in by_patient}
            for patient, (value, sign) in given.items():
                if patient in by_patient and not by_patient[patient].kept:
                    _refill(sent, [by_patient[patient]], [value], [sign])


# ---------------------------------------------------------------- categories and completeness

_OPPOSITE = {"yes": "no", "no": "yes"}


def _answers(sent: Sent, target: str) -> list[Cell]:
    """The yes and no cells of a target; a yes that is a date filled in is none."""
    cells = [c for c in _cells(sent, target) if c.value in ("yes", "no") and not c.place.source.filled]
    if not cells:
        raise NotHere(target)
    return cells


@kind("completeness", "yes and no exchanged", (0.05, 0.2, 1.0), ANSWERS, whole=(1.0,))
def _inverted(sent, target, size, rng):
    for cell in _at_random(_answers(sent, target), size, rng):
        sent.put(cell, _OPPOSITE[cell.value])


@kind("completeness", "sexes exchanged", (0.05, 0.2, 1.0), ("patient.sex",), whole=(1.0,))
def _sexes(sent, target, size, rng):
    for cell in _at_random(_cells(sent, target), size, rng):
        sent.put(cell, "male" if cell.value == "female" else "female")


@kind("completeness", "all answers no", (1.0,), ANSWERS)
def _all_no(sent, target, size, rng):
    for cell in _answers(sent, target):
        sent.put(cell, "no")


@kind("completeness", "all answers yes", (1.0,), ANSWERS)
def _all_yes(sent, target, size, rng):
    for cell in _answers(sent, target):
        sent.put(cell, "yes")


@kind("completeness", "yes sent as no", (0.2, 0.5), ANSWERS)
def _under_reported(sent, target, size, rng):
    for cell in _at_random([c for c in _answers(sent, target) if c.value == "yes"], size, rng):
        sent.put(cell, "no")


@kind("completeness", "not assessed sent as no", (0.5, 1.0), ("adverse_event_assessment.answer",))
def _unknown_as_no(sent, target, size, rng):
    cells = [c for c in _cells(sent, target) if c.value == "not_assessed"]
    if not cells or "no" not in cells[0].place.words.values():
        raise NotHere("no word for not assessed")
    for cell in _at_random(cells, size, rng):
        sent.put(cell, "no")


_PAIRS = (
    "patient.neurological_involvement|patient.coma",
    "patient.reported_refractory|patient.reported_exacerbation",
    "patient.first_episode|patient.corticosteroids",
    "patient.first_episode|patient.neurological_involvement",
    "patient.hemoglobin_g_per_dl|patient.creatinine_umol_per_l",
    "patient.anti_adamts13_u_per_ml|patient.creatinine_umol_per_l",
    "patient.adamts13_percent|patient.hemoglobin_g_per_dl",
    "patient.discharge_date|patient.last_contact_date",
    "drug_course.start_date|drug_course.end_date",
)


@kind("completeness", "two columns exchanged", (0.05, 0.2, 1.0), _PAIRS, whole=(1.0,))
def _two_columns(sent, target, size, rng):
    one, other = (sent.filled(*name.split(".")) for name in target.split("|"))
    of_other = {(c.patient, c.place.table, c.row, c.record): c for c in other}
    pairs = [(c, of_other[at]) for c in one if (at := (c.patient, c.place.table, c.row, c.record)) in of_other]
    if not pairs:
        raise NotHere(target)
    for a, b in _at_random(pairs, size, rng):
        _exchange(sent, [a], [b])


@kind("completeness", "codes of two drugs exchanged", (0.05, 0.2, 1.0), ("drug_course.drug",), whole=(1.0,))
def _drugs(sent, target, size, rng):
    swapped = {"caplacizumab": "rituximab", "rituximab": "caplacizumab"}
    for cell in _at_random([c for c in _cells(sent, target) if c.value in swapped], size, rng):
        sent.put(cell, swapped[cell.value])


@kind("completeness", "adverse events a grade up", (0.2, 1.0), ("adverse_event.kind",))
def _severity_up(sent, target, size, rng):
    worse = {"minor_bleeding": "crnm_bleeding", "crnm_bleeding": "major_bleeding"}
    cells = [c for c in _cells(sent, target) if c.value in worse]
    if not cells:
        raise NotHere("no bleeding")
    for cell in _at_random(cells, size, rng):
        sent.put(cell, worse[cell.value])


@kind("completeness", "kinds of adverse events exchanged", (1.0,), ("adverse_event.kind",), whole=True)
def _kinds_exchanged(sent, target, size, rng):
    swapped = {"minor_bleeding": "major_bleeding", "major_bleeding": "minor_bleeding"}
    for cell in _cells(sent, target):
        sent.put(cell, swapped.get(cell.value, cell.value))


@kind(
    "completeness", "assessments of two kinds of events exchanged", (1.0,), ("adverse_event_assessment.answer",), True
)
def _assessments_exchanged(sent, target, size, rng):
    major = sent.cells("adverse_event_assessment", "answer", "major_bleeding")
    minor = {c.patient: c for c in sent.cells("adverse_event_assessment", "answer", "minor_bleeding")}
    for cell in major:
        if cell.patient in minor and cell.value != minor[cell.patient].value:
            _exchange(sent, [cell], [minor[cell.patient]])


_EMPTIED = (*BASELINE, "patient.icu_days", *ANSWERS[:4], "patient.discharge_date", *SERIES, "tpe_session.volume_ml")


@kind("completeness", "column emptied", SHARES, _EMPTIED)
def _emptied(sent, target, size, rng):
    sent.blank(_at_random(_cells(sent, target), size, rng))


@kind("completeness", "column emptied since a date", (0.05, 0.2, 0.5), _EMPTIED)
def _emptied_since(sent, target, size, rng):
    sent.blank(_latest(_cells(sent, target), size))


@kind("completeness", "deaths left out", (0.5, 1.0))
def _deaths_left_out(sent, target, size, rng):
    dead = [c.patient for c in sent.cells("patient", "died") if c.value == "yes" or c.place.source.filled and c.value]
    dates = _by_patient(sent, "patient", "death_date")
    dead = sorted({*dead, *(p for p, c in dates.items() if c.value)})
    if not dead:
        raise NotHere("no deaths")
    chosen = set(rng.sample(dead, max(1, round(size * len(dead)))))
    for name in ("death_date", "death_cause"):
        sent.blank([c for c in sent.cells("patient", name) if c.patient in chosen])
    for cell in sent.cells("patient", "died"):
        if cell.patient in chosen and not cell.place.source.filled:
            sent.put(cell, "no")


@kind("completeness", "patients who died left out", (0.5, 1.0))
def _dead_left_out(sent, target, size, rng):
    dead = sorted({c.patient for c in sent.cells("patient", "death_date") if c.value})
    if not dead:
        raise NotHere("no deaths")
    _leave_out_patients(sent, set(rng.sample(dead, max(1, round(size * len(dead))))))


def _leave_out_patients(sent: Sent, patients: set[str]) -> None:
    for table in sent.spec.tables:
        sent.drop_rows(table, {i for i, key in enumerate(sent.keys(table)) if key in patients})


@kind("completeness", "adverse events left out", (0.5, 1.0))
def _events_left_out(sent, target, size, rng):
    found = False
    if sent.sends("adverse_event", "kind"):
        sent.blank(_at_random(_cells(sent, "adverse_event.kind"), size, rng))
        found = True
    if sent.sends("adverse_event_assessment", "answer"):
        cells = [c for c in _cells(sent, "adverse_event_assessment.answer") if c.value == "yes"]
        for cell in _at_random(cells, size, rng) if cells else []:
            sent.put(cell, "no")
            found = True
    if not found:
        raise NotHere("no events")


_LISTS = ("lab_result", "tpe_session", "drug_course")


def _rows_of(sent: Sent, name: str) -> dict[str, list[int]]:
    """Table of the spec -> rows that hold records of a list and do not name a patient."""
    found = {}
    for table, of in sent.spec.tables.items():
        rows = {i for record in of.records if record.table == name for i in sent.rows_of(table, record)}
        named = {i for record in of.records if record.table == "patient" for i in sent.rows_of(table, record)}
        if rows - named:
            found[table] = sorted(rows - named)
    if not found:
        raise NotHere(f"no rows of {name}")
    return found


@kind("completeness", "file cut: rows of the last patients gone", (0.05, 0.1, 0.3), _LISTS, whole=True)
def _last_patients_cut(sent, target, size, rng):
    patients = sent.patients()
    gone = set(patients[len(patients) - max(1, round(size * len(patients))) :])
    for table, rows in _rows_of(sent, target).items():
        keys = sent.keys(table)
        sent.drop_rows(table, {i for i in rows if keys[i] in gone})


@kind("completeness", "file cut at a row", (0.05, 0.1, 0.3), _LISTS, whole=True)
def _cut_at_a_row(sent, target, size, rng):
    for table, rows in _rows_of(sent, target).items():
        sent.drop_rows(table, set(rows[round((1 - size) * len(rows)) :]))


@kind("completeness", "every nth result left out", (2, 5, 20), (*SERIES, "tpe_session.session_date"))
def _every_nth(sent, target, size, rng):
    sent.blank([cell for cells in _series(_cells(sent, target)).values() for cell in cells[size - 1 :: size]])


@kind("completeness", "results after discharge left out", (1.0,), SERIES)
def _after_discharge(sent, target, size, rng):
    left = {c.patient: c.value for c in sent.cells("patient", "discharge_date") if isinstance(c.value, date)}
    sent.blank([c for c in _cells(sent, target) if c.day and c.patient in left and c.day > left[c.patient]])


@kind("completeness", "courses of one drug left out", (0.2, 0.5, 1.0), ("drug_course.start_date",))
def _one_drug_left_out(sent, target, size, rng):
    cells = [c for c in sent.cells("drug_course", "start_date", "rituximab") if c.value is not None]
    sent.blank(_some_patients(cells, size, rng))


@kind("completeness", "patients pasted again with a new number", (0.05, 0.2, 1.0))
def _pasted_twice(sent, target, size, rng):
    patients = sent.patients()
    again = set(rng.sample(patients, max(1, round(size * len(patients)))))
    _paste(sent, again)


def _paste(sent: Sent, again: set[str]) -> None:
    """Send patients' rows a second time, with numbers that follow the centre's own."""
    numbers = _new_numbers(sent.patients(), sorted(again))
    for table in sent.spec.tables:
        rows = [i for i, key in enumerate(sent.keys(table)) if key in again]
        sent.add_rows(table, rows, lambda text: numbers.get(text.strip(), text))


def _new_numbers(known: list[str], patients: list[str]) -> dict[str, str]:
    """Patient -> a number of the same form that no patient has."""
    taken, made = set(known), {}
    for i, patient in enumerate(patients):
        digits = [c for c in patient if c.isdigit()]
        for shift in range(1, 10 ** min(len(digits), 6)):
            number = str(int("".join(digits) or 0) + i + shift).zfill(len(digits))[-len(digits) :]
            drawn = iter(number)
            candidate = "".join(next(drawn) if c.isdigit() else c for c in patient)
            if candidate not in taken:
                taken.add(candidate)
                made[patient] = candidate
                break
    return made


@kind("completeness", "missing filled with the median", (1.0,), BASELINE)
def _imputed(sent, target, size, rng):
    cells = sent.cells(*target.split("."))
    middle = statistics.median([c.value for c in cells if c.value is not None])
    empty = [c for c in cells if c.value is None]
    if not empty:
        raise NotHere("nothing missing")
    for cell in empty:
        sent.put(cell, middle)


# ---------------------------------------------------------------- between columns


@kind("between_columns", "column permuted among patients", (0.2, 1.0), (*BASELINE, *ANSWERS, "patient.sex"))
def _permuted(sent, target, size, rng):
    cells = [c for c in _cells(sent, target) if not c.place.source.filled]
    if not cells:
        raise NotHere(target)
    chosen = _at_random(cells, size, rng)
    mixed = _deranged([(c.value, c.sign) for c in chosen], rng)
    _refill(sent, chosen, [v for v, _ in mixed], [s for _, s in mixed])


@kind("between_columns", "dates permuted among patients", (0.2, 1.0), OWN_DATES)
def _dates_permuted(sent, target, size, rng):
    chosen = _at_random(_dates(sent, target), size, rng)
    _refill(sent, chosen, _deranged([c.value for c in chosen], rng))


@kind("between_columns", "numbers of patients permuted in one file", (0.05, 0.2, 1.0), _LISTS, whole=(1.0,))
def _keys_permuted(sent, target, size, rng):
    tables = _rows_of(sent, target)
    patients = sorted({sent.keys(table)[i] for table, rows in tables.items() for i in rows} - {""})
    chosen = rng.sample(patients, max(2, round(size * len(patients))))
    sent.rename(dict(zip(chosen, _deranged(chosen, rng), strict=True)), tables)


@kind("between_columns", "numbers of patients one row off in one file", (1.0,), _LISTS, whole=True)
def _keys_one_off(sent, target, size, rng):
    patients = sent.patients()
    sent.rename(dict(zip(patients, patients[1:] + patients[:1], strict=True)), _rows_of(sent, target))


@kind("between_columns", "doses typed under the patient before", (0.05, 0.2), ("drug_course.start_date",))
def _course_of_another(sent, target, size, rng):
    cells = sent.filled("drug_course", "start_date", "caplacizumab")
    chosen = _at_random(cells, size, rng)
    if len(chosen) > 1:
        _refill(sent, chosen, _deranged([c.value for c in chosen], rng))


# ---------------------------------------------------------------- between submissions


@kind("between_submissions", "pseudonyms permuted", (0.05, 0.2, 1.0), whole=(1.0,), resent=True)
def _pseudonyms_permuted(sent, target, size, rng):
    patients = sent.patients()
    chosen = rng.sample(patients, max(2, round(size * len(patients))))
    sent.rename(dict(zip(chosen, _deranged(chosen, rng), strict=True)))


@kind("between_submissions", "patients renumbered", (1.0,), whole=True, resent=True)
def _renumbered(sent, target, size, rng):
    patients = sent.patients()
    sent.rename(_new_numbers(patients, patients))


@kind("between_submissions", "numbers moved up after a patient who left", (0.2, 0.8), resent=True)
def _moved_up(sent, target, size, rng):
    patients = sent.patients()
    first = round((1 - size) * (len(patients) - 1))
    _leave_out_patients(sent, {patients[first]})
    sent.rename(dict(zip(patients[first + 1 :], patients[first:-1], strict=True)))


@kind("between_submissions", "sex changed", (0.05, 0.2, 0.5), ("patient.sex",), resent=True)
def _sex_changed(sent, target, size, rng):
    _sexes(sent, target, size, rng)


@kind(
    "between_submissions", "birth changed", (0.05, 0.2, 0.5), ("patient.birth_date", "patient.birth_year"), resent=True
)
def _birth_changed(sent, target, size, rng):
    for cell in _at_random(_cells(sent, target), size, rng):
        years = rng.choice((-10, -5, 5, 10))
        sent.put(cell, cell.value + years if isinstance(cell.value, float) else _years(cell.value, years))


@kind("between_submissions", "first exchange dated anew", (0.05, 0.2, 0.5), ("patient.first_tpe_date",), resent=True)
def _dated_anew(sent, target, size, rng):
    _move(
        sent, _at_random(_dates(sent, target), size, rng), lambda d: d + timedelta(days=rng.choice((-3, -2, 1, 2, 3)))
    )


@kind("between_submissions", "events erased", (0.5, 1.0), resent=True)
def _events_erased(sent, target, size, rng):
    _events_left_out(sent, target, size, rng)


@kind("between_submissions", "deaths erased", (0.5, 1.0), resent=True)
def _deaths_erased(sent, target, size, rng):
    _deaths_left_out(sent, target, size, rng)


@kind("between_submissions", "patients gone", (0.05, 0.2, 0.5), resent=True)
def _patients_gone(sent, target, size, rng):
    patients = sent.patients()
    _leave_out_patients(sent, set(rng.sample(patients, max(1, round(size * len(patients))))))


@kind("between_submissions", "level changed", FACTORS, NUMBERS, resent=True)
def _level_changed(sent, target, size, rng):
    _scale(sent, _numbers(sent, target), size)


@kind("between_submissions", "rows cut", (0.05, 0.1, 0.3), _LISTS, whole=True, resent=True)
def _rows_cut(sent, target, size, rng):
    _cut_at_a_row(sent, target, size, rng)


@kind("between_submissions", "values changed here and there", (0.05, 0.2, 0.5), NUMBERS, resent=True)
def _values_changed(sent, target, size, rng):
    for cell in _at_random(_numbers(sent, target), size, rng):
        sent.put(cell, cell.value * rng.uniform(0.7, 1.4))


def size_in_words(size) -> str:
    """A size as it stands in a table: "x 2", "20 %", "x 2 of 20 %"."""
    if isinstance(size, tuple):
        first = f"x {size[0]:g}" if isinstance(size[0], float) else f"{size[0]}"
        return f"{first}, {size[1]:.0%}"
    if isinstance(size, str | int):
        return str(size)
    return f"x {size:g}" if size > 1 else f"{size:.0%}"
