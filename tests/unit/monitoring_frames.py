"""Small tables of central monitoring for the tests of report and centres' pages; every value is made up."""

import math
from datetime import date

import pandas as pd

from capla_etl.quality.monitoring.signal import MONITORED, SIGNAL, Signal

DAY = date(2023, 6, 30)
#: Patients of ten centres.
CENTRES = dict(AT01=40, BR01=32, CA01=30, DE01=290, ES01=250, FR01=450, HU01=40, IT01=60, UK01=165, US01=80)
#: family -> check -> quantities with (scale, what is expected, spread of one patient); None: judged without limits.
CHECKS = {
    "level": {
        "level": {
            "platelets_day_0": ("log", 0.0, 0.6),
            "creatinine": ("log", 0.0, 0.4),
            "ldh_day_0": ("log", 0.0, 0.5),
            "hemoglobin": ("log", 0.0, 0.2),
            "age": ("linear", 0.0, 14.0),
        }
    },
    "mixture": {"change_in_time": {"creatinine": None}, "change_in_file": {"creatinine": None, "age": None}},
    "shape": {"rounded": {"creatinine": None}, "ordered": {"creatinine": None}},
    "completeness": {
        "share": {"female": ("share", 0.67, 0.47), "coma": ("share", 0.11, 0.31), "died": ("share", 0.08, 0.27)}
    },
    "between_submissions": {"changed": {"sex": None}},
}


def monitored(centres: dict[str, int] = CENTRES, shifted: dict | None = None) -> pd.DataFrame:
    """``quality.monitored``: each centre near what is expected.

    Args:
        centres: code -> patients.
        shifted: (centre, quantity) -> (how many times its limit it lies above, severity).
    """
    rows = []
    for place, (centre, patients) in enumerate(centres.items()):
        for family, checks in CHECKS.items():
            for check, quantities in checks.items():
                for number, (quantity, declared) in enumerate(quantities.items()):
                    above, severity = (shifted or {}).get((centre, quantity), (None, ""))
                    row = dict.fromkeys(MONITORED.names) | {
                        **{"centre_id": centre, "submission": DAY, "family": family, "check_name": check},
                        **{"quantity": quantity, "field": quantity, "judged": "yes", "severity": severity},
                        **{"patients": patients, "why_not": ""},
                    }
                    if family == "between_submissions":
                        row |= {"judged": "no", "why_not": "no earlier submission"}
                    elif declared:
                        scale, expected, spread = declared
                        half = 0.1 * spread + 3 * spread / math.sqrt(patients)
                        at = above if above is not None else 0.8 * math.sin(7 * place + 3 * number)
                        row |= {"scale": scale, "expected": expected, "estimate": expected + at * half}
                        row |= {"look_below": expected - half, "look_above": expected + half}
                        if scale == "share":
                            row |= {"look_below": max(0.0, expected - half), "estimate": max(0.0, row["estimate"])}
                    rows.append(row)
    return pd.DataFrame(rows, columns=MONITORED.names)


def signal(**more) -> Signal:
    """A signal: creatinine of DE01 as if in mg/dL."""
    return Signal(
        **{
            "centre_id": "DE01",
            "severity": "stop",
            "family": "level",
            "check_name": "level",
            "quantity": "creatinine",
            "field": "creatinine_umol_per_l",
            "found": "a median of 1.08",
            "expected": "71 to 118",
            "looks_like": "as if in mg/dL, not umol/L.",
            "p_value": 1e-9,
            "patients": 281,
            "file": "labor.xlsx",
            "sheet": "Labor",
            "column_name": "Krea",
        }
        | more
    )


def signal_frame(*signals: Signal) -> pd.DataFrame:
    """``quality.signal`` of these signals."""
    return pd.DataFrame([one.as_row() | {"submission": DAY} for one in signals], columns=SIGNAL.names)
