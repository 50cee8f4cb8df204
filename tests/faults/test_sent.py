"""Faults change what they say and nothing else, and write it in the form of the column."""

from functools import cache
from random import Random

import pytest

from capla_etl import paths
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import source_columns
from capla_etl.centres.submissions.history import read_current

from . import later  # noqa: F401 -- adds its kinds
from .kinds import KINDS, targets_in
from .sent import NotHere, Sent

#: A wide sheet, JSON lists, text with decimal comma, and rows of several kinds in files with months first.
CENTRES = ("HU01", "US01", "CA01", "IT01")
FIELDS = (
    "patient.birth_date",
    "patient.first_tpe_date",
    "patient.hemoglobin_g_per_dl",
    "patient.creatinine_umol_per_l",
    "patient.adamts13_percent",
    "patient.coma",
    "patient.last_contact_date",
    "lab_result.result_date",
    "lab_result.platelets_10e9_per_l",
    "lab_result.ldh_x_uln",
    "lab_result.adamts13_percent",
    "tpe_session.session_date",
    "tpe_session.volume_ml",
    "drug_course.start_date",
    "adverse_event.kind",
)


@cache
def as_read(centre: str):
    folder = paths.data_raw() / centre
    spec = load_spec(folder / "centre.yml")
    return spec, read_current(spec, folder, paths.as_of())


def sent(centre: str) -> Sent:
    return Sent(*as_read(centre))


@pytest.mark.parametrize("centre", [*CENTRES, "AT01", "BR01"])
def test_a_value_that_is_written_back_as_it_was_read_changes_no_text(centre):
    of = sent(centre)
    for name in FIELDS:
        if of.sends(*name.split(".")):
            for cell in of.filled(*name.split(".")):
                of.put(cell, cell.value)
    assert not of.changed


def differing(before, after) -> set[tuple[str, str, int]]:
    """Table, column and row number of each cell that differs; column '' for a row that came or went."""
    found = set()
    for old, new in zip(before, after, strict=True):
        rows = [{row["source_row"]: row for row in raw.rows.to_pylist()} for raw in (old, new)]
        found |= {(old.name, "", number) for number in rows[0].keys() ^ rows[1].keys()}
        for number in rows[0].keys() & rows[1].keys():
            one, other = rows[0][number], rows[1][number]
            found |= {(old.name, c, number) for c in one if (one[c] or "") != (other[c] or "")}
    return found


def columns_of(spec, target: str) -> set[tuple[str, str]]:
    """Table and column of everything that the spec reads for the fields of a target."""
    found = set()
    for part in target.split("|"):
        harmonised, _, name = part.partition(".")
        for table, of in spec.tables.items():
            for record in of.records:
                if record.table == harmonised and name in record.fields:
                    found |= {(table, c.partition("{k}")[0]) for c in source_columns(record.fields[name])}
                    found |= {(table, record.present.column)} if record.present else set()
    return found


#: Kinds that also change columns beside their target: they exchange or join fields.
_MORE = {"platelets and LDH exchanged", "death dated on the last contact", "last contact is the discharge"}


@pytest.mark.parametrize("number", range(len(KINDS)), ids=lambda i: KINDS[i].name)
def test_a_fault_changes_cells_of_its_field_and_no_others(number):
    kind = KINDS[number]
    placed = 0
    for centre in CENTRES:
        spec, raws = as_read(centre)
        for target in targets_in(kind, sent(centre)) if placed < 2 else ():
            of = sent(centre)
            try:
                kind.put(of, target, kind.sizes[-1], Random(centre))
                made = of.tables()
            except NotHere:
                continue
            placed += 1
            found = differing(raws, made)
            assert found and found <= of.changed
            if "." in target and kind.name not in _MORE:
                columns = {(table, column) for table, column, _ in found if column}
                allowed = columns_of(spec, target)
                assert all(any(t == table and c.startswith(name) for t, name in allowed) for table, c in columns)
            if placed == 2:
                break
    assert placed, f"{kind.name} finds no place in {CENTRES}"


def test_a_factor_multiplies_in_the_form_of_the_column():
    for centre, name, old, new in (
        ("HU01", "patient.hemoglobin_g_per_dl", "56", "112"),
        ("BR01", "patient.creatinine_umol_per_l", "0,79", "1,58"),
        ("BR01", "lab_result.platelets_10e9_per_l", "18.000", "36.000"),
        ("CA01", "lab_result.ldh_x_uln", "1590.0", "3180.0"),
        ("IT01", "patient.adamts13_percent", "<0,05", "<0,1"),
    ):
        of = sent(centre)
        cells = of.filled(*name.split("."))
        cell = next(c for c in cells if of.texts[c.place.table][c.place.column][c.row] == old)
        of.put(cell, cell.value * 2)
        assert of.texts[cell.place.table][cell.place.column][cell.row] == new


def test_a_code_that_stands_for_a_result_below_the_limit_is_left_alone():
    of = sent("AT01")
    codes = [cell for cell in of.cells("patient", "adamts13_percent") if cell.kept]
    assert codes
    for cell in codes:
        of.put(cell, 50.0)
    assert not of.changed


def test_a_fault_without_a_place_says_so():
    with pytest.raises(NotHere):
        sent("HU01").cells("patient", "reported_response_date")
    with pytest.raises(NotHere):
        sent("HU01").tables()
