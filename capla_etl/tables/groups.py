"""The groups that tables of outcomes compare: by treatment, by timing, by rituximab."""

import pandas as pd

from capla_etl.tables.population import ARMS, arms_of

#: Group id -> its patients. A patient can be in several groups (delayed and rescue).
Groups = dict[str, pd.DataFrame]


#: Comparison id -> (first group, second group): the effect of the first against the second.
Comparisons = dict[str, tuple[str, str]]


ARMS_COMPARED: Comparisons = {"difference": ARMS}


TIMINGS_COMPARED: Comparisons = {"early_control": ("early", "control"), "delayed_control": ("delayed", "control")}


RITUXIMAB_COMPARED: Comparisons = {
    "difference_rituximab": ("caplacizumab_rituximab", "control_rituximab"),
    "difference_no_rituximab": ("caplacizumab_no_rituximab", "control_no_rituximab"),
}


def arms(patients: pd.DataFrame) -> Groups:
    """Caplacizumab and control."""
    return dict(zip(ARMS, arms_of(patients), strict=True))


def timings(patients: pd.DataFrame) -> Groups:
    """Control, early and delayed start, and the two kinds of delayed start."""
    caplacizumab, control = arms_of(patients)
    delayed = caplacizumab[caplacizumab["timing"] == "delayed"]
    kinds = {reason: delayed[delayed["delay_reason"] == reason] for reason in ("rescue", "slow_response")}
    return {"control": control, "early": caplacizumab[caplacizumab["timing"] == "early"], "delayed": delayed, **kinds}


def rituximab_groups(patients: pd.DataFrame) -> Groups:
    """The two arms by whether rituximab was given."""
    given = {"rituximab": "yes", "no_rituximab": "no"}
    return {
        f"{arm}_{suffix}": members[members["rituximab"] == answer]
        for suffix, answer in given.items()
        for arm, members in arms(patients).items()
    }
