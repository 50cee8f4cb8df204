"""Kinds of faults added after the checks were written: how monitoring does on what it was not made for.

Importing this module adds them to ``KINDS``.
"""

from datetime import date, timedelta

from .kinds import (
    BASELINE,
    DATES,
    LIST_DATES,
    NUMBERS,
    SERIES,
    _at_random,
    _by_patient,
    _cells,
    _dates,
    _last_in_file,
    _leave_out_patients,
    _move,
    _numbers,
    _refill,
    _series,
    _some_patients,
    _years,
    kind,
)
from .sent import NotHere

_PARTS = (0.05, 0.2, 1.0)


@kind("mixture", "cells pushed one column to the right in the last rows", (0.05, 0.2, 0.5), later=True)
def _pushed(sent, target, size, rng):
    names = [name for name in BASELINE[:3] if sent.sends(*name.split("."))]
    columns = [_by_patient(sent, *name.split(".")) for name in names]
    patients = sent.patients()
    for patient in patients[len(patients) - max(1, round(size * len(patients))) :]:
        row = [column[patient] for column in columns]
        for cell, other in zip(row, [row[-1], *row[:-1]], strict=True):
            sent.put(cell, other.value)


@kind("shape", "two digits exchanged in typing", _PARTS, NUMBERS, later=True)
def _digits_exchanged(sent, target, size, rng):
    for cell in _at_random(_numbers(sent, target), size, rng):
        step = 10.0**-cell.place.decimals
        digits = str(round(cell.value / step))
        if len(digits) > 1:
            sent.put(cell, int(digits[:-2] + digits[-1] + digits[-2]) * step)


