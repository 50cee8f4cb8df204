"""The study's tables (PROTOCOL section 4): one public function each, data frames in, rows of ``study.result`` out.

How a number is estimated is in ``proportions``, ``baseline``, ``survival`` and ``competing_risks``; how a cell is made in ``cells``; how it is
printed in ``labels`` and the report. Reading and writing does not belong here.

``patient`` is ``marts.patient`` (every record received), ``outcome`` ``outcomes.patient_outcome`` (eligible patients). Every table but the flow
is about eligible patients whose group is known.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from capla_etl.stats import cells, competing_risks, survival
from capla_etl.stats.baseline import smd_categorical
from capla_etl.stats.labels import ADVERSE_EVENTS, DEATH_CAUSES, EFFECT_CAVEAT, EXCLUSIONS, TABLES
from capla_etl.stats.proportions import chi_squared
from capla_etl.stats.published import FIGURES
from capla_etl.stats.results import cell, frame, join_caveats

ARMS = ("caplacizumab", "control")
TIMINGS = ("early", "delayed", "unknown")

# Printed days of the curves; the last one is the end of follow-up, whatever it is.
SURVIVAL_DAYS = (0, 7, 15, 30, 45, 60, 75)
RESPONSE_DAYS = (3, 5, 7, 10, 14, 30)


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
    chosen[numeric] = chosen[numeric].apply(pd.to_numeric).astype(float)
    return chosen.reset_index(drop=True)


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
    ]
    own = [column for column in outcome.columns if column == "patient_id" or column not in eligible.columns]
    merged = eligible.merge(outcome[own], on="patient_id", validate="one_to_one")
    merged[numeric] = merged[numeric].apply(pd.to_numeric).astype(float)
    return merged


def _arms(patients: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
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
    capla, control = _arms(eligible)
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


def table1(patient: pd.DataFrame) -> pd.DataFrame:
    """Baseline by group: n/N (%) or median (IQR), p and standardised mean difference.

    Args:
        patient: ``marts.patient``.

    Returns:
        Rows of table ``table1``; groups caplacizumab, control, difference.
    """
    eligible = eligible_patients(patient)
    eligible["female"] = eligible["sex"].map({"female": "yes", "male": "no"})
    arms = dict(zip(ARMS, _arms(eligible), strict=True))
    one, two = arms.values()
    rows = []
    for row in TABLES["table1"].rows:
        if row in TABLE_1_ANSWERS:
            rows += [cells.percent("table1", row, arm, members[row]) for arm, members in arms.items()]
            rows += [
                line for line in cells.compare_percent("table1", row, one[row], two[row], caveat="unadjusted")
                if line["statistic"] == "p_value"
            ]
            rows.append(cells.smd_of_answers("table1", row, one[row], two[row]))
        elif row in TABLE_1_VALUES:
            column = TABLE_1_VALUES[row]
            for arm, members in arms.items():
                rows += cells.quartiles("table1", row, arm, members[column], caveat=_limits_caveat(row, members))
            rows += [
                line for line in cells.compare_values("table1", row, one[column], two[column], caveat="unadjusted")
                if line["statistic"] == "p_value"
            ]
            rows.append(cells.smd_of_values("table1", row, one[column], two[column]))
    return frame(rows + _severity_levels(arms))


def _limits_caveat(row: str, patients: pd.DataFrame) -> str | None:
    """Results below quantification enter a median at their limit: how many."""
    below = int((patients["adamts13_comparator"].notna() & patients["adamts13_percent"].notna()).sum())
    return f"{below} results below or above quantification enter at their limit" if row == "adamts13_percent" and below else None


def _severity_levels(arms: dict[str, pd.DataFrame]) -> list[dict]:
    """The distribution of the French severity score; its test and SMD stand on row ``french_severity_score_0``."""
    rows, counts = [], []
    for arm, members in arms.items():
        score = members["french_severity_score"]
        counts.append([int((score == level).sum()) for level in range(5)])
        for level in range(5):
            rows.append(cells.percent("table1", f"french_severity_score_{level}", arm, _answers(score == level, score.notna())))
    rows.append(cells.p_value("table1", "french_severity_score_0", chi_squared(counts), method="p over all scores: Pearson's chi-squared test",
                              reason="no score known in a group", caveat="unadjusted"))
    rows.append(cells.smd("table1", "french_severity_score_0", smd_categorical(*counts)))
    return rows


# ---------------------------------------------------------------------------------------------------------------- survival


def survival_courses(patient: pd.DataFrame, *, follow_up_days: int) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """Time to death or censoring of eligible patients, cut at the end of follow-up.

    Args:
        patient: ``marts.patient``.
        follow_up_days: last day of follow-up; a death on that day counts.

    Returns:
        ``courses`` for ``capla_etl.stats.survival`` (patient_id, group, time_days, event), caplacizumab first; and by group a caveat
        that counts the patients censored early, those who died on an unknown day (censored when last seen) and those left out.
    """
    eligible = eligible_patients(patient)
    parts, caveats = [], {}
    for arm, members in zip(ARMS, _arms(eligible), strict=True):
        died_by_then = members["death_day"] <= follow_up_days
        time_days = members["death_day"].fillna(members["last_seen_day"]).clip(upper=follow_up_days)
        usable = time_days >= 0
        day_unknown = (members["died"] == "yes") & members["death_day"].isna()
        censored = usable & ~died_by_then & (time_days < follow_up_days)
        caveats[arm] = join_caveats(
            _if_any(int((censored & ~day_unknown).sum()), f"censored before day {follow_up_days}"),
            _if_any(int((censored & day_unknown).sum()), "died on an unknown day, censored when last seen"),
            _if_any(int((~usable).sum()), "left out: follow-up not known"),
        )
        parts.append(pd.DataFrame({"patient_id": members["patient_id"], "group": arm, "time_days": time_days, "event": died_by_then})[usable])
    return pd.concat(parts, ignore_index=True), caveats


def _answers(yes: pd.Series, assessed: pd.Series) -> pd.Series:
    """ "yes", "no", or "unknown" where not assessed."""
    return pd.Series(np.select([~assessed, yes], ["unknown", "yes"], "no"), index=yes.index)


def _if_any(number: int, what: str) -> str | None:
    return f"{number} {what}" if number else None


def survival_curve(patient: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """``study.survival_curve``: one row per group and day from 0 to the end of follow-up.

    Returns:
        group, day, at_risk (just before the day), deaths and censored (up to and including it), survival, lower, upper (fractions).
    """
    courses, _ = survival_courses(patient, follow_up_days=follow_up_days)
    return survival.kaplan_meier(courses, follow_up_days)


def survival_table(patient: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """Survival and numbers at risk at the printed days.

    Returns:
        Rows of table ``survival`` (``survival_day_30``: statistics percent and at_risk); groups caplacizumab, control.
    """
    courses, caveats = survival_courses(patient, follow_up_days=follow_up_days)
    days = [day for day in SURVIVAL_DAYS if day < follow_up_days] + [follow_up_days]
    patients = courses["group"].value_counts()
    rows = []
    for point in survival.survival_at(courses, days).itertuples():
        row, number = f"survival_day_{point.day}", int(patients[point.group])
        rows.append(_survival_cell("survival", row, point, number, caveats[point.group]))
        rows.append(cell("survival", row, point.group, "at_risk", point.at_risk, n=point.at_risk, n_assessed=number,
                         method="patients still observed just before the day"))
    return frame(rows)


_KAPLAN_MEIER = "Kaplan-Meier; 95 % CI log(-log)"


def _survival_cell(table_id: str, row: str, point, patients: int, caveat: str | None) -> dict:
    if pd.isna(point.survival):
        caveat = join_caveats("not estimable: nobody observed that long", caveat)
    elif pd.isna(point.lower):
        caveat = join_caveats("no interval: nobody had died, or nobody was left", caveat)
    return cell(
        table_id, row, point.group, "percent", cells.known(100 * point.survival), n_assessed=patients,
        lower=cells.known(100 * point.lower), upper=cells.known(100 * point.upper), method=_KAPLAN_MEIER, caveat=caveat,
    )


# ----------------------------------------------------------------------------------------------------------------- table 2


def outcome_answers(patients: pd.DataFrame) -> dict[str, pd.Series]:
    """The yes/no outcomes of Table 2 and 3, by row id: "yes", "no", or anything else where it cannot be assessed.

    Args:
        patients: ``eligible_outcomes``, or part of it.

    Returns:
        One series each. A row with a narrower population (responders, patients in remission) holds only those patients.
    """
    responders = patients[patients["response"] == "yes"]
    in_remission = patients[patients["remission"] == "yes"]
    answers = {
        "died_by_day_90": patients["died_by_day_90"],
        "failure": patients["failure"],
        "refractory": patients["refractory"],
        "severe_refractory": patients["severe_refractory"],
        # As the abstract: everybody is in the denominator, so a patient in whom it cannot be assessed counts as without.
        "exacerbation_all_patients": patients["exacerbation"].where(patients["exacerbation"] == "yes", "no"),
        "exacerbation_responders": responders["exacerbation"],
        "relapse": in_remission["relapse"],
        "relapse_confirmed": in_remission["relapse"].where(
            (in_remission["relapse"] != "yes") | (in_remission["relapse_status"] == "confirmed"), "no"
        ),
    }
    if "adamts13_measured" in patients.columns:
        recovered = patients["adamts13_recovery_day"].notna()
        answers["adamts13_recovery"] = _answers(recovered, recovered | patients["adamts13_measured"])
    return answers


_ANSWER_METHODS = {
    "exacerbation_all_patients": "n/N of all patients, as the abstract: not evaluable counts as without; 95 % CI Wilson",
    "exacerbation_responders": "n/N of the responders in whom it can be assessed; 95 % CI Wilson",
    "relapse": "n/N of the patients in remission in whom it can be assessed; 95 % CI Wilson",
    "relapse_confirmed": "n/N of the patients in remission in whom relapse can be assessed; 95 % CI Wilson",
    "adamts13_recovery": "n/N of the patients with activity measured after day 0; 95 % CI Wilson",
}


def outcome_days(patients: pd.DataFrame, *, follow_up_days: int) -> dict[str, pd.Series]:
    """The times of Table 2 and 3, by row id, in days (or TPE days, sessions): of responders by the end of follow-up, of the recovered.

    Args:
        patients: ``eligible_outcomes``, or part of it.
        follow_up_days: last day of follow-up.
    """
    responders = patients[patients["response_day"] <= follow_up_days]
    return {
        "response_day": responders["response_day"],
        "tpe_days_to_response": responders["tpe_days_to_response"],
        "tpe_sessions_to_response": responders["tpe_sessions_to_response"],
        "adamts13_recovery_day": patients["adamts13_recovery_day"].dropna(),
    }


def with_adamts13_measured(patients: pd.DataFrame, daily_series: pd.DataFrame | None) -> pd.DataFrame:
    """The patients with ``adamts13_measured`` (bool) added: any activity measured after day 0. Unchanged without ``daily_series``."""
    if daily_series is None:
        return patients
    measured = daily_series.loc[(daily_series["day"] > 0) & daily_series["adamts13_percent"].notna(), "patient_id"]
    return patients.assign(adamts13_measured=patients["patient_id"].isin(measured))


def _outcome_percent(table_id: str, row: str, group: str, patients: pd.DataFrame) -> dict:
    """One yes/no outcome of one group; exacerbation of all patients says how many were not evaluable."""
    answers = outcome_answers(patients)
    if row not in answers:
        return cell(table_id, row, group, "percent", None, method=_ANSWER_METHODS[row],
                    caveat="not estimable: who had activity measured after day 0 was not given")
    caveat = None
    if row == "died_by_day_90":
        caveat = "patients alive but last seen earlier have no answer, so that this is above the Kaplan-Meier estimate"
    if row == "exacerbation_all_patients":
        caveat = _if_any(int((~patients["exacerbation"].isin(["yes", "no"])).sum()), "in the denominator are not evaluable")
    return cells.percent(table_id, row, group, answers[row], method=_ANSWER_METHODS.get(row, cells.ASSESSED), caveat=caveat)


_TIME_METHOD = "median and quartiles (R type 7) among those with the event"


def table2(
    patient: pd.DataFrame, outcome: pd.DataFrame, daily_series: pd.DataFrame | None = None, *, follow_up_days: int
) -> pd.DataFrame:
    """Outcomes by group, with effects (caplacizumab against control), intervals and p.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        daily_series: patient_id, day and adamts13_percent of ``marts.daily_series``; without it the percentage with ADAMTS13 recovery
            is not estimable, as nobody knows in whom it was looked for.
        follow_up_days: last day of follow-up.

    Returns:
        Rows of table ``table2``; groups caplacizumab, control, difference.
    """
    patients = with_adamts13_measured(eligible_outcomes(patient, outcome), daily_series)
    arms = dict(zip(ARMS, _arms(patients), strict=True))
    one, two = arms.values()
    answers_1, answers_0 = outcome_answers(one), outcome_answers(two)
    days_1, days_0 = (outcome_days(members, follow_up_days=follow_up_days) for members in (one, two))
    rows = _survival_rows(patient, follow_up_days)
    for row in TABLES["table2"].rows:
        if row == "exacerbation_after_stop_undetectable":
            caveat = "N: all in whom it is known, those without an exacerbation among them"
            rows.append(cells.percent("table2", row, "caplacizumab", one[row], caveat=caveat))
        elif row in days_1:
            for arm, values in zip(ARMS, (days_1[row], days_0[row]), strict=True):
                rows += cells.quartiles("table2", row, arm, values, method=_TIME_METHOD)
            caveat = EFFECT_CAVEAT
            if row == "adamts13_recovery_day":
                caveat = f"{EFFECT_CAVEAT}; compared among those who recovered, others are left out; the day depends on when activity was measured"
            rows += cells.compare_values("table2", row, days_1[row], days_0[row], caveat=caveat)
        elif row != "survival_3_months":
            rows += [_outcome_percent("table2", row, arm, members) for arm, members in arms.items()]
            # Of the patients not followed to the end only the dead have an answer: a ratio of these percentages would be biased.
            if row in answers_1 and row != "died_by_day_90":
                rows += cells.compare_percent("table2", row, answers_1[row], answers_0[row], caveat=EFFECT_CAVEAT)
    return frame(rows)


def _survival_rows(patient: pd.DataFrame, follow_up_days: int) -> list[dict]:
    courses, caveats = survival_courses(patient, follow_up_days=follow_up_days)
    patients = courses["group"].value_counts()
    points = {point.group: point for point in survival.survival_at(courses, [follow_up_days]).itertuples()}
    rows = []
    for arm in ARMS:
        if arm in points:
            rows.append(_survival_cell("table2", "survival_3_months", points[arm], int(patients[arm]), caveats[arm]))
        else:
            rows.append(cell("table2", "survival_3_months", arm, "percent", None, n_assessed=0, method=_KAPLAN_MEIER,
                             caveat=join_caveats("not estimable: no patient followed", caveats[arm])))
    estimates = [(point.survival, point.lower, point.upper) for arm in ARMS if (point := points.get(arm))]
    method = "difference of Kaplan-Meier survival, percentage points; 95 % CI from the two intervals (Zou and Donner)"
    if len(estimates) == 2 and not pd.isna(estimates[0][0] - estimates[1][0]):
        difference, lower, upper = (cells.known(100 * limit) for limit in survival.difference_of_survival(*estimates))
        no_limits = "no interval: nobody died in a group" if lower is None else None
        rows.append(cell("table2", "survival_3_months", "difference", "risk_difference", difference, lower=lower, upper=upper, method=method,
                         caveat=join_caveats(no_limits, EFFECT_CAVEAT)))
    else:
        rows.append(cell("table2", "survival_3_months", "difference", "risk_difference", None, method=method,
                         caveat="not estimable: no survival estimate in a group"))
    _, p = survival.log_rank(courses)
    rows.append(cells.p_value("table2", "survival_3_months", p, method="p: log-rank test", reason="one group only, or no death",
                              caveat=EFFECT_CAVEAT))
    return rows


# ------------------------------------------------------------------------------------------------------ response incidence


def response_courses(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """Time from day 0 to the first clinical response, death without it, or censoring, cut at the end of follow-up.

    Returns:
        ``courses`` for ``capla_etl.stats.competing_risks`` (patient_id, group, time_days, cause: 1 response, 2 death), groups control,
        early, delayed; and by group a caveat that counts those censored early and those left out. A response on the day of death counts
        as a response. Patients whose start was not recorded are in no group.
    """
    patients = eligible_outcomes(patient, outcome)
    groups = {"control": patients["treatment_group"] == "control"}
    groups |= {timing: (patients["treatment_group"] == "caplacizumab") & (patients["timing"] == timing) for timing in ("early", "delayed")}
    parts, caveats = [], {}
    for group, chosen in groups.items():
        members = patients[chosen]
        responded = members["response_day"] <= follow_up_days
        died = ~responded & (members["death_day"] <= follow_up_days)
        end = members["death_day"].fillna(members["last_seen_day"]).clip(upper=follow_up_days)
        time_days = members["response_day"].where(responded, end)
        usable = time_days >= 0
        caveats[group] = join_caveats(
            _if_any(int((usable & ~responded & ~died & (time_days < follow_up_days)).sum()), f"censored before day {follow_up_days}"),
            _if_any(int((~usable).sum()), "left out: follow-up not known"),
            "delayed starters have by design lived to their first dose" if group == "delayed" else None,
        )
        cause = np.select([responded, died], [competing_risks.EVENT, competing_risks.COMPETING], competing_risks.CENSORED)
        parts.append(pd.DataFrame({"patient_id": members["patient_id"], "group": group, "time_days": time_days, "cause": cause})[usable])
    return pd.concat(parts, ignore_index=True), caveats


def response_incidence_curve(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """``study.response_incidence_curve``: one row per group (control, early, delayed) and day from 0 to the end of follow-up.

    Returns:
        group, day, at_risk (neither responded nor died, just before the day), incidence, lower, upper of response, death_incidence
        (death without response); fractions.
    """
    courses, _ = response_courses(patient, outcome, follow_up_days=follow_up_days)
    curve = competing_risks.aalen_johansen(courses, list(range(follow_up_days + 1)))
    curve = curve.rename(columns={"competing_incidence": "death_incidence"})
    return curve[["group", "day", "at_risk", "incidence", "lower", "upper", "death_incidence"]]


def response_incidence(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """Cumulative incidence of clinical response, and of death without it, at the printed days.

    Returns:
        Rows of table ``response_incidence`` (``response_by_day_7``, ``death_without_response_by_day_90``); groups control, early, delayed.
    """
    courses, caveats = response_courses(patient, outcome, follow_up_days=follow_up_days)
    patients = courses["group"].value_counts()
    days = [day for day in RESPONSE_DAYS if day < follow_up_days] + [follow_up_days]
    method = "Aalen-Johansen from day 0, death without response competing; 95 % CI log(-log), infinitesimal-jackknife error"
    rows = []
    for point in competing_risks.aalen_johansen(courses, days).itertuples():
        reason = "not estimable: nobody observed that long" if pd.isna(point.incidence) else None
        common = {"n_assessed": int(patients[point.group]), "method": method, "caveat": join_caveats(reason, caveats[point.group])}
        rows.append(cell("response_incidence", f"response_by_day_{point.day}", point.group, "percent", cells.known(100 * point.incidence),
                         lower=cells.known(100 * point.lower), upper=cells.known(100 * point.upper), **common))
        if point.day == follow_up_days:
            rows.append(cell("response_incidence", f"death_without_response_by_day_{point.day}", point.group, "percent",
                             cells.known(100 * point.competing_incidence), **common))
    return frame(rows)


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
    patients = _arms(eligible_patients(patient))[0]["patient_id"]
    occurred = adverse_event_assessed.pivot(index="patient_id", columns="kind", values="occurred").reindex(
        index=patients, columns=list(ADVERSE_EVENTS)
    )
    some_yes, some_assessed = (occurred == "yes").any(axis=1), occurred.isin(["yes", "no"]).any(axis=1)
    all_assessed = occurred.isin(["yes", "no"]).all(axis=1)
    without_some = int((some_assessed & ~some_yes & ~all_assessed).sum())
    rows = [
        # As the abstract. Dropping only those without event and with a gap would drop no patient with an event, and inflate the percentage.
        cells.percent("table5", "any_adverse_event", "caplacizumab", _answers(some_yes, some_assessed),
                      method="n/N of the patients with at least one kind assessed; 95 % CI Wilson",
                      caveat=_if_any(without_some, "counted as without an event had a kind not assessed")),
        cells.percent("table5", "any_adverse_event_all_assessed", "caplacizumab", _answers(some_yes, all_assessed),
                      method="n/N of the patients with every kind assessed; 95 % CI Wilson"),
    ]
    for kind in ADVERSE_EVENTS:
        rows.append(cells.percent("table5", kind, "caplacizumab", occurred[kind]))
        if kind == "major_bleeding":
            _, n_assessed = cells.yes_of_assessed(occurred[kind])
            major = adverse_event[(adverse_event["kind"] == kind) & adverse_event["patient_id"].isin(patients)]
            by_site = major.assign(site=major["site"].fillna("site not stated")).groupby("site")["patient_id"].nunique()
            expected = [figure.row.removeprefix("major_bleeding_").replace("_", " ") for figure in FIGURES if figure.source[3] == "count"
                        and figure.source[0] == "table5"]
            counts = {**dict.fromkeys(expected, 0), **by_site.to_dict()}
            unknown = _if_any(int(by_site.get("site not stated", 0)), "patients with a major bleeding whose site is not stated")
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


def table6(patient: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
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
                                caveat=_if_any(unknown, "more died on an unknown day")))
        about = _if_any(int((chosen["death_date_precision"] == "month").sum()), "known to the month, taken as its middle")
        rows += cells.quartiles("table6", "death_day", group, chosen["death_day"], caveat=about)
        if group != "control":
            rows += cells.quartiles("table6", "days_from_first_dose", group, chosen["days_from_first_dose"], caveat=about)
        for cause in (*DEATH_CAUSES, None):
            row = f"cause_{cause.lower()}" if cause else "cause_not_stated"
            number = int((chosen["death_cause"] == cause).sum() if cause else chosen["death_cause"].isna().sum())
            rows.append(cells.count("table6", row, group, number, len(chosen), method="cause as the centre states it; N deaths"))
    return frame(rows)


# ------------------------------------------------------------------------------------------------------------- as published


def timing_outcomes(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """The outcomes by timing that the abstract states; table id ``timing``, groups early, delayed, control, difference.

    ``time_to_response`` compares early (from day 0) with delayed (from the first dose), ``response_day_survivors`` early with control.
    """
    patients = eligible_outcomes(patient, outcome)
    control = patients[patients["treatment_group"] == "control"]
    capla = patients[patients["treatment_group"] == "caplacizumab"]
    early, delayed = capla[capla["timing"] == "early"], capla[capla["timing"] == "delayed"]
    rows = [_outcome_percent("timing", row, "early", early) for row in ("died_by_day_90", "refractory", "exacerbation_all_patients")]
    from_day_0 = outcome_days(early, follow_up_days=follow_up_days)["response_day"]
    from_dose = delayed.loc[
        delayed["caplacizumab_start_day"] + delayed["days_from_caplacizumab_to_response"] <= follow_up_days,
        "days_from_caplacizumab_to_response",
    ]
    rows += cells.quartiles("timing", "response_day", "early", from_day_0, method=_TIME_METHOD)
    rows += cells.quartiles("timing", "days_from_caplacizumab_to_response", "delayed", from_dose,
                            method="median and quartiles (R type 7) of the days from the first dose to the first response on or after it")
    compared = cells.compare_values("timing", "time_to_response", from_day_0, from_dose, caveat=EFFECT_CAVEAT)
    rows += [line for line in compared if line["statistic"] == "p_value"]

    survivors = {
        group: outcome_days(members[members["died_by_day_90"] == "no"], follow_up_days=follow_up_days)["response_day"]
        for group, members in (("early", early), ("control", control))
    }
    for group, values in survivors.items():
        rows += cells.quartiles("timing", "response_day_survivors", group, values, method=_TIME_METHOD)
    medians = [values.median() for values in survivors.values()]
    ratio = medians[0] / medians[1] if medians[1] > 0 else float("nan")
    rows.append(cell("timing", "response_day_survivors", "difference", "ratio_of_medians", cells.known(ratio),
                     method="median time to response of early starters over that of controls, both among survivors",
                     caveat=cells.NO_VALUE if pd.isna(ratio) else EFFECT_CAVEAT))
    return frame(rows)


def as_published(results: pd.DataFrame, patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int) -> pd.DataFrame:
    """Every figure of PROTOCOL section 5 beside the computed one.

    Args:
        results: the other study tables, concatenated (flow, table1, table2, table5, table6).
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        follow_up_days: last day of follow-up.

    Returns:
        Rows of table ``as_published``: for each figure the statistics ``published``, ``computed`` and ``difference`` (computed minus
        published; none where a bound was published).

    Raises:
        ValueError: a figure has no computed counterpart.
    """
    timing = timing_outcomes(patient, outcome, follow_up_days=follow_up_days)
    columns = [column for column in results.columns if column not in ("table_id", "row", "group", "statistic")]
    computed = {
        (line.table_id, line.row, line.group, line.statistic): {column: getattr(line, column) for column in columns}
        for line in pd.concat([results, timing]).itertuples()
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
