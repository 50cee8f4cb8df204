"""The study's tables of outcomes: Tables 2, 3 and 4, survival and cumulative incidences by day.

Each has groups of patients, rows of outcomes, and comparisons of two groups: one set of functions serves them all. Who is eligible is in ``study``; how a
number is estimated in ``survival``, ``competing_risks``, ``cox``, ``proportions`` and ``baseline``; how it is printed in ``labels`` and the report.

``patients`` is ``study.eligible_outcomes``: one row per eligible patient, outcomes beside.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from capla_etl.stats import cells, competing_risks, survival
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.cox import cox_regression, proportional_hazards_test
from capla_etl.stats.firth import firth_logistic
from capla_etl.stats.labels import EFFECT_CAVEAT, TABLES
from capla_etl.stats.results import cell, frame, join_caveats
from capla_etl.stats.study import ARMS, arms_of, eligible_outcomes, eligible_patients

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

# Printed days of the curves; the last one is the end of follow-up, whatever it is.
SURVIVAL_DAYS = (0, 7, 15, 30, 45, 60, 75)
RESPONSE_DAYS = (3, 5, 7, 10, 14, 30)
ADAMTS13_DAYS = (7, 14, 21, 30, 45, 60)

# Which effects a table prints, where not all.
DIFFERENCES = frozenset({"risk_difference", "restricted_mean_difference", "median_difference", "ratio_of_medians", "p_value"})
RATIOS = frozenset({"risk_ratio", "hazard_ratio", "median_difference", "p_value"})
ALL_EFFECTS = DIFFERENCES | RATIOS


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
        f"{arm}_{suffix}": members[members["rituximab"] == answer] for suffix, answer in given.items() for arm, members in arms(patients).items()
    }


# ------------------------------------------------------------------------------------------------------------------- courses


def survival_courses(groups: Groups, *, follow_up_days: int) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """Time to death or censoring, cut at the end of follow-up.

    Args:
        groups: eligible patients by group.
        follow_up_days: last day of follow-up; a death on that day counts.

    Returns:
        ``courses`` for ``capla_etl.stats.survival`` (patient_id, group, time_days, event), groups in the order given; and by group a caveat
        that counts the patients censored early, those who died on an unknown day (censored when last seen) and those left out.
    """
    parts, caveats = [], {}
    for group, members in groups.items():
        died_by_then = members["death_day"] <= follow_up_days
        time_days = members["death_day"].fillna(members["last_seen_day"]).clip(upper=follow_up_days)
        usable = time_days >= 0
        day_unknown = (members["died"] == "yes") & members["death_day"].isna()
        censored = usable & ~died_by_then & (time_days < follow_up_days)
        caveats[group] = join_caveats(
            cells.if_any(int((censored & ~day_unknown).sum()), f"censored before day {follow_up_days}"),
            cells.if_any(int((censored & day_unknown).sum()), "died on an unknown day, censored when last seen"),
            cells.if_any(int((~usable).sum()), "left out: follow-up not known"),
        )
        parts.append(pd.DataFrame({"patient_id": members["patient_id"], "group": group, "time_days": time_days, "event": died_by_then})[usable])
    return pd.concat(parts, ignore_index=True), caveats


def first_event_courses(groups: Groups, event_day: str, *, follow_up_days: int) -> tuple[pd.DataFrame, dict[str, str | None]]:
    """Time from day 0 to an event, death without it, or censoring, cut at the end of follow-up.

    Args:
        groups: eligible patients by group, outcomes beside.
        event_day: column of the day of the event. An event on the day of death counts as the event.
        follow_up_days: last day of follow-up.

    Returns:
        ``courses`` for ``capla_etl.stats.competing_risks`` (patient_id, group, time_days, cause: 1 event, 2 death without it), groups in the order
        given; and by group a caveat that counts those censored early and those left out.
    """
    parts, caveats = [], {}
    for group, members in groups.items():
        happened = members[event_day] <= follow_up_days
        died = ~happened & (members["death_day"] <= follow_up_days)
        end = members["death_day"].fillna(members["last_seen_day"]).clip(upper=follow_up_days)
        time_days = members[event_day].where(happened, end)
        usable = time_days >= 0
        caveats[group] = join_caveats(
            cells.if_any(int((usable & ~happened & ~died & (time_days < follow_up_days)).sum()), f"censored before day {follow_up_days}"),
            cells.if_any(int((~usable).sum()), "left out: follow-up not known"),
            "delayed starters have by design lived to their first dose" if group == "delayed" else None,
        )
        cause = np.select([happened, died], [competing_risks.EVENT, competing_risks.COMPETING], competing_risks.CENSORED)
        parts.append(pd.DataFrame({"patient_id": members["patient_id"], "group": group, "time_days": time_days, "cause": cause})[usable])
    return pd.concat(parts, ignore_index=True), caveats


# ------------------------------------------------------------------------------------------------- outcomes as answers and days


def outcome_answers(patients: pd.DataFrame) -> dict[str, pd.Series]:
    """The yes/no outcomes of Tables 2 to 4, by row id: "yes", "no", or anything else where it cannot be assessed.

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
        "exacerbation_after_stop_undetectable": patients["exacerbation_after_stop_undetectable"],
        "relapse": in_remission["relapse"],
        "relapse_confirmed": in_remission["relapse"].where(
            (in_remission["relapse"] != "yes") | (in_remission["relapse_status"] == "confirmed"), "no"
        ),
    }
    if "adamts13_measured" in patients.columns:
        recovered = patients["adamts13_recovery_day"].notna()
        answers["adamts13_recovery"] = cells.answers(recovered, recovered | patients["adamts13_measured"])
    return answers


