"""Tables 2, 3 and 4: outcomes by group, by start of caplacizumab, with and without rituximab.

Each has groups of patients, rows of outcomes, and comparisons of two groups: one set of functions serves all three. Who
is eligible is in ``population``, how a number is estimated in ``stats``, how it is printed in ``labels`` and the
report.

``patients`` is ``population.eligible_outcomes``: one row per eligible patient with the outcomes.
"""

from __future__ import annotations

import pandas as pd

from capla_etl.stats import survival
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.cox import cox_regression, proportional_hazards_test
from capla_etl.stats.firth import firth_logistic
from capla_etl.tables import cells
from capla_etl.tables.courses import survival_courses
from capla_etl.tables.curves import kaplan_meier, survival_cell
from capla_etl.tables.groups import (
    ARMS_COMPARED,
    RITUXIMAB_COMPARED,
    TIMINGS_COMPARED,
    Comparisons,
    Groups,
    arms,
    rituximab_groups,
    timings,
)
from capla_etl.tables.labels import EFFECT_CAVEAT, TABLES
from capla_etl.tables.population import eligible_outcomes
from capla_etl.tables.results import join_caveats

#: Which effects a table prints, where not all.
DIFFERENCES = frozenset(
    {"risk_difference", "restricted_mean_difference", "median_difference", "ratio_of_medians", "p_value"}
)
RATIOS = frozenset({"risk_ratio", "hazard_ratio", "median_difference", "p_value"})
ALL_EFFECTS = DIFFERENCES | RATIOS


def outcome_answers(patients: pd.DataFrame) -> dict[str, pd.Series]:
    """The yes/no outcomes of Tables 2 to 4, by row id: "yes", "no", or anything else where it cannot be assessed.

    Returns:
        One series each. A row with a narrower population (responders, patients in remission) holds only those patients.
    """
    responders = patients[patients["response"] == "yes"]
    in_remission = patients[patients["remission"] == "yes"]
    relapse = in_remission["relapse"]
    confirmed = (relapse != "yes") | (in_remission["relapse_status"] == "confirmed")
    plain = ("died_by_day_90", "failure", "refractory", "severe_refractory", "exacerbation_after_stop_undetectable")
    answers = {
        **{row: patients[row] for row in plain},
        # As the abstract: all patients are in the denominator, so one in whom it cannot be assessed counts as without.
        "exacerbation_all_patients": patients["exacerbation"].where(patients["exacerbation"] == "yes", "no"),
        "exacerbation_responders": responders["exacerbation"],
        "relapse": relapse,
        "relapse_confirmed": relapse.where(confirmed, "no"),
    }
    if "adamts13_measured" in patients.columns:
        recovered = patients["adamts13_recovery_day"].notna()
        answers["adamts13_recovery"] = cells.answers(recovered, recovered | patients["adamts13_measured"])
    return answers


