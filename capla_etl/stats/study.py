"""The study's tables (PROTOCOL section 4): one public function each, data frames in, rows of ``study.result`` out.

Tables of outcomes (2, 3, 4 and the curves) are in ``outcomes``, Table 7 in ``agreement``, Table 8 in ``robustness``. How a number is estimated is in
``proportions`` and ``baseline``; how a cell is made in ``cells``; how it is printed in ``labels`` and the report. Reading and writing does not belong here.

``patient`` is ``marts.patient`` (every record received), ``outcome`` ``outcomes.patient_outcome`` (eligible patients). Every table but the flow
is about eligible patients whose group is known.
"""

from __future__ import annotations

import pandas as pd

from capla_etl.stats import cells
from capla_etl.stats.baseline import smd_categorical
from capla_etl.stats.contingency import chi_squared
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.labels import ADVERSE_EVENTS, DEATH_CAUSES, EXCLUSIONS, TABLES
from capla_etl.stats.published import FIGURES
from capla_etl.stats.results import cell, frame, join_caveats

ARMS = ("caplacizumab", "control")
TIMINGS = ("early", "delayed", "unknown")



def eligible_patients(patient: pd.DataFrame) -> pd.DataFrame:
    """Eligible patients with the numeric columns used here as floats (NaN where unknown).

    Raises:
        ValueError: a patient_id twice, an eligible patient with an exclusion reason, or an excluded one without.
    """
    if patient["patient_id"].duplicated().any():
        raise ValueError("marts.patient has a patient_id twice")
    eligible = patient["eligible"].astype(bool)
    contradictory = patient.loc[eligible == patient["exclusion_reason"].notna(), "patient_id"]
    if len(contradictory):
        raise ValueError(f"{len(contradictory)} patients are eligible with a reason for exclusion, or excluded without one")
    numeric = [
        "age_years", "hemoglobin_g_per_dl", "creatinine_umol_per_l", "troponin_x_uln", "adamts13_percent", "anti_adamts13_u_per_ml",
        "french_severity_score", "platelets_10e9_per_l_day0", "ldh_x_uln_day0", "caplacizumab_start_day", "last_seen_day", "death_day",
    ]
    chosen = patient[eligible].copy()
    untyped = [name for name in numeric if chosen[name].dtype == object]
    chosen[untyped] = chosen[untyped].apply(pd.to_numeric)
    return chosen.astype(dict.fromkeys(numeric, float)).reset_index(drop=True)