_ANSWER_METHODS = {
    "exacerbation_all_patients": "n/N of all patients, as the abstract: not evaluable counts as without; 95 % CI Wilson",
    "exacerbation_responders": "n/N of the responders in whom it can be assessed; 95 % CI Wilson",
    "relapse": "n/N of the patients in remission in whom it can be assessed; 95 % CI Wilson",
    "relapse_confirmed": "n/N of the patients in remission in whom relapse can be assessed; 95 % CI Wilson",
    "adamts13_recovery": "n/N of the patients with activity measured after day 0; 95 % CI Wilson",
}
_ANSWER_CAVEATS = {
    "died_by_day_90": "patients alive but last seen earlier have no answer, so that this is above the Kaplan-Meier estimate",
    "exacerbation_after_stop_undetectable": "N: all in whom it is known, those without an exacerbation among them",
    "relapse": "followed for different lengths of time after remission",
}
#: Column of the day of outcomes that can come before the first dose of caplacizumab, and are then no effect of it.
_DAY_OF_EVENT = {
    "refractory": "refractory_assessment_day",
    "severe_refractory": "refractory_assessment_day",
    "exacerbation_all_patients": "exacerbation_day",
    "exacerbation_responders": "exacerbation_day",
}
#: Outcomes of treatment with caplacizumab, of which controls have none.
ONLY_CAPLACIZUMAB = ("exacerbation_after_stop_undetectable", "caplacizumab_start_day", "days_from_caplacizumab_to_response")


def outcome_days(patients: pd.DataFrame, *, follow_up_days: int) -> dict[str, pd.Series]:
    """The times of Tables 2 to 4, by row id, in days (or TPE days, sessions): of responders by the end of follow-up, of the recovered.

    Returns:
        One series each, of the patients who have the event: those of ``response_day_survivors`` lived to the end of follow-up.
    """
    responders = patients[patients["response_day"] <= follow_up_days]
    from_dose = patients["days_from_caplacizumab_to_response"]
    return {
        "caplacizumab_start_day": patients["caplacizumab_start_day"].dropna(),
        "response_day": responders["response_day"],
        "response_day_survivors": responders.loc[responders["died_by_day_90"] == "no", "response_day"],
        "days_from_caplacizumab_to_response": from_dose[patients["caplacizumab_start_day"] + from_dose <= follow_up_days],
        "tpe_days_to_response": responders["tpe_days_to_response"],
        "tpe_sessions_to_response": responders["tpe_sessions_to_response"],
        "adamts13_recovery_day": patients["adamts13_recovery_day"].dropna(),
    }


_TIME_METHOD = "median and quartiles ({}) among those with the event"
_FROM_DOSE_METHOD = "median and quartiles ({}) of the days from the first dose to the first response on or after it"


