"""How the study's tables are printed: titles, row labels with units, order, the parameters and the notes that belong under each.

Numbers do not belong here, nor thresholds: a label names what was defined, the parameters printed beside the table say how.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SYNTHETIC = "Synthetic data; agreement with the published figures is no evidence about the drug."
EFFECT_CAVEAT = (
    "observational comparison with historic controls, in which delayed starters have by design lived to their first dose (immortal time)"
)

# Unit of each statistic's value, lower and upper.
STATISTICS = {
    "count": "patients, rows or values as the row says",
    "percent": "%",
    "median": "unit of the row",
    "q1": "unit of the row",
    "q3": "unit of the row",
    "at_risk": "patients",
    "risk_difference": "percentage points",
    "risk_ratio": "ratio",
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
    "all": "All",
}

EXCLUSIONS = {
    "not_ittp": "Not immune-mediated TTP",
    "under_18": "Under 18 years on day 0",
    "no_tpe": "No plasma exchange",
    "adamts13_not_deficient": "ADAMTS13 activity not deficient",
    "control_out_of_window": "Control outside the control period",
    "reported_twice": "Same patient reported twice",
}

ADVERSE_EVENTS = {
    "major_bleeding": "Major bleeding",
    "crnm_bleeding": "Clinically relevant non-major bleeding",
    "minor_bleeding": "Minor bleeding",
    "injection_site_reaction": "Injection-site reaction",
    "other": "Other adverse event",
}

DEATH_CAUSES = {"iTTP": "iTTP", "haemorrhage": "Haemorrhage", "cardiac": "Cardiac", "infection": "Infection", "other": "Other"}


@dataclass(frozen=True)
class TableText:
    """What is printed around the numbers of one table.

    ``rows`` maps row ids to labels, in print order; a row of the result that is not named is printed last under its id.
    ``parameters`` names the protocol parameters that define what the table shows.
    """

    title: str
    groups: tuple[str, ...]
    rows: dict[str, str]
    note: str = ""
    parameters: tuple[str, ...] = ()
    effects: bool = False
    indented: frozenset[str] = field(default_factory=frozenset)


_GROUP_PARAMETERS = ("caplacizumab_first_dose_by_day", "control_day0_from", "control_day0_to")
_RESPONSE_PARAMETERS = (
    "response_platelets_from_10e9_per_l",
    "response_confirm_within_days",
    "response_ldh_below_x_uln",
    "response_ldh_window_days",
)

TABLES = {
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
            **{f"excluded_{reason}": label for reason, label in EXCLUSIONS.items()},
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
        groups=("caplacizumab", "control"),
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
            **{f"french_severity_score_{score}": f"Score {score}" for score in range(5)},
            "corticosteroids": "Corticosteroids given",
            "rituximab": "Rituximab given",
        },
        indented=frozenset(f"french_severity_score_{score}" for score in range(5)),
        note="n/N counts the patients in whom the item is known; medians with interquartile range (N known). "
        "SMD: absolute standardised mean difference.",
        parameters=("severity_ldh_above_x_uln", "severity_age_above_years", "severity_age_high_above_years", *_GROUP_PARAMETERS),
    ),
    "table2": TableText(
        title="Table 2. Outcomes",
        groups=("caplacizumab", "control"),
        rows={
            "survival_3_months": "Survival at 3 months (Kaplan-Meier)",
            "died_by_day_90": "Died within 3 months",
            "failure": "Failure to achieve clinical response",
            "refractory": "Refractory",
            "severe_refractory": "Severe refractory",
            "exacerbation_all_patients": "Exacerbation, of all patients",
            "exacerbation_responders": "Exacerbation, of responders",
            "exacerbation_after_stop_undetectable": "Exacerbation after stopping caplacizumab with ADAMTS13 undetectable",
            "response_day": "Time to clinical response, days",
            "tpe_days_to_response": "TPE to response, TPE days",
            "tpe_sessions_to_response": "TPE to response, sessions",
            "adamts13_recovery": "ADAMTS13 recovery",
            "adamts13_recovery_day": "Time to ADAMTS13 recovery, days",
            "relapse": "Relapse after remission",
            "relapse_confirmed": "Relapse confirmed by ADAMTS13",
        },
        indented=frozenset({"severe_refractory", "tpe_sessions_to_response", "relapse_confirmed"}),
        note="n/N counts the patients in whom the outcome can be assessed; one that cannot is neither yes nor no. "
        "Times are medians with interquartile range among those with the event (N of them).",
        parameters=(
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
        ),
        effects=True,
    ),
    "survival": TableText(
        title="Survival by day",
        groups=("caplacizumab", "control"),
        rows={},
        note="Kaplan-Meier survival (95 % CI) and patients still observed just before the day.",
        parameters=("follow_up_days",),
        effects=True,
    ),
    "response_incidence": TableText(
        title="Cumulative incidence of clinical response by day",
        groups=("control", "early", "delayed"),
        rows={},
        note="Days from the first plasma exchange; death without response competes.",
        parameters=("follow_up_days", "early_start_by_day", *_RESPONSE_PARAMETERS),
        effects=True,
    ),
    "table5": TableText(
        title="Table 5. Adverse events under caplacizumab",
        groups=("caplacizumab",),
        rows={
            "any_adverse_event": "Any adverse event, any kind assessed",
            "any_adverse_event_all_assessed": "Any adverse event, all kinds assessed",
            **ADVERSE_EVENTS,
        },
        note="n/N: patients with the event of those in whom that kind was assessed.",
        parameters=("caplacizumab_first_dose_by_day",),
    ),
    "table6": TableText(
        title="Table 6. Deaths within 3 months",
        groups=("caplacizumab", "early", "delayed", "unknown", "control"),
        rows={
            "deaths": "Deaths",
            "death_day": "Day of death, days from day 0",
            "days_from_first_dose": "Days from first caplacizumab dose",
            **{f"cause_{cause.lower()}": f"Cause: {label}" for cause, label in DEATH_CAUSES.items()},
            "cause_not_stated": "Cause not stated",
        },
        indented=frozenset({*(f"cause_{cause.lower()}" for cause in DEATH_CAUSES), "cause_not_stated"}),
        parameters=("follow_up_days", "early_start_by_day"),
    ),
    "table7": TableText(
        title="Table 7. Derived outcomes against the centres' own judgement",
        groups=("all", "caplacizumab", "control"),
        rows={
            **{
                f"{outcome}_{cell}": f"{label}{text}"
                for outcome, label in (("refractory", "Refractory"), ("exacerbation", "Exacerbation"))
                for cell, text in (
                    ("agreement", ": derived and reported agree"), ("both_yes", ", derived and reported"), ("derived_only", ", derived only"),
                    ("reported_only", ", reported only"), ("both_no", ", neither"), ("kappa", ": Cohen's kappa"),
                )
            },
            "response_day_exact": "Day of response: the same",
            "response_day_within_1": "Day of response: within 1 day",
            "response_day_difference": "Day of response: derived minus reported, days",
        },
        indented=frozenset(
            f"{outcome}_{cell}" for outcome in ("refractory", "exacerbation") for cell in ("both_yes", "derived_only", "reported_only", "both_no", "kappa")
        ),
        note="Patients in whom both are known. Centres may go by other criteria than the protocol; neither side is corrected by the other.",
        parameters=("default_rule_set",),
    ),
    "as_published": TableText(
        title="As published, beside computed",
        groups=(),
        rows={},
        note="Every figure of the abstract (PROTOCOL section 5). Difference: computed minus published, in the unit of the row.",
        parameters=("default_rule_set", "follow_up_days", "early_start_by_day"),
        effects=True,
    ),
}
