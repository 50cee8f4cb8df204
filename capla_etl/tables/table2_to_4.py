"""The study's tables of outcomes: Tables 2, 3 and 4, survival and cumulative incidences by day.

Each has groups of patients, rows of outcomes, and comparisons of two groups: one set of functions serves them all. Who is eligible is in ``study``; how a
number is estimated in ``survival``, ``competing_risks``, ``cox``, ``proportions`` and ``baseline``; how it is printed in ``labels`` and the report.

``patients`` is ``study.eligible_outcomes``: one row per eligible patient, outcomes beside.
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
from capla_etl.tables.results import cell, frame, join_caveats

# Which effects a table prints, where not all.
DIFFERENCES = frozenset(
    {"risk_difference", "restricted_mean_difference", "median_difference", "ratio_of_medians", "p_value"}
)
RATIOS = frozenset({"risk_ratio", "hazard_ratio", "median_difference", "p_value"})
ALL_EFFECTS = DIFFERENCES | RATIOS


# ------------------------------------------------------------------------------------------------------------------- courses


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
ONLY_CAPLACIZUMAB = (
    "exacerbation_after_stop_undetectable",
    "caplacizumab_start_day",
    "days_from_caplacizumab_to_response",
)


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
        "days_from_caplacizumab_to_response": from_dose[
            patients["caplacizumab_start_day"] + from_dose <= follow_up_days
        ],
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
    early = (answers == "yes").reindex(members.index, fill_value=False) & (
        members[day] <= members["caplacizumab_start_day"]
    )
    return cells.if_any(int(early.fillna(False).sum()), "with it on or before the day of the first dose")


class _OutcomeTable:
    """Rows of one table of outcomes: the groups, then the comparisons."""

    def __init__(
        self,
        table_id: str,
        groups: Groups,
        comparisons: Comparisons,
        effects: frozenset[str],
        follow_up_days: int,
        conventions: Conventions,
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
        return {
            group: members
            for group, members in self.groups.items()
            if row not in ONLY_CAPLACIZUMAB or not group.startswith("control")
        }

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
                    lines += cells.compare_percent(
                        self.table_id, row, *answers, caveat=EFFECT_CAVEAT, group=name, conventions=self.conventions
                    )
        return lines

    def _answer(self, row: str, group: str, members: pd.DataFrame) -> dict:
        if row not in self.answers[group]:
            return cell(
                self.table_id,
                row,
                group,
                "percent",
                None,
                method=_ANSWER_METHODS[row],
                caveat="not estimable: who had activity measured after day 0 was not given",
            )
        answers, caveat = self.answers[group][row], _ANSWER_CAVEATS.get(row)
        if row == "exacerbation_all_patients":
            caveat = cells.if_any(
                int((~members["exacerbation"].isin(["yes", "no"])).sum()), "in the denominator are not evaluable"
            )
        if row in _DAY_OF_EVENT:
            caveat = join_caveats(caveat, _before_first_dose(answers, members, _DAY_OF_EVENT[row]))
        return cells.percent(
            self.table_id, row, group, answers, method=_ANSWER_METHODS.get(row, cells.ASSESSED), caveat=caveat
        )

    def _days(self, row: str) -> list[dict]:
        method = (
            _FROM_DOSE_METHOD
            if row == "days_from_caplacizumab_to_response"
            else cells.MEDIAN
            if row == "caplacizumab_start_day"
            else _TIME_METHOD
        )
        lines = []
        for group in self._own_groups(row):
            lines += cells.quartiles(
                self.table_id, row, group, self.days[group][row], method=method, conventions=self.conventions
            )
        caveat = f"{EFFECT_CAVEAT}; compared among those with the event, others are left out"
        if row == "adamts13_recovery_day":
            caveat = f"{caveat}; the day depends on when activity was measured"
        for name, (one, two) in self._compared(row).items():
            values = self.days[one][row], self.days[two][row]
            lines += cells.compare_values(
                self.table_id, row, *values, caveat=caveat, group=name, conventions=self.conventions
            )
        return lines

    def _survival(self) -> list[dict]:
        courses, caveats = survival_courses(self.groups, follow_up_days=self.follow_up_days)
        patients = courses["group"].value_counts()
        found = survival.survival_at(courses, [self.follow_up_days], interval=self.conventions.survival_interval)
        points = {point.group: point for point in found.itertuples()}
        row, lines = "survival_3_months", []
        for group in self.groups:
            if group in points:
                lines.append(
                    survival_cell(
                        self.table_id, row, points[group], int(patients[group]), caveats[group], self.conventions
                    )
                )
            else:
                lines.append(
                    cell(
                        self.table_id,
                        row,
                        group,
                        "percent",
                        None,
                        n_assessed=0,
                        method=kaplan_meier(self.conventions),
                        caveat=join_caveats("not estimable: no patient followed", caveats[group]),
                    )
                )
        for name, pair in self.comparisons.items():
            own = courses[courses["group"].isin(pair)]
            estimates = [(point.survival, point.lower, point.upper) for group in pair if (point := points.get(group))]
            lines += [self._survival_difference(name, estimates), self._hazard_ratio(name, own, pair[0])]
            _, p = survival.log_rank(own)
            lines.append(
                cells.p_value(
                    self.table_id,
                    row,
                    p,
                    method="p: log-rank test",
                    reason="one group only, or no death",
                    caveat=EFFECT_CAVEAT,
                    group=name,
                )
            )
        return lines

    def _survival_difference(self, name: str, estimates: list[tuple[float, float, float]]) -> dict:
        method = (
            "difference of Kaplan-Meier survival, percentage points; 95 % CI from the two intervals (Zou and Donner)"
        )
        key = (self.table_id, "survival_3_months", name, "risk_difference")
        if len(estimates) < 2 or pd.isna(estimates[0][0] - estimates[1][0]):
            return cell(*key, None, method=method, caveat="not estimable: no survival estimate in a group")
        difference, lower, upper = (cells.known(100 * limit) for limit in survival.difference_of_survival(*estimates))
        no_limits = "no interval: nobody died in a group" if lower is None else None
        return cell(
            *key, difference, lower=lower, upper=upper, method=method, caveat=join_caveats(no_limits, EFFECT_CAVEAT)
        )

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
        return cell(
            *key,
            term["hazard_ratio"],
            lower=term["lower"],
            upper=term["upper"],
            method=method,
            caveat=join_caveats(constant, EFFECT_CAVEAT),
        )

    def _restricted_mean(self) -> list[dict]:
        courses, caveats = survival_courses(self.groups, follow_up_days=self.follow_up_days)
        row, method = (
            "restricted_mean_survival",
            f"restricted mean survival time to day {self.follow_up_days}; 95 % CI Wald",
        )
        found = survival.restricted_mean(courses, self.follow_up_days).set_index("group")
        reason = "not estimable: not followed to the end of follow-up"
        lines = []
        for group in self.groups:
            value = found["rmst"].get(group, float("nan"))
            limits = {limit: cells.known(found[limit].get(group, float("nan"))) for limit in ("lower", "upper")}
            lines.append(
                cell(
                    self.table_id,
                    row,
                    group,
                    "restricted_mean",
                    cells.known(value),
                    n_assessed=int((courses["group"] == group).sum()),
                    **limits,
                    method=method,
                    caveat=join_caveats(reason if pd.isna(value) else None, caveats[group]),
                )
            )
        for name, pair in self.comparisons.items():
            own = pd.concat([courses[courses["group"] == group] for group in pair])
            effect = survival.restricted_mean_difference(own, self.follow_up_days)
            key, difference = (self.table_id, row, name), f"difference of {method}"
            if pd.isna(effect["estimate"]):
                lines.append(
                    cell(
                        *key,
                        "restricted_mean_difference",
                        None,
                        method=difference,
                        caveat=f"not estimable: {effect['reason']}",
                    )
                )
            else:
                limits = {limit: cells.known(effect[limit]) for limit in ("lower", "upper")}
                lines.append(
                    cell(
                        *key,
                        "restricted_mean_difference",
                        effect["estimate"],
                        **limits,
                        method=difference,
                        caveat=join_caveats(
                            f"no interval: {effect['reason']}" if effect["reason"] else None, EFFECT_CAVEAT
                        ),
                    )
                )
            lines.append(
                cells.p_value(
                    *key[:2],
                    effect["p_value"],
                    method="p: Wald test of the difference",
                    reason=effect["reason"],
                    caveat=EFFECT_CAVEAT,
                    group=name,
                )
            )
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
            rows += cells.compare_values(
                "table3", row, *days, caveat=EFFECT_CAVEAT, group="early_delayed", conventions=conventions
            )
        else:
            rows += table.rows(row)
        if row == "response_day_survivors":
            rows.append(_ratio_of_medians(table.days["early"][row], table.days["control"][row]))
    return frame(rows)


def _ratio_of_medians(early: pd.Series, control: pd.Series) -> dict:
    medians = early.median(), control.median()
    ratio = medians[0] / medians[1] if medians[1] > 0 else float("nan")
    return cell(
        "table3",
        "response_day_survivors",
        "early_control",
        "ratio_of_medians",
        cells.known(ratio),
        method="median time to response of early starters over that of controls, both among survivors",
        caveat=cells.NO_VALUE if pd.isna(ratio) else EFFECT_CAVEAT,
    )


def table4(
    patient: pd.DataFrame, outcome: pd.DataFrame, *, follow_up_days: int, conventions: Conventions = PROTOCOL
) -> pd.DataFrame:
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
        return cell(
            "table4",
            row,
            "homogeneity",
            "p_homogeneity",
            None,
            method=method,
            caveat="not estimable: a group without patients assessed",
        )
    data = pd.concat(parts, ignore_index=True).astype(float)
    data["interaction"] = data["exposed"] * data["rituximab"]
    fit = firth_logistic(
        data, "outcome", ["exposed", "rituximab", "interaction"], profile_of=["interaction"]
    ).set_index("term")
    p = fit.loc["interaction", "p_value"]
    if pd.isna(p):
        return cell(
            "table4",
            row,
            "homogeneity",
            "p_homogeneity",
            None,
            method=method,
            caveat=f"not estimable: {fit.loc['interaction', 'reason']}",
        )
    return cell("table4", row, "homogeneity", "p_homogeneity", p, p_value=p, method=method, caveat="unadjusted")


# ------------------------------------------------------------------------------------------------------------ survival by day


# -------------------------------------------------------------------------------------------------------- cumulative incidence
