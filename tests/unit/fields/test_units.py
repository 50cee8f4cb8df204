"""Units: the factor into a field's own unit, spellings of one unit, and units that are none."""

from decimal import Decimal

import pytest

from capla_etl import fields
from capla_etl.fields.units import conversion, suggested, unit_factor


def factor(field: str, unit: str) -> Decimal | None:
    return unit_factor(fields.fields()[field], unit)


@pytest.mark.parametrize(
    ("field", "unit", "expected"),
    [
        ("platelets_10e9_per_l", "10*9/L", "1"),
        ("platelets_10e9_per_l", "10*4/uL", "10"),
        ("platelets_10e9_per_l", "/mL", "0.000001"),
        ("platelets_10e9_per_l", "10*12/L", "1000"),
        ("hemoglobin_g_per_dl", "g/L", "0.1"),
        ("hemoglobin_g_per_dl", "kg/m3", "0.1"),
        ("hemoglobin_g_per_dl", "mmol/L", "1.61145"),  # 16.1145 g/mmol of haem, a tenth of it per dL
        ("creatinine_umol_per_l", "mg/dL", "88.4"),
        ("creatinine_umol_per_l", "mg/L", "8.84"),
        ("creatinine_umol_per_l", "mmol/L", "1000"),
        ("adamts13_percent", "[IU]/mL", "100"),
        ("adamts13_percent", "[IU]/L", "0.1"),
        ("adamts13_percent", "1", "100"),  # a fraction of normal
        ("anti_adamts13_u_per_ml", "[arb'U]/mL", "1"),
        ("ldh_uln_u_per_l", "ukat/L", "60"),
        ("ldh_uln_u_per_l", "nkat/L", "0.06"),
        ("volume_ml", "dL", "100"),
        ("icu_days", "wk", "7"),
    ],
)
def test_any_unit_of_the_right_dimension_has_an_exact_factor(field, unit, expected):
    assert factor(field, unit) == Decimal(expected)


@pytest.mark.parametrize(
    ("field", "same_as", "spellings"),
    [
        (
            "platelets_10e9_per_l",
            "10*9/L",
            ["G/L", "G/l", "Gpt/l", "10^9/l", "10E9/L", "x10^9/L", "×10⁹/L", "10(9)/L", "10**9/L", "x 10^9 / L"],
        ),
        (
            "platelets_10e9_per_l",
            "10*3/uL",
            [
                "K/uL",
                "K/µl",
                "k/μL",
                "Tsd/µl",
                "Tsd./µl",
                "10^3/mm³",
                "x10E3/uL",
                "x10(3)/mcL",
                "千/µL",
                "10^3 cells/µL",
            ],
        ),
        ("platelets_10e9_per_l", "10*4/uL", ["10^4/uL", "万/µL", "万/μL", "万／μＬ", "萬/mm3"]),
        ("platelets_10e9_per_l", "/uL", ["cells/mm3", "/mm3", "/mm³", "/µL", "per µL", "/cumm", "cells / uL", "/㎣"]),
        ("platelets_10e9_per_l", "10*5/uL", ["lakh/cumm"]),
        ("hemoglobin_g_per_dl", "g/dL", ["g/dl", "gm/dL", "g%", "g/100 mL", "g/100ml", "g/㎗"]),
        ("creatinine_umol_per_l", "umol/L", ["µmol/l", "μmol/L", "umol/l", "µM"]),
        ("creatinine_umol_per_l", "mg/dL", ["mg/dl", "mg%", "㎎/㎗", "mg/100mL"]),
        ("ldh_uln_u_per_l", "U/L", ["U/l", "IU/L", "UI/L", "u/l", "I.U./L", "E/l"]),
        ("ldh_uln_u_per_l", "ukat/L", ["µkat/l", "μkat/L"]),
        ("adamts13_percent", "[IU]/mL", ["IU/mL", "UI/ml", "U/mL"]),
        ("adamts13_percent", "%", ["percent", "% of normal"]),
        ("anti_adamts13_u_per_ml", "[arb'U]/mL", ["U/mL", "U/ml", "AU/mL", "kU/L"]),
        ("volume_ml", "L", ["l", "litres"]),
        ("icu_days", "d", ["days", "Tage", "jours"]),
    ],
)
def test_spellings_of_one_unit_are_that_unit(field, same_as, spellings):
    assert {spelling: factor(field, spelling) for spelling in spellings} == dict.fromkeys(
        spellings, factor(field, same_as)
    )


@pytest.mark.parametrize(
    ("field", "units"),
    [
        ("platelets_10e9_per_l", ["10^9", "mg/dL", "U/L", "[IU]/mL", "%", "fL", "109/L", "M/uL", "mil/mm3", "9/L", ""]),
        ("hemoglobin_g_per_dl", ["U/L", "%", "g", "G/L", "mol", "10^9/L"]),
        ("creatinine_umol_per_l", ["U/L", "u/L", "mL/min", "%"]),
        ("ldh_uln_u_per_l", ["g/L", "mmol/L", "U", "[IU]/L", "[arb'U]/L", "kat"]),
        ("adamts13_percent", ["[arb'U]/mL", "ug/mL", "mmol/L", "{ratio}", "x ULN", "bit", "B", "deg"]),
        ("anti_adamts13_u_per_ml", ["IU/mL", "UI/ml", "[beth'U]/mL", "ug/mL", "%"]),
        ("troponin_x_uln", ["ng/L", "1", "{ULN}"]),
        ("volume_ml", ["g", "mL/kg", "cm2"]),
        ("icu_days", ["L", "/d"]),
    ],
)
def test_another_dimension_or_another_arbitrary_unit_is_refused(field, units):
    assert {unit: factor(field, unit) for unit in units} == dict.fromkeys(units)


def test_ldh_has_no_factor_without_the_upper_limit():
    ldh = fields.fields()["ldh_x_uln"]
    assert conversion(ldh, "ukat/L") == ("U/L", 60)
    assert (unit_factor(ldh, "ukat/L"), unit_factor(ldh, "x ULN")) == (None, 1)


@pytest.mark.parametrize(
    ("field", "unit", "expected"),
    [
        ("creatinine_umol_per_l", "MG/DL", "mg/dl"),
        ("hemoglobin_g_per_dl", "G/DL", "g/dl"),
        ("creatinine_umol_per_l", "Mmol/l", None),  # its letters say mega, and milli would be another scale
        ("platelets_10e9_per_l", "10^9", None),
        ("platelets_10e9_per_l", "109/L", None),
    ],
)
def test_a_suggestion_never_changes_the_scale(field, unit, expected):
    assert suggested(fields.fields()[field], unit) == expected


def test_every_field_with_a_unit_names_it_in_ucum_and_accepts_it():
    for field in fields.fields().values():
        assert (field.unit is None) == (field.ucum is None), field.name
        if field.units and field.ucum != "{ULN}":
            assert unit_factor(field, field.ucum) == unit_factor(field, field.unit) == 1, field.name