def with_adamts13_measured(patients: pd.DataFrame, daily_series: pd.DataFrame | None) -> pd.DataFrame:
    """The patients with ``adamts13_measured`` (bool) added: any activity measured after day 0. Unchanged without ``daily_series``."""
    if daily_series is None:
        return patients
    measured = daily_series.loc[(daily_series["day"] > 0) & daily_series["adamts13_percent"].notna(), "patient_id"]
    return patients.assign(adamts13_measured=patients["patient_id"].isin(measured))


# ----------------------------------------------------------------------------------------------------------- rows of outcomes


def _before_first_dose(answers: pd.Series, members: pd.DataFrame, day: str) -> str | None:
    """How many had the outcome on or before the day of their first dose: part of the reason for it, not its effect."""
    early = (answers == "yes").reindex(members.index, fill_value=False) & (members[day] <= members["caplacizumab_start_day"])
    return cells.if_any(int(early.fillna(False).sum()), "with it on or before the day of the first dose")


class _OutcomeTable:
    """Rows of one table of outcomes: the groups, then the comparisons."""

    def __init__(
        self, table_id: str, groups: Groups, comparisons: Comparisons, effects: frozenset[str], follow_up_days: int, conventions: Conventions
    ) -> None:
        self.table_id, self.groups, self.comparisons, self.effects = table_id, groups, comparisons, effects
        self.follow_up_days, self.conventions = follow_up_days, conventions
        self.answers = {group: outcome_answers(members) for group, members in groups.items()}
        self.days = {group: outcome_days(members, follow_up_days=follow_up_days) for group, members in groups.items()}

    def rows(self, row: str) -> list[dict]:
        """All cells of one row."""
        if row == "survival_3_months":
            return self._kept(self._survival())
        if row == "restricted_mean_survival":
            return self._kept(self._restricted_mean())
        if row in next(iter(self.days.values())):
            return self._kept(self._days(row))
        return self._kept(self._percent(row))

    def _kept(self, lines: list[dict]) -> list[dict]:
        return [line for line in lines if line["group"] not in self.comparisons or line["statistic"] in self.effects]

    def _own_groups(self, row: str) -> dict[str, pd.DataFrame]:
        return {group: members for group, members in self.groups.items() if row not in ONLY_CAPLACIZUMAB or not group.startswith("control")}

    def _compared(self, row: str) -> dict[str, tuple[str, str]]:
        own = self._own_groups(row)
        return {name: pair for name, pair in self.comparisons.items() if all(group in own for group in pair)}

    def _percent(self, row: str) -> list[dict]:
        lines = [self._answer(row, group, members) for group, members in self._own_groups(row).items()]
        # Of the patients not followed to the end only the dead have an answer: a ratio of these percentages would be biased.
        if row != "died_by_day_90":
            for name, (one, two) in self._compared(row).items():
                if row in self.answers[one]:
                    answers = self.answers[one][row], self.answers[two][row]
                    lines += cells.compare_percent(self.table_id, row, *answers, caveat=EFFECT_CAVEAT, group=name, conventions=self.conventions)
        return lines

    def _answer(self, row: str, group: str, members: pd.DataFrame) -> dict:
        if row not in self.answers[group]:
            return cell(self.table_id, row, group, "percent", None, method=_ANSWER_METHODS[row],
                        caveat="not estimable: who had activity measured after day 0 was not given")
        answers, caveat = self.answers[group][row], _ANSWER_CAVEATS.get(row)
        if row == "exacerbation_all_patients":
            caveat = cells.if_any(int((~members["exacerbation"].isin(["yes", "no"])).sum()), "in the denominator are not evaluable")
        if row in _DAY_OF_EVENT:
            caveat = join_caveats(caveat, _before_first_dose(answers, members, _DAY_OF_EVENT[row]))
        return cells.percent(self.table_id, row, group, answers, method=_ANSWER_METHODS.get(row, cells.ASSESSED), caveat=caveat)

    def _days(self, row: str) -> list[dict]:
        method = _FROM_DOSE_METHOD if row == "days_from_caplacizumab_to_response" else cells.MEDIAN if row == "caplacizumab_start_day" else _TIME_METHOD
        lines = []
        for group in self._own_groups(row):
            lines += cells.quartiles(self.table_id, row, group, self.days[group][row], method=method, conventions=self.conventions)
        caveat = f"{EFFECT_CAVEAT}; compared among those with the event, others are left out"
        if row == "adamts13_recovery_day":
            caveat = f"{caveat}; the day depends on when activity was measured"
        for name, (one, two) in self._compared(row).items():
            values = self.days[one][row], self.days[two][row]
            lines += cells.compare_values(self.table_id, row, *values, caveat=caveat, group=name, conventions=self.conventions)
        return lines

    def _survival(self) -> list[dict]:
        courses, caveats = survival_courses(self.groups, follow_up_days=self.follow_up_days)
        patients = courses["group"].value_counts()
        found = survival.survival_at(courses, [self.follow_up_days], interval=self.conventions.survival_interval)
        points = {point.group: point for point in found.itertuples()}
        row, lines = "survival_3_months", []
        for group in self.groups:
            if group in points:
                lines.append(_survival_cell(self.table_id, row, points[group], int(patients[group]), caveats[group], self.conventions))
            else:
                lines.append(cell(self.table_id, row, group, "percent", None, n_assessed=0, method=_kaplan_meier(self.conventions),
                                  caveat=join_caveats("not estimable: no patient followed", caveats[group])))
        for name, pair in self.comparisons.items():
            own = courses[courses["group"].isin(pair)]
            estimates = [(point.survival, point.lower, point.upper) for group in pair if (point := points.get(group))]
            lines += [self._survival_difference(name, estimates), self._hazard_ratio(name, own, pair[0])]
            _, p = survival.log_rank(own)
            lines.append(cells.p_value(self.table_id, row, p, method="p: log-rank test", reason="one group only, or no death", caveat=EFFECT_CAVEAT, group=name))
        return lines

    def _survival_difference(self, name: str, estimates: list[tuple[float, float, float]]) -> dict:
        method = "difference of Kaplan-Meier survival, percentage points; 95 % CI from the two intervals (Zou and Donner)"
        key = (self.table_id, "survival_3_months", name, "risk_difference")
        if len(estimates) < 2 or pd.isna(estimates[0][0] - estimates[1][0]):
            return cell(*key, None, method=method, caveat="not estimable: no survival estimate in a group")
        difference, lower, upper = (cells.known(100 * limit) for limit in survival.difference_of_survival(*estimates))
        no_limits = "no interval: nobody died in a group" if lower is None else None
        return cell(*key, difference, lower=lower, upper=upper, method=method, caveat=join_caveats(no_limits, EFFECT_CAVEAT))

    def _hazard_ratio(self, name: str, courses: pd.DataFrame, first: str) -> dict:
        ties = self.conventions.ties
        method = f"hazard ratio: Cox regression, {ties.capitalize()}'s ties; 95 % CI Wald"
        key = (self.table_id, "survival_3_months", name, "hazard_ratio")
        fit = cox_regression(courses.assign(exposed=(courses["group"] == first).astype(float)), ["exposed"], ties=ties)
        term = fit.table.iloc[0]
        if pd.isna(term["lower"]):
            return cell(*key, None, method=method, caveat=f"not estimable: {term['reason']}")
        p = proportional_hazards_test(fit)["p_value"].iloc[0]
        constant = None if pd.isna(p) else f"test of proportional hazards (score test): p {p:.2g}"
        return cell(*key, term["hazard_ratio"], lower=term["lower"], upper=term["upper"], method=method, caveat=join_caveats(constant, EFFECT_CAVEAT))

    def _restricted_mean(self) -> list[dict]:
        courses, caveats = survival_courses(self.groups, follow_up_days=self.follow_up_days)
        row, method = "restricted_mean_survival", f"restricted mean survival time to day {self.follow_up_days}; 95 % CI Wald"
        found = survival.restricted_mean(courses, self.follow_up_days).set_index("group")
        reason = "not estimable: not followed to the end of follow-up"
        lines = []
        for group in self.groups:
            value = found["rmst"].get(group, float("nan"))
            limits = {limit: cells.known(found[limit].get(group, float("nan"))) for limit in ("lower", "upper")}
            lines.append(cell(self.table_id, row, group, "restricted_mean", cells.known(value), n_assessed=int((courses["group"] == group).sum()), **limits,
                              method=method, caveat=join_caveats(reason if pd.isna(value) else None, caveats[group])))
        for name, pair in self.comparisons.items():
            own = pd.concat([courses[courses["group"] == group] for group in pair])
            effect = survival.restricted_mean_difference(own, self.follow_up_days).set_index("measure").loc["difference"]
            key, difference = (self.table_id, row, name), f"difference of {method}"
            if pd.isna(effect["estimate"]):
                lines.append(cell(*key, "restricted_mean_difference", None, method=difference, caveat=f"not estimable: {effect['reason']}"))
            else:
                limits = {limit: cells.known(effect[limit]) for limit in ("lower", "upper")}
                lines.append(cell(*key, "restricted_mean_difference", effect["estimate"], **limits, method=difference,
                                  caveat=join_caveats(f"no interval: {effect['reason']}" if effect["reason"] else None, EFFECT_CAVEAT)))
            lines.append(cells.p_value(*key[:2], effect["p_value"], method="p: Wald test of the difference", reason=effect["reason"], caveat=EFFECT_CAVEAT,
                                       group=name))
        return lines