@kind("shape", "field too narrow: last digit cut off the longest numbers", (0.2, 1.0), SERIES[:2], later=True)
def _cut_off(sent, target, size, rng):
    cells = [cell for cell in _numbers(sent, target) if cell.value >= 100]
    for cell in _at_random(cells, size, rng):
        sent.put(cell, float(cell.value // 10))


@kind("shape", "even last digits only", (0.5, 1.0), NUMBERS, later=True)
def _even(sent, target, size, rng):
    for cell in _at_random(_numbers(sent, target), size, rng):
        step = 10.0**-cell.place.decimals
        sent.put(cell, 2 * max(1, round(cell.value / step / 2)) * step)


@kind("shape", "normal results sent as the upper limit of normal", (0.5, 1.0), ("lab_result.ldh_x_uln",), later=True)
def _normal_at_limit(sent, target, size, rng):
    cells = _numbers(sent, target)
    in_uln = {cell.place.source.unit == "x ULN" for cell in cells} == {True}
    limit = 1.0 if in_uln else 250.0
    for cell in _at_random([c for c in cells if c.value < limit], size, rng):
        sent.put(cell, limit)


@kind("shape", "results above the measuring range left out", (0.05, 0.2), NUMBERS, later=True)
def _highest_left_out(sent, target, size, rng):
    cells = sorted(_numbers(sent, target), key=lambda cell: cell.value)
    sent.blank(_last_in_file(cells, size))


@kind("dates", "January dated in the old year", (0.5, 1.0), DATES, later=True)
def _old_year(sent, target, size, rng):
    cells = [cell for cell in _dates(sent, target) if cell.value.month == 1]
    _move(sent, _at_random(cells, size, rng), lambda d: _years(d, -1))


@kind("dates", "a day late after the leap day of 2020", (1.0,), LIST_DATES, later=True)
def _leap_day(sent, target, size, rng):
    cells = [cell for cell in _dates(sent, target) if cell.value > date(2020, 2, 29)]
    _move(sent, cells, lambda d: d + timedelta(days=1))


@kind("dates", "exchanges dated as planned: one a day", (0.2, 1.0), ("tpe_session.session_date",), later=True)
def _as_planned(sent, target, size, rng):
    series = {}
    for cell in _some_patients(_dates(sent, target), size, rng):
        series.setdefault(cell.patient, []).append(cell)
    for cells in series.values():
        ordered = sorted(cells, key=lambda c: c.value)
        for i, cell in enumerate(ordered):
            sent.put(cell, ordered[0].value + timedelta(days=i))


@kind("dates", "caplacizumab ended as planned, on day 30", (0.2, 0.5, 1.0), ("drug_course.end_date",), later=True)
def _planned_end(sent, target, size, rng):
    starts = {(c.patient, c.row, c.record): c.value for c in sent.cells("drug_course", "start_date", "caplacizumab")}
    cells = sent.filled("drug_course", "end_date", "caplacizumab")
    for cell in _at_random(cells, size, rng):
        start = starts.get((cell.patient, cell.row, cell.record))
        if start:
            sent.put(cell, start + timedelta(days=30))


@kind("dates", "last contact is day 90", (0.2, 0.5, 1.0), ("patient.last_contact_date",), later=True)
def _day_90(sent, target, size, rng):
    for cell in _at_random(_dates(sent, target), size, rng):
        if cell.day:
            sent.put(cell, cell.day + timedelta(days=90))


@kind("dates", "births on the first of January", (0.2, 0.5, 1.0), ("patient.birth_date",), later=True)
def _first_of_january(sent, target, size, rng):
    _move(sent, _at_random(_dates(sent, target), size, rng), lambda d: d.replace(month=1, day=1))


@kind(
    "dates",
    "some patients' results dated from the admission",
    (0.05, 0.2, 0.5),
    ("lab_result.result_date",),
    later=True,
)
def _from_admission(sent, target, size, rng):
    _move(sent, _some_patients(_dates(sent, target), size, rng), lambda d: d + timedelta(days=3))


@kind("completeness", "rows sent twice", _PARTS, ("lab_result", "tpe_session", "drug_course"), later=True)
def _rows_twice(sent, target, size, rng):
    for name, table in sent.spec.tables.items():
        if any(record.table == target for record in table.records) and len(table.records) > 0:
            rows = sorted({i for r in table.records if r.table == target for i in sent.rows_of(name, r)})
            rows = [
                i for i in rows if not any(r.table == "patient" and i in sent.rows_of(name, r) for r in table.records)
            ]
            if rows:
                sent.add_rows(name, sorted(_at_random(rows, size, rng)))


@kind("completeness", "results of controls left out", (0.5, 1.0), SERIES, later=True)
def _controls_left_out(sent, target, size, rng):
    treated = {c.patient for c in sent.cells("drug_course", "start_date", "caplacizumab") if c.value is not None}
    sent.blank(_at_random([c for c in _cells(sent, target) if c.patient not in treated], size, rng))


@kind("completeness", "results of day 0 left out", (0.5, 1.0), SERIES[:2], later=True)
def _day_0_left_out(sent, target, size, rng):
    day0 = sent.day0()
    sent.blank(_at_random([c for c in _cells(sent, target) if c.day == day0.get(c.patient)], size, rng))


@kind(
    "completeness",
    "refractory sent for those who died, and for no others",
    (1.0,),
    ("patient.reported_refractory",),
    later=True,
)
def _refractory_if_dead(sent, target, size, rng):
    dead = {c.patient for c in sent.cells("patient", "death_date") if c.value is not None}
    for cell in _cells(sent, target):
        sent.put(cell, "yes" if cell.patient in dead else "no")


@kind("between_columns", "two patients under one number", (0.05, 0.2), later=True)
def _merged(sent, target, size, rng):
    patients = sent.patients()
    chosen = rng.sample(patients, 2 * max(1, round(size * len(patients) / 2)))
    pairs = dict(zip(chosen[::2], chosen[1::2], strict=True))
    naming = {t for t, of in sent.spec.tables.items() if any(r.table == "patient" for r in of.records)}
    for table, of in sent.spec.tables.items():
        if table in naming:
            named = {i for r in of.records if r.table == "patient" for i in sent.rows_of(table, r)}
            keys = sent.keys(table)
            sent.drop_rows(table, {i for i in named if keys[i] in pairs})
    sent.rename(pairs)


@kind("between_columns", "outcomes judged before the results of the next patient", (1.0,), later=True)
def _outcomes_one_off(sent, target, size, rng):
    for name in ("reported_refractory", "reported_exacerbation"):
        if sent.sends("patient", name):
            cells = _cells(sent, f"patient.{name}")
            values = [c.value for c in cells]
            _refill(sent, cells, values[1:] + values[:1])


@kind("between_submissions", "dates a day later than before", (1, 7), DATES, resent=True, later=True)
def _later_than_before(sent, target, size, rng):
    _move(sent, _dates(sent, target), lambda d: d + timedelta(days=size))


@kind("between_submissions", "one patient in five new, the same number gone", (0.05, 0.2), resent=True, later=True)
def _replaced(sent, target, size, rng):
    patients = sent.patients()
    chosen = rng.sample(patients, max(2, round(size * len(patients))))
    if len(chosen) < 2:
        raise NotHere("too few")
    half = len(chosen) // 2
    _leave_out_patients(sent, set(chosen[:half]))
    sent.rename({patient: gone for gone, patient in zip(chosen[:half], chosen[half : 2 * half], strict=True)})


@kind(
    "between_submissions",
    "series recomputed: every result changed a little",
    (0.02, 0.1),
    SERIES,
    resent=True,
    later=True,
)
def _recomputed(sent, target, size, rng):
    for cells in _series(_numbers(sent, target)).values():
        for cell in cells:
            sent.put(cell, cell.value * (1 + rng.uniform(-size, size)))