_ANSWER_METHODS = {
    row: f"n/N of {population}; 95 % CI Wilson"
    for row, population in {
        "exacerbation_all_patients": "all patients, as the abstract: not evaluable counts as without",
        "exacerbation_responders": "the responders in whom it can be assessed",
        "relapse": "the patients in remission in whom it can be assessed",
        "relapse_confirmed": "the patients in remission in whom relapse can be assessed",
        "adamts13_recovery": "the patients with activity measured after day 0",
    }.items()
}
_ANSWER_CAVEATS = {
    "died_by_day_90": "patients alive but last seen earlier have no answer, so that this is above the Kaplan-Meier "
    "estimate",
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
ONLY_CAPLACIZUMAB = (
    "exacerbation_after_stop_undetectable",
    "caplacizumab_start_day",
    "days_from_caplacizumab_to_response",
)


def outcome_days(patients: pd.DataFrame, *, follow_up_days: int) -> dict[str, pd.Series]:
    """The times of Tables 2 to 4, by row id, in days (or TPE days, sessions): of responders by the end of follow-up, of
    the recovered.

    Returns:
        One series each, of the patients who have the event: those of ``response_day_survivors`` lived to the end of
            follow-up.
    """
    responders = patients[patients["response_day"] <= follow_up_days]
    from_dose = patients["days_from_caplacizumab_to_response"]
    return {
        "caplacizumab_start_day": patients["caplacizumab_start_day"].dropna(),
        "response_day": responders["response_day"],
        "response_day_survivors": responders.loc[responders["died_by_day_90"] == "no", "response_day"],
        "days_from_caplacizumab_to_response": from_dose[
            patients["caplacizumab_start_day"] + from_dose <= follow_up_days
        ],
        "tpe_days_to_response": responders["tpe_days_to_response"],
        "tpe_sessions_to_response": responders["tpe_sessions_to_response"],
        "adamts13_recovery_day": patients["adamts13_recovery_day"].dropna(),
    }


_TIME_METHODS = {
    "days_from_caplacizumab_to_response": (
        "median and quartiles ({}) of the days from the first dose to the first response on or after it"
    ),
    "caplacizumab_start_day": cells.MEDIAN,
}


def with_adamts13_measured(patients: pd.DataFrame, daily_series: pd.DataFrame | None) -> pd.DataFrame:
    """Add ``adamts13_measured`` (bool): any activity measured after day 0. Unchanged without ``daily_series``."""
    if daily_series is None:
        return patients
    measured = daily_series.loc[(daily_series["day"] > 0) & daily_series["adamts13_percent"].notna(), "patient_id"]
    return patients.assign(adamts13_measured=patients["patient_id"].isin(measured))


def _before_first_dose(answers: pd.Series, members: pd.DataFrame, day: str) -> str | None:
    """Count patients with the outcome on or before the day of their first dose: a reason for it, not its effect."""
    had_it = (answers == "yes").reindex(members.index, fill_value=False)
    early = had_it & (members[day] <= members["caplacizumab_start_day"])
    return cells.if_any(int(early.fillna(False).sum()), "with it on or before the day of the first dose")


class _OutcomeSheet(cells.Sheet):
    """One table of outcomes: the groups, then the comparisons."""

    def __init__(
        self,
        table_id: str,
        groups: Groups,
        comparisons: Comparisons,
        effects: frozenset[str],
        *,
        follow_up_days: int,
        conventions: Conventions = PROTOCOL,
    ) -> None:
        super().__init__(table_id, conventions)
        self.groups, self.comparisons, self.effects, self.follow_up_days = groups, comparisons, effects, follow_up_days
        self.answers = {group: outcome_answers(members) for group, members in groups.items()}
        self.days = {group: outcome_days(members, follow_up_days=follow_up_days) for group, members in groups.items()}

    def add(self, row: str, group: str, statistic: str, *value, **more) -> None:
        """One cell, unless it is an effect that the table does not print."""
        if group not in self.comparisons or statistic in self.effects:
            super().add(row, group, statistic, *value, **more)

    def outcome(self, row: str) -> None:
        """All cells of one row."""
        if row == "survival_3_months":
            self._survival(row)
        elif row == "restricted_mean_survival":
            self._restricted_mean(row)
        else:
            own = [group for group in self.groups if row not in ONLY_CAPLACIZUMAB or not group.startswith("control")]
            compared = {name: pair for name, pair in self.comparisons.items() if set(pair) <= set(own)}
            (self._days if row in next(iter(self.days.values())) else self._percent)(row, own, compared)

    def _percent(self, row: str, own: list[str], compared: Comparisons) -> None:
        for group in own:
            self._answer(row, group, self.groups[group])
        # Among patients not followed to the end only those who died have an answer: a ratio of these percentages would
        # be biased.
        if row != "died_by_day_90":
            for name, (one, two) in compared.items():
                if row in self.answers[one]:
                    answers = self.answers[one][row], self.answers[two][row]
                    self.compare_percent(row, *answers, caveat=EFFECT_CAVEAT, group=name)

    def _answer(self, row: str, group: str, members: pd.DataFrame) -> None:
        method = _ANSWER_METHODS.get(row, cells.ASSESSED)
        if row not in self.answers[group]:
            reason = "who had activity measured after day 0 was not given"
            self.add(row, group, "percent", None, method=method, reason=reason)
            return
        answers, caveat = self.answers[group][row], _ANSWER_CAVEATS.get(row)
        if row == "exacerbation_all_patients":
            unclear = int((~members["exacerbation"].isin(["yes", "no"])).sum())
            caveat = cells.if_any(unclear, "in the denominator are not evaluable")
        if row in _DAY_OF_EVENT:
            caveat = join_caveats(caveat, _before_first_dose(answers, members, _DAY_OF_EVENT[row]))
        self.percent(row, group, answers, method=method, caveat=caveat)

    def _days(self, row: str, own: list[str], compared: Comparisons) -> None:
        method = _TIME_METHODS.get(row, "median and quartiles ({}) among those with the event")
        for group in own:
            self.quartiles(row, group, self.days[group][row], method=method)
        caveat = f"{EFFECT_CAVEAT}; compared among those with the event, others are left out"
        if row == "adamts13_recovery_day":
            caveat += "; the day depends on when activity was measured"
        for name, (one, two) in compared.items():
            self.compare_values(row, self.days[one][row], self.days[two][row], caveat=caveat, group=name)

    def _survival(self, row: str) -> None:
        courses, caveats = survival_courses(self.groups, follow_up_days=self.follow_up_days)
        patients, days = courses["group"].value_counts(), [self.follow_up_days]
        found = survival.survival_at(courses, days, interval=self.conventions.survival_interval)
        points = {point.group: point for point in found.itertuples()}
        for group in self.groups:
            if group in points:
                survival_cell(self, row, points[group], int(patients[group]), caveats[group])
            else:
                texts = {"method": kaplan_meier(self.conventions), "reason": "no patient followed"}
                self.add(row, group, "percent", None, n_assessed=0, always=caveats[group], **texts)
        for name, pair in self.comparisons.items():
            own = courses[courses["group"].isin(pair)]
            self._survival_difference(row, name, [points[group] for group in pair if group in points])
            self._hazard_ratio(row, name, own, pair[0])
            _, p = survival.log_rank(own)
            texts = {"method": "p: log-rank test", "reason": "one group only, or no death", "caveat": EFFECT_CAVEAT}
            self.p_value(row, p, group=name, **texts)

    def _survival_difference(self, row: str, name: str, points: list) -> None:
        difference, lower, upper = (None,) * 3
        if len(points) == 2 and not pd.isna(points[0].survival - points[1].survival):
            estimates = ((point.survival, point.lower, point.upper) for point in points)
            difference, lower, upper = (100 * limit for limit in survival.difference_of_survival(*estimates))
        self.add(
            row,
            name,
            "risk_difference",
            difference,
            (lower, upper),
            method="difference of Kaplan-Meier survival, percentage points; 95 % CI from the two intervals (Zou and "
            "Donner)",
            reason="no survival estimate in a group",
            caveat=join_caveats("no interval: nobody died in a group" if pd.isna(lower) else None, EFFECT_CAVEAT),
        )

    def _hazard_ratio(self, row: str, name: str, courses: pd.DataFrame, first: str) -> None:
        ties = self.conventions.ties
        fit = cox_regression(courses.assign(exposed=(courses["group"] == first).astype(float)), ["exposed"], ties=ties)
        term = fit.table.iloc[0]
        missing = pd.isna(term["lower"])
        p = None if missing else proportional_hazards_test(fit)["p_value"].iloc[0]
        constant = None if pd.isna(p) else f"test of proportional hazards (score test): p {p:.2g}"
        self.add(
            row,
            name,
            "hazard_ratio",
            None if missing else term["hazard_ratio"],
            (term["lower"], term["upper"]),
            method=f"hazard ratio: Cox regression, {ties.capitalize()}'s ties; 95 % CI Wald",
            reason=term["reason"] if missing else None,
            caveat=join_caveats(constant, EFFECT_CAVEAT),
        )

    def _restricted_mean(self, row: str) -> None:
        courses, caveats = survival_courses(self.groups, follow_up_days=self.follow_up_days)
        method = f"restricted mean survival time to day {self.follow_up_days}; 95 % CI Wald"
        found = survival.restricted_mean(courses, self.follow_up_days).set_index("group").reindex(list(self.groups))
        for group, own in found.iterrows():
            texts = {"method": method, "reason": "not followed to the end of follow-up", "always": caveats[group]}
            patients = int((courses["group"] == group).sum())
            limits = own["lower"], own["upper"]
            self.add(row, group, "restricted_mean", own["rmst"], limits, n_assessed=patients, **texts)
        for name, pair in self.comparisons.items():
            own = pd.concat([courses[courses["group"] == group] for group in pair])
            effect = survival.restricted_mean_difference(own, self.follow_up_days)
            no_limits = f"no interval: {effect['reason']}" if effect["reason"] else None
            self.add(
                row,
                name,
                "restricted_mean_difference",
                effect["estimate"],
                (effect["lower"], effect["upper"]),
                method=f"difference of {method}",
                reason=effect["reason"],
                caveat=join_caveats(no_limits, EFFECT_CAVEAT),
            )
            texts = {"method": "p: Wald test of the difference", "reason": effect["reason"], "caveat": EFFECT_CAVEAT}
            self.p_value(row, effect["p_value"], group=name, **texts)


def table2(
    patient: pd.DataFrame, outcome: pd.DataFrame, daily_series: pd.DataFrame | None = None, **by
) -> pd.DataFrame:
    """Outcomes by group, with effects (caplacizumab against control), intervals and p.

    Args:
        patient: ``marts.patient``.
        outcome: ``outcomes.patient_outcome``.
        daily_series: patient_id, day and adamts13_percent of ``marts.daily_series``; without it the percentage with
            ADAMTS13 recovery is not estimable, as nobody knows in whom it was looked for.
        by: ``follow_up_days``, the last day of follow-up, and ``conventions``: definition of quartiles, intervals, ties
            and corrections.

    Returns:
        Rows of table ``table2``; groups caplacizumab, control, difference.
    """
    patients = with_adamts13_measured(eligible_outcomes(patient, outcome), daily_series)
    sheet = _OutcomeSheet("table2", arms(patients), ARMS_COMPARED, ALL_EFFECTS, **by)
    for row in TABLES["table2"].rows:
        sheet.outcome(row)
    return sheet.frame()


def table3(
    patient: pd.DataFrame, outcome: pd.DataFrame, daily_series: pd.DataFrame | None = None, **by
) -> pd.DataFrame:
    """Outcomes by start of caplacizumab. Delayed starters have by design lived to their first dose; every comparison
    says so.

    Args:
        patient, outcome, daily_series, by: as ``table2``.

    Returns:
        Rows of table ``table3``; groups control, early, delayed, rescue, slow_response; comparisons early_control,
        delayed_control, and early_delayed: early starters' days from day 0 against delayed starters' from the first
            dose.
    """
    patients = with_adamts13_measured(eligible_outcomes(patient, outcome), daily_series)
    sheet = _OutcomeSheet("table3", timings(patients), TIMINGS_COMPARED, DIFFERENCES, **by)
    for row in TABLES["table3"].rows:
        if row == "time_to_response":
            days = sheet.days["early"]["response_day"], sheet.days["delayed"]["days_from_caplacizumab_to_response"]
            sheet.compare_values(row, *days, caveat=EFFECT_CAVEAT, group="early_delayed")
        else:
            sheet.outcome(row)
        if row == "response_day_survivors":
            medians = [sheet.days[group][row].median() for group in ("early", "control")]
            ratio = medians[0] / medians[1] if medians[1] > 0 else None
            method = "median time to response of early starters over that of controls, both among survivors"
            texts = {"method": method, "reason": cells.NO_VALUE, "caveat": EFFECT_CAVEAT}
            sheet.add(row, "early_control", "ratio_of_medians", ratio, **texts)
    return sheet.frame()


def table4(patient: pd.DataFrame, outcome: pd.DataFrame, **by) -> pd.DataFrame:
    """Main outcomes with and without rituximab: caplacizumab against control in each half, and whether the halves
    differ.

    Args:
        patient, outcome, by: as ``table2``.

    Returns:
        Rows of table ``table4``; groups caplacizumab_rituximab, control_rituximab, caplacizumab_no_rituximab,
        control_no_rituximab; comparisons difference_rituximab, difference_no_rituximab, and homogeneity (p of the
        interaction) for the yes/no outcomes.
    """
    groups = rituximab_groups(eligible_outcomes(patient, outcome))
    sheet = _OutcomeSheet("table4", groups, RITUXIMAB_COMPARED, RATIOS, **by)
    for row in TABLES["table4"].rows:
        sheet.outcome(row)
        if row in sheet.answers["control_rituximab"] and row != "died_by_day_90":
            p, reason = _homogeneity({group: answers[row] for group, answers in sheet.answers.items()})
            method = "p of the interaction: Firth's penalised logistic regression, penalised likelihood ratio"
            texts = {"method": method, "reason": reason, "caveat": "unadjusted"}
            sheet.add(row, "homogeneity", "p_homogeneity", p, p_value=cells.known(p), **texts)
    return sheet.frame()


def _homogeneity(answers: dict[str, pd.Series]) -> tuple[float, str]:
    """p of whether the odds ratio is the same with and without rituximab, or why there is none.

    Penalised, so that a half without events does not rule out an answer.
    """
    parts = [
        pd.DataFrame(
            {
                "outcome": known == "yes",
                "exposed": group.startswith("caplacizumab"),
                "rituximab": not group.endswith("no_rituximab"),
            }
        )
        for group, series in answers.items()
        if len(known := series[series.isin(["yes", "no"])])
    ]
    if len(parts) < len(answers):
        return float("nan"), "a group without patients assessed"
    data = pd.concat(parts, ignore_index=True).astype(float)
    data["interaction"] = data["exposed"] * data["rituximab"]
    fit = firth_logistic(data, "outcome", ["exposed", "rituximab", "interaction"], profile_of=["interaction"])
    term = fit.set_index("term").loc["interaction"]
    return term["p_value"], term["reason"]