# ---------------------------------------------------------------------------------------------------------- tables 2, 3 and 4


def table2(
    patient: pd.DataFrame,
    outcome: pd.DataFrame,
    daily_series: pd.DataFrame | None = None,
    *,
    follow_up_days: int,
    conventions: Conventions = PROTOCOL,
) -> pd.DataFrame:
    """Outcomes by group, with effects (caplacizumab against control), intervals and p.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        daily_series: patient_id, day and adamts13_percent of ``marts.daily_series``; without it the percentage with ADAMTS13 recovery
            is not estimable, as nobody knows in whom it was looked for.
        follow_up_days: last day of follow-up.
        conventions: definition of quartiles, intervals, ties and corrections.

    Returns:
        Rows of table ``table2``; groups caplacizumab, control, difference.
    """
    patients = with_adamts13_measured(eligible_outcomes(patient, outcome), daily_series)
    table = _OutcomeTable("table2", arms(patients), ARMS_COMPARED, ALL_EFFECTS, follow_up_days, conventions)
    return frame(line for row in TABLES["table2"].rows for line in table.rows(row))


def table3(
    patient: pd.DataFrame,
    outcome: pd.DataFrame,
    daily_series: pd.DataFrame | None = None,
    *,
    follow_up_days: int,
    conventions: Conventions = PROTOCOL,
) -> pd.DataFrame:
    """Outcomes by start of caplacizumab. Delayed starters have by design lived to their first dose; every comparison says so.

    Args:
        patient, outcome, daily_series, follow_up_days, conventions: as ``table2``.

    Returns:
        Rows of table ``table3``; groups control, early, delayed, rescue, slow_response; comparisons early_control, delayed_control, and early_delayed,
        which sets early starters' days from day 0 beside delayed starters' days from the first dose.
    """
    patients = with_adamts13_measured(eligible_outcomes(patient, outcome), daily_series)
    table = _OutcomeTable("table3", timings(patients), TIMINGS_COMPARED, DIFFERENCES, follow_up_days, conventions)
    rows = []
    for row in TABLES["table3"].rows:
        if row == "time_to_response":
            days = table.days["early"]["response_day"], table.days["delayed"]["days_from_caplacizumab_to_response"]
            rows += cells.compare_values("table3", row, *days, caveat=EFFECT_CAVEAT, group="early_delayed", conventions=conventions)
        else:
            rows += table.rows(row)
        if row == "response_day_survivors":
            rows.append(_ratio_of_medians(table.days["early"][row], table.days["control"][row]))
    return frame(rows)


