"""How the study's tables are printed: titles, row labels with units, order, parameters and notes.

Numbers do not belong here, nor thresholds. A text names a parameter of the protocol in braces (``protocol.wording``),
and ``Filled`` gives it with the value in force.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace

from capla_etl.centres.submissions import kind_of_data
from capla_etl.protocol.wording import worded
from capla_etl.tables.population import ARMS, DELAY_REASONS

_NO_EVIDENCE = "agreement with the published figures is no evidence about the drug."
SYNTHETIC = f"Synthetic data; {_NO_EVIDENCE}"


def about_the_data() -> str:
    """What every output of the study says of its data."""
    return f"{kind_of_data.short()}; {_NO_EVIDENCE}" if kind_of_data.synthetic() else kind_of_data.sentence()


EFFECT_CAVEAT = (
    "observational comparison with historic controls, in which delayed starters have by design lived to their first "
    "dose (immortal time)"
)


def _filled(text):
    if isinstance(text, str):
        return worded(text) if "{" in text else text
    if isinstance(text, dict):
        return {key: _filled(value) for key, value in text.items()}
    if is_dataclass(text):
        return replace(text, **{one.name: _filled(getattr(text, one.name)) for one in fields(text)})
    return text


class Filled(Mapping):
    """Texts by id, in print order, with the parameters in force at the time of reading.

    Args:
        declared: id -> text, or a dataclass of texts, with parameters in braces.
    """

    def __init__(self, declared: dict) -> None:
        self.declared = declared

    def __getitem__(self, key: str):
        return _filled(self.declared[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.declared)

    def __len__(self) -> int:
        return len(self.declared)


#: Unit of each statistic's value, lower and upper.
STATISTICS = {
    "count": "patients, rows or values as the row says",
    "percent": "%",
    "median": "unit of the row",
    "q1": "unit of the row",
    "q3": "unit of the row",
    "at_risk": "patients",
    "restricted_mean": "days",
    "risk_difference": "percentage points",
    "restricted_mean_difference": "days",
    "survival_difference": "percentage points",
    "risk_ratio": "ratio",
    "odds_ratio": "ratio",
    "hazard_ratio": "ratio",
    "subdistribution_hazard_ratio": "ratio",
    "e_value": "risk ratio",
    "e_value_of_limit": "risk ratio",
    "tipping_point": "patients",
    "p_homogeneity": "probability",
    "median_difference": "unit of the row",
    "ratio_of_medians": "ratio",
    "smd": "standard deviations, absolute",
    "kappa": "Cohen's kappa, -1 to 1",
    "p_value": "probability",
    "published": "as the published figure",
    "computed": "as the published figure",
    "difference": "computed minus published",
}

GROUPS = {
    "caplacizumab": "Caplacizumab",
    "control": "Control",
    "early": "Early start",
    "delayed": "Delayed start",
    "rescue": "Rescue",
    "slow_response": "Slow response",
    "unknown": "Start not recorded",
    "difference": "Caplacizumab compared with control",
    "early_control": "Early start compared with control",
    "delayed_control": "Delayed start compared with control",
    "early_delayed": "Early compared with delayed start",
    "caplacizumab_rituximab": "Caplacizumab, rituximab",
    "control_rituximab": "Control, rituximab",
    "caplacizumab_no_rituximab": "Caplacizumab, no rituximab",
    "control_no_rituximab": "Control, no rituximab",
    "difference_rituximab": "Caplacizumab compared with control, given rituximab",
    "difference_no_rituximab": "Caplacizumab compared with control, not given rituximab",
    "homogeneity": "Effects with and without rituximab compared",
    "all": "All",
}

EXCLUSIONS = Filled(
    {
        "not_ittp": "Not immune-mediated TTP",
        "under_18": "Under {adult_age_years} years on day 0",
        "no_tpe": "No plasma exchange",
        "adamts13_not_deficient": "ADAMTS13 activity not deficient",
        "control_out_of_window": "Control outside the control period",
        "reported_twice": "Same patient reported twice",
    }
)

ADVERSE_EVENTS = {
    "major_bleeding": "Major bleeding",
    "crnm_bleeding": "Clinically relevant non-major bleeding",
    "minor_bleeding": "Minor bleeding",
    "injection_site_reaction": "Injection-site reaction",
    "other": "Other adverse event",
}

DEATH_CAUSES = {
    "iTTP": "iTTP",
    "haemorrhage": "Haemorrhage",
    "cardiac": "Cardiac",
    "infection": "Infection",
    "other": "Other",
}


@dataclass(frozen=True)
class Analysis:
    """An analysis of Table 8: its label, and what it does, for the methods paragraph."""

    label: str
    description: str


#: Analyses of Table 8, in print order; those without a country (``without_FR01``) and from a landmark day
#: (``landmark_day_3``) are spelled from their id.
ANALYSES = {
    "as_published": Analysis("As published", "all patients from day 0, treated as caplacizumab whenever it began"),
    "landmark_day": Analysis(
        "Landmark day",
        "patients observed beyond the landmark day whose outcome was not decided by its end, by whether caplacizumab "
        "had begun by then",
    ),
    "time_dependent": Analysis(
        "Start as time-dependent exposure", "patients untreated until their first dose and treated from then on"
    ),
    "delayed_excluded": Analysis("Delayed starts excluded", "early starters against control"),
    "clone_censor_weight": Analysis(
        "Emulated trial (clone-censor-weight)",
        "start within the grace period against no start, each patient cloned into both strategies, censored on "
        "deviating, and weighted by the inverse probability of not deviating",
    ),
    "iptw": Analysis(
        "Inverse-probability weights", "weighted to the covariates of all patients by the propensity score"
    ),
    "overlap": Analysis("Overlap weights", "weighted to the patients who might have been in either group"),
    "adjusted": Analysis(
        "Adjusted, penalised (Firth)", "baseline covariates and country in a model with Firth's penalty"
    ),
    "adjusted_imputed": Analysis(
        "Adjusted, with imputed covariates",
        "as adjusted, with troponin and anti-ADAMTS13 multiply imputed and the results pooled",
    ),
    "stratified_by_country": Analysis("Stratified by country", "only patients of the same country compared"),
    "rituximab": Analysis("Given rituximab", "patients who were given rituximab"),
    "no_rituximab": Analysis("Not given rituximab", "patients who were not given rituximab"),
    "subdistribution": Analysis(
        "Death as competing event (Fine-Gray)",
        "patients who died remain in the risk set, so the effect is on the cumulative incidence",
    ),
    "without": Analysis("Without one country", "each country left out in turn"),
    "worst_case": Analysis(
        "Worst case for the lost", "the lost counted as with the event under caplacizumab and without it in control"
    ),
    "best_case": Analysis(
        "Best case for the lost", "the lost counted as without the event under caplacizumab and with it in control"
    ),
    "bootstrap": Analysis(
        "Difference of survival, bootstrap interval",
        "the difference of survival at the end of follow-up with an interval from resampled patients",
    ),
    "tipping_point": Analysis(
        "Tipping point: events among the lost",
        "the fewest events among those lost under caplacizumab, with none among those lost in control, at which p is "
        "0.05 or more",
    ),
    "e_value_as_published": Analysis(
        "E-value of the effect as published",
        "how strongly a confounder would have to be associated with both treatment and outcome to explain the effect "
        "away",
    ),
    "e_value_adjusted": Analysis(
        "E-value of the adjusted effect", "the same for a confounder beyond those adjusted for"
    ),
}
SENSITIVITY_OUTCOMES = Filled(
    {
        "death": "Death within {follow_up_days:months}",
        "failure": "Failure to achieve clinical response",
        "response": "Clinical response (above 1 favours caplacizumab)",
        "refractory": "Refractory",
        "exacerbation": "Exacerbation, of all patients",
        "adamts13_recovery": "ADAMTS13 recovery (above 1 favours caplacizumab)",
    }
)
COVARIATE_LABELS = {
    "age_years": "Age",
    "female": "Female sex",
    "first_episode": "First episode",
    "neurological_involvement": "Neurological involvement",
    "log_platelets": "Platelets on day 0 (log)",
    "log_ldh": "LDH on day 0 (log)",
    "log_creatinine": "Creatinine (log)",
}
SENSITIVITY_MEASURES = {
    "hazard_ratio": "Hazard ratio",
    "risk_ratio": "Risk ratio",
    "odds_ratio": "Odds ratio",
    "subdistribution_hazard_ratio": "Subdistribution hazard ratio",
    "survival_difference": "Difference, percentage points",
    "e_value": "E-value",
    "tipping_point": "Patients",
}
#: What is printed behind an outcome for each rule set; ``any`` is an outcome that no rule set changes.
RULE_SETS = Filled(
    {
        "any": "",
        "iwg2021": "",
        "tpe2017": ", by days after the last TPE (tpe2017)",
        "no_response_after_5_tpe": ", no response by the {refractory_after_tpe_days:ordinal} TPE day",
        "not_doubled_day_4": ", platelets not risen {not_doubled_factor}-fold after {not_doubled_by_day} days",
        "platelets_only": ", platelets without LDH",
        "adamts13_plasma_window": ", ADAMTS13 soon after a TPE not counted",
    }
)


@dataclass(frozen=True)
class TableText:
    """What is printed around the numbers of one table.

    Attributes:
        title, note: above and below it.
        groups: its columns.
        rows: row id -> label, in print order; a row of the result that is not named is printed last under its id.
        parameters: the protocol's parameters that define what the table shows.
        effects: whether it compares groups, and carries the caveat of that.
        indented: rows that are part of the row above.
        comparisons: groups that are comparisons -> what is printed above their columns (nothing where there is one
            only).
    """

    title: str
    groups: tuple[str, ...]
    rows: dict[str, str] = field(default_factory=dict)
    note: str = ""
    parameters: tuple[str, ...] = ()
    effects: bool = False
    indented: frozenset[str] = frozenset()
    comparisons: dict[str, str] = field(default_factory=lambda: {"difference": ""})


_GROUP_PARAMETERS = ("caplacizumab_first_dose_by_day", "control_day0_from", "control_day0_to")
_RESPONSE_PARAMETERS = (
    "response_platelets_from_10e9_per_l",
    "response_confirm_within_days",
    "response_ldh_below_x_uln",
    "response_ldh_window_days",
)
_OUTCOME_PARAMETERS = (
    "default_rule_set",
    "follow_up_days",
    *_RESPONSE_PARAMETERS,
    "refractory_after_tpe_days",
    "refractory_count_within_days",
    "refractory_platelets_below_10e9_per_l",
    "severe_refractory_platelets_below_10e9_per_l",
    "refractory_ldh_above_x_uln",
    "refractory_ldh_window_days",
    "fall_platelets_below_10e9_per_l",
    "fall_confirm_within_days",
    "exacerbation_within_days_of_therapy",
    "remission_adamts13_from_percent",
    "remission_days_without_therapy",
    "relapse_adamts13_below_percent",
    "relapse_adamts13_within_days",
    "recovery_adamts13_from_percent",
    "undetectable_adamts13_below_percent",
)
_BY_START = ("follow_up_days", "early_start_by_day")

_OUTCOME_ROWS = {
    "survival_3_months": "Survival at {follow_up_days:months} (Kaplan-Meier)",
    "restricted_mean_survival": "Restricted mean survival time to the end of follow-up, days",
    "died_by_day_90": "Died within {follow_up_days:months}",
    "failure": "Failure to achieve clinical response",
    "refractory": "Refractory",
    "severe_refractory": "Severe refractory",
    "exacerbation_all_patients": "Exacerbation, of all patients",
    "exacerbation_responders": "Exacerbation, of responders",
    "exacerbation_after_stop_undetectable": "Exacerbation after stopping caplacizumab with ADAMTS13 undetectable",
    "response_day": "Time to clinical response, days",
    "tpe_days_to_response": "TPE to response, TPE days",
    "tpe_sessions_to_response": "TPE to response, sessions",
    "adamts13_recovery": "ADAMTS13 recovery at any time",
    "adamts13_recovery_day": "Time to ADAMTS13 recovery at any time, days",
    "relapse": "Relapse after remission",
    "relapse_confirmed": "Relapse confirmed by ADAMTS13",
}
_OUTCOME_NOTE = (
    "n/N counts the patients in whom the outcome can be assessed; one that cannot is neither yes nor no. "
    "Times are medians with interquartile range among patients with the event (N of them)."
)
_OUTCOMES = {
    "note": _OUTCOME_NOTE,
    "parameters": _OUTCOME_PARAMETERS,
    "effects": True,
    "indented": frozenset(
        {"severe_refractory", "tpe_sessions_to_response", "relapse_confirmed", "restricted_mean_survival"}
    ),
}
_SCORES = {f"french_severity_score_{score}": f"Score {score}" for score in range(5)}
_CAUSES = {
    **{f"cause_{cause.lower()}": f"Cause: {label}" for cause, label in DEATH_CAUSES.items()},
    "cause_not_stated": "Cause not stated",
}
_AGREEMENT = {
    "both_yes": ", derived and reported",
    "derived_only": ", derived only",
    "reported_only": ", reported only",
    "both_no": ", neither",
    "kappa": ": Cohen's kappa",
}
_JUDGED = {"refractory": "Refractory", "exacerbation": "Exacerbation"}

_TABLES = {
    "flow": TableText(
        title="Flow of patient records",
        groups=("all",),
        rows={
            "rows_received": "Rows received",
            "rows_duplicate": "Duplicates",
            "rows_quarantined": "Quarantined",
            "rows_ignored": "Titles, totals, blanks",
            "rows_loaded": "Rows accepted",
            "values_quarantined": "Single values quarantined",
            "patient_records": "Patient records",
            **{f"excluded_{reason}": label for reason, label in EXCLUSIONS.declared.items()},
            "excluded": "Excluded",
            "eligible": "Eligible patients",
            "caplacizumab": "Caplacizumab",
            "control": "Control",
            "group_unknown": "Group not known",
            "early": "Early start",
            "delayed": "Delayed start",
            "timing_unknown": "Start not recorded",
            "rescue": "Rescue",
            "slow_response": "Slow response",
        },
        parameters=("adult_age_years", "adamts13_deficient_below_percent", *_GROUP_PARAMETERS, "early_start_by_day"),
    ),
    "table1": TableText(
        title="Table 1. Baseline characteristics and treatment",
        groups=ARMS,
        rows={
            "age_years": "Age, years",
            "female": "Female sex",
            "first_episode": "First episode of TTP",
            "neurological_involvement": "Neurological involvement",
            "coma": "Coma",
            "hemoglobin_g_per_dl": "Haemoglobin, g/dL",
            "platelets_10e9_per_l": "Platelets on day 0, 10⁹/L",
            "ldh_x_uln": "LDH on day 0, × ULN",
            "creatinine_umol_per_l": "Creatinine, µmol/L",
            "troponin_x_uln": "Troponin, × ULN",
            "adamts13_percent": "ADAMTS13 activity, %",
            "anti_adamts13_u_per_ml": "Anti-ADAMTS13 IgG, U/mL",
            "french_severity_score": "French severity score",
            **_SCORES,
            "corticosteroids": "Corticosteroids given",
            "rituximab": "Rituximab given",
        },
        indented=frozenset(_SCORES),
        note="n/N counts the patients in whom the item is known; medians with interquartile range (N known). "
        "SMD: absolute standardised mean difference.",
        parameters=(
            "severity_ldh_above_x_uln",
            "severity_age_above_years",
            "severity_age_high_above_years",
            *_GROUP_PARAMETERS,
        ),
    ),
    "table2": TableText(title="Table 2. Outcomes", groups=ARMS, rows=_OUTCOME_ROWS, **_OUTCOMES),
    "table3": TableText(
        title="Table 3. Outcomes by start of caplacizumab",
        groups=("control", "early", "delayed", *DELAY_REASONS),
        rows={
            "caplacizumab_start_day": "First caplacizumab dose, day",
            **{row: label for row, label in _OUTCOME_ROWS.items() if not row.startswith("response_day")},
            "response_day": "Time to clinical response from day 0, days",
            "response_day_survivors": "among survivors",
            "days_from_caplacizumab_to_response": "Time from the first dose to response, days",
            "time_to_response": "Early from day 0 against delayed from the first dose",
        },
        comparisons={
            "early_control": "Early against control",
            "delayed_control": "Delayed against control",
            "early_delayed": "Early against delayed",
        },
        **_OUTCOMES
        | {
            "indented": _OUTCOMES["indented"] | {"response_day_survivors", "time_to_response"},
            "note": f"{_OUTCOME_NOTE} Rescue and slow response are parts of delayed start; patients whose start was "
            f"not "
            "recorded are in no column.",
            "parameters": ("early_start_by_day", *_OUTCOME_PARAMETERS),
        },
    ),
    "table4": TableText(
        title="Table 4. Main outcomes with and without rituximab",
        groups=("caplacizumab_rituximab", "control_rituximab", "caplacizumab_no_rituximab", "control_no_rituximab"),
        rows={
            row: _OUTCOME_ROWS[row]
            for row in (
                "survival_3_months",
                "died_by_day_90",
                "failure",
                "refractory",
                "exacerbation_all_patients",
                "exacerbation_responders",
                "relapse",
                "response_day",
                "tpe_days_to_response",
            )
        },
        comparisons={
            "difference_rituximab": "With rituximab",
            "difference_no_rituximab": "Without rituximab",
            "homogeneity": "Interaction",
        },
        **_OUTCOMES
        | {
            "indented": frozenset(),
            "note": f"{_OUTCOME_NOTE} Patients in whom it is not known whether rituximab was given are in no column. "
            "Rituximab is given after day 0: patients who die early have had less time to receive it, so the two "
            "halves are no baseline subgroups.",
        },
    ),
    "survival": TableText(
        title="Survival by day",
        groups=ARMS,
        note="Kaplan-Meier survival (95 % CI) and patients still observed just before the day.",
        parameters=("follow_up_days",),
        effects=True,
    ),
    "response_incidence": TableText(
        title="Cumulative incidence of clinical response by day",
        groups=("control", "early", "delayed"),
        note="Days from the first plasma exchange; death without response competes.",
        parameters=(*_BY_START, *_RESPONSE_PARAMETERS),
        effects=True,
    ),
    "adamts13_incidence": TableText(
        title="Cumulative incidence of ADAMTS13 recovery by day",
        groups=ARMS,
        note="Days from the first plasma exchange; death without recovery competes. The day depends on when activity "
        "was measured.",
        parameters=("follow_up_days", "recovery_adamts13_from_percent"),
        effects=True,
    ),
    "table5": TableText(
        title="Table 5. Adverse events under caplacizumab",
        groups=ARMS[:1],
        rows={
            "any_adverse_event": "Any adverse event, any kind assessed",
            "any_adverse_event_all_assessed": "Any adverse event, all kinds assessed",
            **ADVERSE_EVENTS,
        },
        note="n/N: patients with the event among those in whom that kind was assessed.",
        parameters=("caplacizumab_first_dose_by_day",),
    ),
    "table6": TableText(
        title="Table 6. Deaths within {follow_up_days:months}",
        groups=("caplacizumab", "early", "delayed", "unknown", "control"),
        rows={
            "deaths": "Deaths",
            "death_day": "Day of death, days from day 0",
            "days_from_first_dose": "Days from first caplacizumab dose",
            **_CAUSES,
        },
        indented=frozenset(_CAUSES),
        parameters=_BY_START,
    ),
    "table7": TableText(
        title="Table 7. Derived outcomes against the centres' own judgement",
        groups=("all", *ARMS),
        rows={
            **{
                f"{outcome}_{cell}": f"{label}{text}"
                for outcome, label in _JUDGED.items()
                for cell, text in {"agreement": ": derived and reported agree", **_AGREEMENT}.items()
            },
            "response_day_exact": "Day of response: the same",
            "response_day_within_1": "Day of response: within 1 day",
            "response_day_difference": "Day of response: derived minus reported, days",
        },
        indented=frozenset(f"{outcome}_{cell}" for outcome in _JUDGED for cell in _AGREEMENT),
        note="Patients in whom both are known. Centres may use criteria other than the protocol's; neither side is "
        "corrected by the other.",
        parameters=("default_rule_set",),
    ),
    "table8": TableText(
        title="Table 8. Sensitivity of the comparison to rules and analyses",
        groups=ARMS,
        note="Patients with the outcome among those analysed, as each analysis counts them: in landmark analyses, "
        "patients who had begun caplacizumab by the landmark against patients who had not; where the start is "
        "time-dependent, events while treated against events while untreated; in the emulated trial, clones of both "
        "strategies. Weighted and adjusted effects are not those of the counts in their row. A hazard ratio is an "
        "average over follow-up where the test of proportional hazards (its footnote) is small. Below 1 favours "
        "caplacizumab, except for response and ADAMTS13 recovery, where above 1 does.",
        parameters=(
            "default_rule_set",
            *_BY_START,
            "landmark_days",
            "weights_truncated_at_percentile",
            "imputations",
            "bootstrap_replicates",
        ),
        effects=True,
    ),
    "as_published": TableText(
        title="As published, beside computed",
        groups=(),
        note="Every figure of the abstract (PROTOCOL section 5). Difference: computed minus published, in the unit of "
        "the row.",
        parameters=("default_rule_set", *_BY_START),
        effects=True,
    ),
}
TABLES = Filled(_TABLES)