def eligible_outcomes(patient: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """Eligible patients with their outcomes beside them: one row per patient.

    Raises:
        ValueError: an eligible patient without outcomes, or outcomes of a patient who is not eligible.
    """
    eligible = eligible_patients(patient)
    if set(eligible["patient_id"]) != set(outcome["patient_id"]):
        raise ValueError("outcomes.patient_outcome does not hold exactly the eligible patients")
    numeric = [
        "response_day", "tpe_days_to_response", "tpe_sessions_to_response", "days_from_caplacizumab_to_response", "adamts13_recovery_day",
        "refractory_assessment_day", "exacerbation_day",
    ]
    own = [column for column in outcome.columns if column == "patient_id" or column not in eligible.columns]
    merged = eligible.merge(outcome[own], on="patient_id", validate="one_to_one")
    merged[numeric] = merged[numeric].apply(pd.to_numeric).astype(float)
    return merged


def arms_of(patients: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(caplacizumab, control)."""
    return patients[patients["treatment_group"] == "caplacizumab"], patients[patients["treatment_group"] == "control"]


# --------------------------------------------------------------------------------------------------------------------- flow


def flow(patient: pd.DataFrame, ledger: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """Records received, refused and excluded, and the groups that are left; each step subtracts exactly.

    Args:
        patient: ``marts.patient``.
        ledger: ``quality.ledger``.
        quarantine: ``quality.quarantine``; its rows of scope ``cell`` are values refused in rows that were kept.

    Returns:
        Rows of table ``flow``, statistic ``count``; group ``all`` and one group per centre.

    Raises:
        ValueError: the ledger does not balance, or the patients of a step are not those of the step before less the excluded.
    """
    parts = ["rows_loaded", "rows_duplicate", "rows_quarantined", "rows_ignored"]
    unbalanced = ledger[ledger["rows_received"] != ledger[parts].sum(axis=1)]
    if len(unbalanced):
        first = unbalanced.iloc[0]
        raise ValueError(f"the ledger does not balance: {first['centre_id']} {first['file']} {first['sheet'] or ''}".rstrip())
    eligible_patients(patient)
    centres = sorted(set(patient["centre_id"]) | set(ledger["centre_id"]))
    rows = []
    for group in ("all", *centres):
        own_ledger = ledger if group == "all" else ledger[ledger["centre_id"] == group]
        own = patient if group == "all" else patient[patient["centre_id"] == group]
        rows += _ledger_counts(group, own_ledger, "rows", "rows of all files and sheets (quality.ledger)")
        refused_values = (quarantine["scope"] == "cell") & ((group == "all") | (quarantine["centre_id"] == group))
        rows.append(cells.count("flow", "values_quarantined", group, int(refused_values.sum()),
                                method="single values refused, their row kept (quality.quarantine)"))
        rows += _patient_counts(group, own)
    return frame(rows)


def _ledger_counts(group: str, ledger: pd.DataFrame, prefix: str, method: str) -> list[dict]:
    return [
        cells.count("flow", f"{prefix}_{what}", group, int(ledger[f"rows_{what}"].sum()), method=method)
        for what in ("received", "duplicate", "quarantined", "ignored", "loaded")
    ]


def _patient_counts(group: str, patient: pd.DataFrame) -> list[dict]:
    eligible = patient[patient["eligible"].astype(bool)]
    capla, control = arms_of(eligible)
    delayed = capla[capla["timing"] == "delayed"]
    reasons = {reason: int((patient["exclusion_reason"] == reason).sum()) for reason in EXCLUSIONS}
    steps = {
        "patient_records": len(patient),
        **{f"excluded_{reason}": number for reason, number in reasons.items()},
        "excluded": sum(reasons.values()),
        "eligible": len(eligible),
        "caplacizumab": len(capla),
        "control": len(control),
        "group_unknown": int(eligible["treatment_group"].isna().sum()),
        **{timing if timing != "unknown" else "timing_unknown": int((capla["timing"] == timing).sum()) for timing in TIMINGS},
        **{reason: int((delayed["delay_reason"] == reason).sum()) for reason in ("rescue", "slow_response")},
    }
    sums = {
        "patient_records": ("excluded", "eligible"),
        "eligible": ("caplacizumab", "control", "group_unknown"),
        "caplacizumab": ("early", "delayed", "timing_unknown"),
        "delayed": ("rescue", "slow_response"),
    }
    for whole, parts in sums.items():
        if steps[whole] != sum(steps[part] for part in parts):
            raise ValueError(f"flow, {group}: {whole} is {steps[whole]}, its parts are {[(part, steps[part]) for part in parts]}")
    method = "patient records (marts.patient); exclusions in the protocol's order, each patient under the first that applies"
    return [cells.count("flow", row, group, number, method=method) for row, number in steps.items()]


# ------------------------------------------------------------------------------------------------------------------ table 1

TABLE_1_ANSWERS = ("female", "first_episode", "neurological_involvement", "coma", "corticosteroids", "rituximab")
TABLE_1_VALUES = {
    "age_years": "age_years",
    "hemoglobin_g_per_dl": "hemoglobin_g_per_dl",
    "platelets_10e9_per_l": "platelets_10e9_per_l_day0",
    "ldh_x_uln": "ldh_x_uln_day0",
    "creatinine_umol_per_l": "creatinine_umol_per_l",
    "troponin_x_uln": "troponin_x_uln",
    "adamts13_percent": "adamts13_percent",
    "anti_adamts13_u_per_ml": "anti_adamts13_u_per_ml",
    "french_severity_score": "french_severity_score",
}


def table1(patient: pd.DataFrame, *, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Baseline by group: n/N (%) or median (IQR), p and standardised mean difference.

    Args:
        patient: ``marts.patient``.
        conventions: definition of quartiles, corrections of tests.

    Returns:
        Rows of table ``table1``; groups caplacizumab, control, difference.
    """
    eligible = eligible_patients(patient)
    eligible["female"] = eligible["sex"].map({"female": "yes", "male": "no"})
    arms = dict(zip(ARMS, arms_of(eligible), strict=True))
    one, two = arms.values()
    rows = []
    for row in TABLES["table1"].rows:
        if row in TABLE_1_ANSWERS:
            tallies = {arm: cells.tally(members[row]) for arm, members in arms.items()}
            rows += [cells.percent("table1", row, arm, counted) for arm, counted in tallies.items()]
            rows.append(cells.proportions_test("table1", row, *tallies.values(), caveat="unadjusted", conventions=conventions))
            rows.append(cells.smd_of_answers("table1", row, *tallies.values()))
        elif row in TABLE_1_VALUES:
            column = TABLE_1_VALUES[row]
            for arm, members in arms.items():
                caveat = _limits_caveat(members) if row == "adamts13_percent" else None
                rows += cells.quartiles("table1", row, arm, members[column], caveat=caveat, conventions=conventions)
            rows.append(cells.rank_test("table1", row, one[column], two[column], caveat="unadjusted", conventions=conventions))
            rows.append(cells.smd_of_values("table1", row, one[column], two[column]))
    return frame(rows + _severity_levels(arms))


def _limits_caveat(patients: pd.DataFrame) -> str | None:
    """Results below quantification enter a median at their limit: how many."""
    below = int((patients["adamts13_comparator"].notna() & patients["adamts13_percent"].notna()).sum())
    return cells.if_any(below, "results below or above quantification enter at their limit")


def _severity_levels(arms: dict[str, pd.DataFrame]) -> list[dict]:
    """The distribution of the French severity score; its test and SMD stand on row ``french_severity_score_0``."""
    rows, counts = [], []
    for arm, members in arms.items():
        scores = members["french_severity_score"].value_counts()
        counts.append([int(scores.get(level, 0)) for level in range(5)])
        known = members["french_severity_score"].notna().sum()
        for level, number in enumerate(counts[-1]):
            rows.append(cells.percent("table1", f"french_severity_score_{level}", arm, cells.Tally(number, int(known), len(members))))
    rows.append(cells.p_value("table1", "french_severity_score_0", chi_squared(counts), method="p over all scores: Pearson's chi-squared test",
                              reason="no score known in a group", caveat="unadjusted"))
    rows.append(cells.smd("table1", "french_severity_score_0", smd_categorical(*counts)))
    return rows


# ------------------------------------------------------------------------------------------------------------ tables 5 and 6


def site_id(site: str) -> str:
    """A site of a bleeding as part of a row id: "digestive tract" is digestive_tract."""
    return site.replace(" ", "_")


def table5(patient: pd.DataFrame, adverse_event_assessed: pd.DataFrame, adverse_event: pd.DataFrame) -> pd.DataFrame:
    """Adverse events under caplacizumab: patients with each kind of those in whom it was assessed, and the sites of major bleeding.

    Args:
        patient: ``marts.patient``.
        adverse_event_assessed: one row per patient and kind: ``occurred`` 'yes', 'no' or 'unknown'.
        adverse_event: one row per event: ``kind``, ``site``.

    Returns:
        Rows of table ``table5``, group caplacizumab. Any event has two denominators: patients with at least one kind assessed, and with all.
    """
    patients = arms_of(eligible_patients(patient))[0]["patient_id"]
    occurred = adverse_event_assessed.pivot(index="patient_id", columns="kind", values="occurred").reindex(
        index=patients, columns=list(ADVERSE_EVENTS)
    )
    some_yes, some_assessed = (occurred == "yes").any(axis=1), occurred.isin(["yes", "no"]).any(axis=1)
    all_assessed = occurred.isin(["yes", "no"]).all(axis=1)
    without_some = int((some_assessed & ~some_yes & ~all_assessed).sum())
    rows = [
        # As the abstract. Dropping only those without event and with a gap would drop no patient with an event, and inflate the percentage.
        cells.percent("table5", "any_adverse_event", "caplacizumab", cells.answers(some_yes, some_assessed),
                      method="n/N of the patients with at least one kind assessed; 95 % CI Wilson",
                      caveat=cells.if_any(without_some, "counted as without an event had a kind not assessed")),
        cells.percent("table5", "any_adverse_event_all_assessed", "caplacizumab", cells.answers(some_yes, all_assessed),
                      method="n/N of the patients with every kind assessed; 95 % CI Wilson"),
    ]
    for kind in ADVERSE_EVENTS:
        rows.append(cells.percent("table5", kind, "caplacizumab", occurred[kind]))
        if kind == "major_bleeding":
            n_assessed = cells.tally(occurred[kind]).n_assessed
            major = adverse_event[(adverse_event["kind"] == kind) & adverse_event["patient_id"].isin(patients)]
            by_site = major.assign(site=major["site"].fillna("site not stated")).groupby("site")["patient_id"].nunique()
            expected = [figure.row.removeprefix("major_bleeding_").replace("_", " ") for figure in FIGURES if figure.source[3] == "count"
                        and figure.source[0] == "table5"]
            counts = {**dict.fromkeys(expected, 0), **by_site.to_dict()}
            unknown = cells.if_any(int(by_site.get("site not stated", 0)), "patients with a major bleeding whose site is not stated")
            rows += [
                cells.count("table5", f"major_bleeding_{site_id(site)}", "caplacizumab", int(number), n_assessed,
                            method="patients with a major bleeding at that site; a patient can have several", caveat=unknown)
                for site, number in sorted(counts.items(), key=lambda item: (item[0] == "site not stated", -item[1], item[0]))
            ]
    return frame(rows)


def deaths(patient: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """The deaths behind Table 6, one row per eligible patient who died by the end of follow-up, by group and day. For insiders only.

    Returns:
        patient_id, treatment_group, timing, death_day, death_date_precision, days_from_first_dose (NaN without a recorded start, or
        when the first dose came after death), death_cause.
    """
    eligible = eligible_patients(patient)
    died = eligible[(eligible["death_day"] <= follow_up_days) & eligible["treatment_group"].notna()].copy()
    days = died["death_day"] - died["caplacizumab_start_day"]
    died["days_from_first_dose"] = days.where((days >= 0) & (died["treatment_group"] == "caplacizumab"))
    columns = ["patient_id", "treatment_group", "timing", "death_day", "death_date_precision", "days_from_first_dose", "death_cause"]
    return died.sort_values(["treatment_group", "death_day", "patient_id"])[columns].reset_index(drop=True)


def table6(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Deaths by the end of follow-up: day, days from the first dose, causes.

    Returns:
        Rows of table ``table6``; groups caplacizumab, early, delayed, unknown (start not recorded), control.
    """
    eligible = eligible_patients(patient)
    died = deaths(patient, follow_up_days=follow_up_days)
    rows = []
    for group in TABLES["table6"].groups:
        column, is_arm = ("treatment_group", True) if group in ARMS else ("timing", False)
        capla = eligible["treatment_group"].notna() if is_arm else eligible["treatment_group"] == "caplacizumab"
        members = eligible[capla & (eligible[column] == group)]
        chosen = died[died["patient_id"].isin(members["patient_id"])]
        unknown = int(((members["died"] == "yes") & members["death_day"].isna()).sum())
        rows.append(cells.count("table6", "deaths", group, len(chosen), len(members), method=f"deaths on day {follow_up_days} or before; N all patients",
                                caveat=cells.if_any(unknown, "more died on an unknown day")))
        about = cells.if_any(int((chosen["death_date_precision"] == "month").sum()), "known to the month, taken as its middle")
        rows += cells.quartiles("table6", "death_day", group, chosen["death_day"], caveat=about, conventions=conventions)
        if group != "control":
            rows += cells.quartiles("table6", "days_from_first_dose", group, chosen["days_from_first_dose"], caveat=about, conventions=conventions)
        for cause in (*DEATH_CAUSES, None):
            row = f"cause_{cause.lower()}" if cause else "cause_not_stated"
            number = int((chosen["death_cause"] == cause).sum() if cause else chosen["death_cause"].isna().sum())
            rows.append(cells.count("table6", row, group, number, len(chosen), method="cause as the centre states it; N deaths"))
    return frame(rows)


# ------------------------------------------------------------------------------------------------------------- as published


def as_published(results: pd.DataFrame) -> pd.DataFrame:
    """Every figure of PROTOCOL section 5 beside the computed one.

    Args:
        results: the other study tables, concatenated (flow, table1, table2, table3, table5, table6).

    Returns:
        Rows of table ``as_published``: for each figure the statistics ``published``, ``computed`` and ``difference`` (computed minus
        published; none where a bound was published).

    Raises:
        ValueError: a figure has no computed counterpart.
    """
    columns = [column for column in results.columns if column not in ("table_id", "row", "group", "statistic")]
    computed = {
        (line.table_id, line.row, line.group, line.statistic): {column: getattr(line, column) for column in columns}
        for line in results.itertuples()
    }
    rows = []
    for figure in FIGURES:
        if figure.source not in computed:
            raise ValueError(f"as published: nothing computed for {figure.row} ({figure.source})")
        source = computed[figure.source]
        value = cells.known(source[figure.column])
        counts = {name: None if pd.isna(source[name]) else int(source[name]) for name in ("n", "n_assessed")}
        limits = {name: cells.known(source[name]) if figure.column == "value" else None for name in ("lower", "upper", "p_value")}
        method = "PROTOCOL section 5 (abstract)"
        qualifier = "published as an upper bound" if figure.bound else "published as approximate" if figure.about else None
        caveat = None if pd.isna(source["caveat"]) else source["caveat"]
        key = ("as_published", figure.row, figure.group)
        rows.append(cell(*key, "published", figure.value, method=method, caveat=qualifier))
        if value is None and not (caveat or "").startswith("not estimable: "):
            caveat = join_caveats("not estimable: no interval", caveat)
        rows.append(cell(*key, "computed", value, **counts, **limits, method=source["method"], caveat=caveat))
        reason = "a bound was published" if figure.bound else "nothing computed" if value is None else None
        rows.append(cell(*key, "difference", None if reason else value - figure.value, method="computed minus published",
                         caveat=f"not estimable: {reason}" if reason else qualifier))
    return frame(rows)
