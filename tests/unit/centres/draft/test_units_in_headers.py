"""The unit in a header is found in any form that the spec accepts, and no hint about a missing one misleads by ten."""

import pytest

from capla_etl.centres.draft import draft_centre
from capla_etl.centres.draft.words import without_unit, words
from capla_etl.centres.spec.grammar import TO_DECIDE
from capla_etl.fields import fields
from capla_etl.fields.units import unit_factor


@pytest.mark.parametrize("platelets", ["血小板", "血小板数", "PLT", "Platelets", "Thrombozyten"])
@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("万/μL", 10),
        ("万/µL", 10),
        ("×10^4/μL", 10),
        ("10^4/μL", 10),
        ("10*4/uL", 10),
        ("×10⁴/µL", 10),
        ("x10^3/μL", 1),
        ("10³/µL", 1),
        ("10^9/l", 1),
        ("G/l", 1),
        ("Tsd/µl", 1),
        ("/mm3", 0.001),
        ("cells/mm³", 0.001),
    ],
)
@pytest.mark.parametrize("form", ["{}({})", "{} ({})", "{}（{}）", "{} [{}]", "{}【{}】", "{} {}", "{}, {}"])
def test_a_unit_in_a_header_is_found_in_any_bracket_or_none(platelets, unit, factor, form):
    header = form.format(platelets, unit)
    declared = fields()["platelets_10e9_per_l"]
    found = words().unit(without_unit(header)[1], declared)
    assert float(unit_factor(declared, found)) == factor
    assert words().match("fields", header).name == declared.name and words().match("fields", header).whole


@pytest.mark.parametrize(
    ("field", "header", "unit"),
    [
        ("platelets_10e9_per_l", "血小板万/μL", "万/μL"),
        ("platelets_10e9_per_l", "plt_k_ul", "10^9/L"),
        ("platelets_10e9_per_l", "plt_10e9_l", "10^9/L"),
        ("platelets_10e9_per_l", "PLT (x10(9)/L)", "10^9/L"),
        ("platelets_10e9_per_l", "PLT per mm3", "/mm3"),
        ("platelets_10e9_per_l", "Thrombozyten in Tsd/µl", "10^9/L"),
        ("hemoglobin_g_per_dl", "HGB_G_DL", "g/dL"),
        ("hemoglobin_g_per_dl", "HB (G/L)", "g/L"),
        ("hemoglobin_g_per_dl", "hemoglobin_g_per_L", "g/L"),
        ("creatinine_umol_per_l", "CREAT_MG_DL", "mg/dL"),
        ("ldh_x_uln", "LDH (µkat/l)", "µkat/l"),
        ("ldh_x_uln", "LDH (× ULN)", "x ULN"),
        ("troponin_x_uln", "トロポニン(基準上限比)", "x ULN"),
        ("adamts13_percent", "ADAMTS13活性（％）", "%"),
        ("volume_ml", "VOLUME_ML", "mL"),
        ("volume_ml", "pex_volume_l", "L"),
        ("icu_days", "ICU (日)", "days"),
    ],
)
def test_a_unit_is_written_as_the_spec_accepts_it(field, header, unit):
    assert words().unit(without_unit(header)[1], fields()[field]) == unit


@pytest.mark.parametrize(
    ("text", "field"),
    [("G/L", "ldh_x_uln"), ("kg", "platelets_10e9_per_l"), ("IU/mL", "platelets_10e9_per_l"), ("", "volume_ml")],
)
def test_a_unit_of_another_kind_is_none(text, field):
    assert words().unit(text, fields()[field]) is None


@pytest.mark.parametrize("header", ["lab_date", "date 1", "symptoms___1", "plt_day", "first_ep", "Died y/n", "TTP/HUS"])
def test_what_is_no_unit_stays_in_the_name(header):
    assert without_unit(header) == (header, "")


def _hint(tmp_path, header, values):
    rows = [f"P{i % 3};2020-01-{10 + i};{value}" for i, value in enumerate(values)]
    (tmp_path / "labs.csv").write_text("\n".join([f"patient_id;date;{header}", *rows]) + "\n")
    (record,) = draft_centre(tmp_path / "labs.csv").tables[0].records
    (entry,) = (e for name, e in record.fields.items() if name != "result_date")
    return entry


def test_a_hint_names_every_unit_in_which_the_numbers_are_plausible_or_none(tmp_path):
    """Counts in ten thousands a microlitre look like low ones in 10^9/L; the hint names both."""
    counts = [1, 1.5, 2.2, 6.4, 12.8, 20, 25, 33, 38]
    entry = _hint(tmp_path, "PLT", counts)
    assert entry.source["unit"] == TO_DECIDE
    assert {"10^9/L", "10^4/uL"} <= set(entry.note.split("plausible in ")[1].split(", "))
    entry = _hint(tmp_path, "PLT", [n * 10000 for n in counts])
    assert entry.note.endswith("plausible in /mm3")
    assert "U/L" in _hint(tmp_path, "LDH", [n * 20 for n in counts]).note