def _ratio_of_medians(early: pd.Series, control: pd.Series) -> dict:
    medians = early.median(), control.median()
    ratio = medians[0] / medians[1] if medians[1] > 0 else float("nan")
    return cell("table3", "response_day_survivors", "early_control", "ratio_of_medians", cells.known(ratio),
                method="median time to response of early starters over that of controls, both among survivors",
                caveat=cells.NO_VALUE if pd.isna(ratio) else EFFECT_CAVEAT)


def table4(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Main outcomes with and without rituximab: caplacizumab against control in each half, and whether the halves differ.

    Args:
        patient, outcome, follow_up_days, conventions: as ``table2``.

    Returns:
        Rows of table ``table4``; groups caplacizumab_rituximab, control_rituximab, caplacizumab_no_rituximab, control_no_rituximab; comparisons
        difference_rituximab, difference_no_rituximab, and homogeneity (p of the interaction) for the yes/no outcomes.
    """
    groups = rituximab_groups(eligible_outcomes(patient, outcome))
    table = _OutcomeTable("table4", groups, RITUXIMAB_COMPARED, RATIOS, follow_up_days, conventions)
    rows = []
    for row in TABLES["table4"].rows:
        rows += table.rows(row)
        if row in table.answers["control_rituximab"] and row != "died_by_day_90":
            rows.append(_homogeneity(row, {group: answers[row] for group, answers in table.answers.items()}))
    return frame(rows)


def _homogeneity(row: str, answers: dict[str, pd.Series]) -> dict:
    """Whether the odds ratio is the same with and without rituximab; penalised, so that a half without events does not forbid the answer."""
    method = "p of the interaction: Firth's penalised logistic regression, penalised likelihood ratio"
    parts = [
        pd.DataFrame({"outcome": known == "yes", "exposed": group.startswith("caplacizumab"), "rituximab": not group.endswith("no_rituximab")})
        for group, series in answers.items()
        if len(known := series[series.isin(["yes", "no"])])
    ]
    if len(parts) < len(answers):
        return cell("table4", row, "homogeneity", "p_homogeneity", None, method=method, caveat="not estimable: a group without patients assessed")
    data = pd.concat(parts, ignore_index=True).astype(float)
    data["interaction"] = data["exposed"] * data["rituximab"]
    fit = firth_logistic(data, "outcome", ["exposed", "rituximab", "interaction"], profile_of=["interaction"]).set_index("term")
    p = fit.loc["interaction", "p_value"]
    if pd.isna(p):
        return cell("table4", row, "homogeneity", "p_homogeneity", None, method=method, caveat=f"not estimable: {fit.loc['interaction', 'reason']}")
    return cell("table4", row, "homogeneity", "p_homogeneity", p, p_value=p, method=method, caveat="unadjusted")


# ------------------------------------------------------------------------------------------------------------ survival by day


def _kaplan_meier(conventions: Conventions) -> str:
    return f"Kaplan-Meier; 95 % CI {conventions.survival}"


def _survival_cell(table_id: str, row: str, point, patients: int, caveat: str | None, conventions: Conventions) -> dict:
    if pd.isna(point.survival):
        caveat = join_caveats("not estimable: nobody observed that long", caveat)
    elif pd.isna(point.lower):
        caveat = join_caveats("no interval: nobody had died, or nobody was left", caveat)
    return cell(
        table_id, row, point.group, "percent", cells.known(100 * point.survival), n_assessed=patients,
        lower=cells.known(100 * point.lower), upper=cells.known(100 * point.upper), method=_kaplan_meier(conventions), caveat=caveat,
    )


def survival_curve(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """``study.survival_curve``: one row per group and day from 0 to the end of follow-up.

    Returns:
        group, day, at_risk (just before the day), deaths and censored (up to and including it), survival, lower, upper (fractions).
    """
    courses, _ = survival_courses(arms(eligible_patients(patient)), follow_up_days=follow_up_days)
    return survival.kaplan_meier(courses, follow_up_days, interval=conventions.survival_interval)


def survival_table(patient: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Survival and numbers at risk at the printed days.

    Returns:
        Rows of table ``survival`` (``survival_day_30``: statistics percent and at_risk); groups caplacizumab, control.
    """
    courses, caveats = survival_courses(arms(eligible_patients(patient)), follow_up_days=follow_up_days)
    patients = courses["group"].value_counts()
    rows = []
    for point in survival.survival_at(courses, _printed_days(SURVIVAL_DAYS, follow_up_days), interval=conventions.survival_interval).itertuples():
        row, number = f"survival_day_{point.day}", int(patients[point.group])
        rows.append(_survival_cell("survival", row, point, number, caveats[point.group], conventions))
        rows.append(cell("survival", row, point.group, "at_risk", point.at_risk, n=point.at_risk, n_assessed=number,
                         method="patients still observed just before the day"))
    return frame(rows)


def _printed_days(days: tuple[int, ...], follow_up_days: int) -> list[int]:
    return [day for day in days if day < follow_up_days] + [follow_up_days]


# -------------------------------------------------------------------------------------------------------- cumulative incidence


def _responders_by_timing(patients: pd.DataFrame) -> Groups:
    """Control, early, delayed; patients whose start was not recorded are in no group."""
    return {group: members for group, members in timings(patients).items() if group in TABLES["response_incidence"].groups}


def _incidence_curve(groups: Groups, event_day: str, follow_up_days: int, conventions: Conventions) -> pd.DataFrame:
    courses, _ = first_event_courses(groups, event_day, follow_up_days=follow_up_days)
    by = {"interval": conventions.survival_interval, "variance": conventions.incidence_variance}
    curve = competing_risks.aalen_johansen(courses, list(range(follow_up_days + 1)), **by)
    curve = curve.rename(columns={"competing_incidence": "death_incidence"})
    return curve[["group", "day", "at_risk", "incidence", "lower", "upper", "death_incidence"]]


def response_incidence_curve(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """``study.response_incidence_curve``: one row per group (control, early, delayed) and day from 0 to the end of follow-up.

    Returns:
        group, day, at_risk (neither responded nor died, just before the day), incidence, lower, upper of response, death_incidence
        (death without response); fractions.
    """
    return _incidence_curve(_responders_by_timing(eligible_outcomes(patient, outcome)), "response_day", follow_up_days, conventions)


def adamts13_incidence_curve(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """``study.adamts13_incidence_curve``: as ``response_incidence_curve``, of ADAMTS13 recovery; groups caplacizumab, control."""
    return _incidence_curve(arms(eligible_outcomes(patient, outcome)), "adamts13_recovery_day", follow_up_days, conventions)


def _incidence_table(table_id: str, groups: Groups, event_day: str, event: str, days: list[int], follow_up_days: int, test: str, by: Conventions) -> pd.DataFrame:
    """Incidence of an event at the printed days, of death without it at the last, and Gray's test between all groups on that day's row."""
    courses, caveats = first_event_courses(groups, event_day, follow_up_days=follow_up_days)
    patients = courses["group"].value_counts()
    method = f"Aalen-Johansen from day 0, death without {event} competing; 95 % CI {by.survival}, {by.incidence_variance.replace('_', '-')} error"
    rows = []
    for point in competing_risks.aalen_johansen(courses, days, interval=by.survival_interval, variance=by.incidence_variance).itertuples():
        reason = "not estimable: nobody observed that long" if pd.isna(point.incidence) else None
        common = {"n_assessed": int(patients[point.group]), "method": method, "caveat": join_caveats(reason, caveats[point.group])}
        rows.append(cell(table_id, f"{event}_by_day_{point.day}", point.group, "percent", cells.known(100 * point.incidence),
                         lower=cells.known(100 * point.lower), upper=cells.known(100 * point.upper), **common))
        if point.day == follow_up_days:
            rows.append(cell(table_id, f"death_without_{event}_by_day_{point.day}", point.group, "percent",
                             cells.known(100 * point.competing_incidence), **common))
    gray, null = (competing_risks.gray_test(courses, variance=variance).p_value for variance in ("gray", "null"))
    if pd.isna(gray) and not pd.isna(null):
        test = f"{test}, with the hypergeometric variance: that of Gray is not positive when nearly all of a group have had the event"
    rows.append(cells.p_value(table_id, f"{event}_by_day_{follow_up_days}", null if pd.isna(gray) else gray, method=test,
                              reason="one group only, or no event", caveat=EFFECT_CAVEAT))
    return frame(rows)


def response_incidence(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Cumulative incidence of clinical response, and of death without it, at the printed days.

    Returns:
        Rows of table ``response_incidence`` (``response_by_day_7``, ``death_without_response_by_day_90``); groups control, early, delayed, and
        difference: Gray's test of the three curves.
    """
    groups = _responders_by_timing(eligible_outcomes(patient, outcome))
    return _incidence_table("response_incidence", groups, "response_day", "response", _printed_days(RESPONSE_DAYS, follow_up_days), follow_up_days,
                            "p: Gray's test of equal incidence in all three groups", conventions)


def adamts13_incidence(patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL) -> pd.DataFrame:
    """Cumulative incidence of ADAMTS13 recovery, and of death without it, at the printed days.

    Returns:
        Rows of table ``adamts13_incidence`` (``recovery_by_day_30``, ``death_without_recovery_by_day_90``); groups caplacizumab, control, and
        difference: Gray's test.
    """
    groups = arms(eligible_outcomes(patient, outcome))
    return _incidence_table("adamts13_incidence", groups, "adamts13_recovery_day", "recovery", _printed_days(ADAMTS13_DAYS, follow_up_days), follow_up_days,
                            "p: Gray's test of equal incidence", conventions)
