"""The statistical methods as a paper states them, written from the parameters used and the methods found in ``study.result``.

A method is named here only if a printed number was computed by it; a threshold is the parameter's value. Estimation does not belong here, nor labels.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version

import pandas as pd

from capla_etl.stats.conventions import Conventions
from capla_etl.tables.labels import ANALYSES, COVARIATE_LABELS, EFFECT_CAVEAT, SENSITIVITY_OUTCOMES, SYNTHETIC, Analysis

# Texts name parameters in braces; what follows a colon says how one is written (``_Value``).
_DESIGN = (
    "Design and groups. Patients with immune-mediated thrombotic thrombocytopenic purpura (iTTP) treated with caplacizumab were compared with historic "
    "controls treated without it. The unit of analysis is a patient's index episode. Day 0 is the date of the first therapeutic plasma exchange (TPE), day d "
    "is d calendar days later, and nothing before day 0 counts as person-time. The caplacizumab group had a first dose by day "
    "{caplacizumab_first_dose_by_day}, or a dose on an unknown day; controls had none by then. Start was early when the first dose was given on day "
    "{early_start_by_day} or before, and delayed from day {early_start_by_day:next}; a delayed start was a rescue when the patient was assessed as refractory "
    "or had an exacerbation on or before the day of the first dose, else a slow response. This is an {effect_caveat}."
)
_ELIGIBILITY = (
    "Eligibility. Eligible were patients with iTTP (not congenital) aged {adult_age_years} years or over on day 0, with at least one TPE and an ADAMTS13 "
    "activity at presentation below {adamts13_deficient_below_percent} %; controls only with day 0 from {control_day0_from:date} to {control_day0_to:date}. A "
    "criterion that could not be assessed excluded nobody: patients without a measured activity, or with a result that does not decide the criterion, were "
    "kept. A patient reported by two centres was analysed once."
)
_OUTCOMES = {
    "death": "The primary outcome was death within {follow_up_days:days} of day 0.",
    "response": (
        "Clinical response was the first day with a platelet count of at least {response_platelets_from_10e9_per_l} × 10⁹/L that the next count, at most "
        "{response_confirm_within_days:days} later, confirmed, with the latest lactate dehydrogenase (LDH) of that day or the {response_ldh_window_days:days} "
        "before below {response_ldh_below_x_uln} times the upper limit of normal (ULN); where none was measured in those days, the LDH part was not applied. "
        "A recorded new ischaemic organ event between the two counts ruled a response out."
    ),
    "failure": "Failure to achieve clinical response was no response by day {follow_up_days}, death before response included.",
    "refractory": (
        "Refractory disease was assessed in patients without response at the first count within {refractory_count_within_days:days} after the "
        "{refractory_after_tpe_days:th} TPE day: platelets below {refractory_platelets_below_10e9_per_l} × 10⁹/L with the latest LDH of that day or the "
        "{refractory_ldh_window_days:days} before above {refractory_ldh_above_x_uln} × ULN; it was severe with platelets below "
        "{severe_refractory_platelets_below_10e9_per_l} × 10⁹/L."
    ),
    "fall": (
        "A confirmed fall was a count below {fall_platelets_below_10e9_per_l} × 10⁹/L after a response, confirmed by the next count at most "
        "{fall_confirm_within_days:days} later, or by a TPE on that day or the {fall_confirm_within_days:days} after."
    ),
    "remission": (
        "Clinical remission was reached, after a response, with an ADAMTS13 activity of at least {remission_adamts13_from_percent} % or after "
        "{remission_days_without_therapy:days} without a TPE or a caplacizumab course and without a confirmed fall, whichever came first."
    ),
    "later": (
        "Exacerbation was a confirmed fall before remission and at most {exacerbation_within_days_of_therapy:days} after the last day of TPE or caplacizumab, "
        "relapse the first confirmed fall after remission; a later fall without remission was neither."
    ),
    "confirmed": (
        "A relapse was confirmed by an ADAMTS13 activity below {relapse_adamts13_below_percent} % within {relapse_adamts13_within_days:days} either side."
    ),
    "adamts13": (
        "ADAMTS13 recovery was the first activity of at least {recovery_adamts13_from_percent} % after day 0; ADAMTS13 was undetectable below "
        "{undetectable_adamts13_below_percent} %."
    ),
}
# What rule sets other than the default define otherwise.
_INSTEAD: dict[str, dict[str, str]] = {
    "iwg2021": {},
    "tpe2017": {
        "remission": (
            "Clinical remission was reached, after a response, with an ADAMTS13 activity of at least {remission_adamts13_from_percent} % or after "
            "{remission_days_without_therapy:days} without a TPE and without a confirmed fall, whichever came first."
        ),
        "later": "Exacerbation was a confirmed fall at most {exacerbation_within_days_of_therapy:days} after the last TPE, relapse the first later one.",
    },
    "no_response_after_5_tpe": {
        "refractory": "Refractory disease was no response by the {refractory_after_tpe_days:th} TPE day."
    },
    "not_doubled_day_4": {
        "refractory": (
            "Refractory disease was platelets on day {not_doubled_by_day} below {not_doubled_factor} times those of day 0 with LDH above "
            "{not_doubled_ldh_above_x_uln} × ULN, without response by then."
        )
    },
    "platelets_only": {
        "response": (
            "Clinical response was the first day with a platelet count of at least {response_platelets_from_10e9_per_l} × 10⁹/L that the next count, at most "
            "{response_confirm_within_days:days} later, confirmed; lactate dehydrogenase (LDH) was not part of it. A recorded new "
            "ischaemic organ event between the two counts ruled a response out."
        )
    },
    "adamts13_plasma_window": {
        "adamts13": (
            "ADAMTS13 recovery was the first activity of at least {recovery_adamts13_from_percent} % after day 0; ADAMTS13 was undetectable below "
            "{undetectable_adamts13_below_percent} %. Activity within {adamts13_plasma_window_days:days} after a TPE was taken as the donor's and not "
            "counted."
        )
    },
}
_MISSING = (
    "Missing data. Every yes/no item has three answers: yes, no and not known (or not evaluable); what is not known never counts as no, and every percentage "
    "has its own denominator (n/N), the patients in whom the item is known. The exception is exacerbation of all patients, in which not evaluable counts as "
    "without, as in the published abstract. Patients alive without response and last seen before day {follow_up_days} are not evaluable for failure. A result "
    "below quantification decides a threshold only where it must lie on one side of it. Of a date known to the month only, the middle of the month was taken, "
    "moved into the interval that the patient's other dates allow; no other value was imputed for the main tables."
)
# What each rule set is, in the list of those that Table 8 compares.
_VARIANTS = {
    "iwg2021": "the definitions of the International Working Group",
    "tpe2017": "exacerbation as a fall at most {exacerbation_within_days_of_therapy:days} after the last TPE and relapse as a later one, caplacizumab ignored",
    "no_response_after_5_tpe": "refractory disease as no response by the {refractory_after_tpe_days:th} TPE day",
    "not_doubled_day_4": (
        "refractory disease as platelets on day {not_doubled_by_day} below {not_doubled_factor} times those of day 0 with LDH above "
        "{not_doubled_ldh_above_x_uln} × ULN"
    ),
    "platelets_only": "response without its LDH part",
    "adamts13_plasma_window": "ADAMTS13 activity within {adamts13_plasma_window_days:days} after a TPE not counted",
}

#: Paragraphs on analysis, in order.
_DESCRIPTION, _SURVIVAL, _COMPETING, _COMPARISON, _MODELS = range(5)
_HEADINGS = {
    _DESCRIPTION: "Description",
    _SURVIVAL: "Survival",
    _COMPETING: "Competing risks",
    _COMPARISON: "Comparisons",
    _MODELS: "Models",
}
# (paragraph, method text, sentence); a sentence is filled with parameters, conventions (``_words``) and the named groups of the method text.
_SENTENCES = (
    (
        _DESCRIPTION,
        r"median and quartiles \(",
        "Continuous variables and times are given as median with interquartile range (quantiles by {quantiles}) of the values known.",
    ),
    (
        _DESCRIPTION,
        r"95 % CI Wilson",
        "Percentages are given with their numerator and denominator and, where an interval is shown, Wilson's 95 % confidence interval (CI).",
    ),
    (
        _DESCRIPTION,
        r"standardised mean difference",
        "Baseline characteristics are compared by absolute standardised mean differences (pooled over the groups).",
    ),
    (
        _DESCRIPTION,
        r"Cohen's kappa",
        "Agreement of derived outcomes with the centres' own judgement is given as a percentage and as Cohen's kappa with a 95 % CI from its "
        "large-sample standard error.",
    ),
    (
        _SURVIVAL,
        r"^Kaplan-Meier;",
        "Survival was estimated by the Kaplan-Meier method with 95 % CI on the {survival} scale; patients alive when last seen before day "
        "{follow_up_days} were censored on that day, all others were followed to death or day {follow_up_days}.",
    ),
    (
        _SURVIVAL,
        r"Zou and Donner",
        "The difference in survival at day {follow_up_days} has a 95 % CI constructed from the intervals of the two groups (Zou and Donner).",
    ),
    (_SURVIVAL, r"log-rank", "Survival was compared by the log-rank test."),
    (
        _SURVIVAL,
        r"^hazard ratio: Cox regression(?=[;,] (95|Efron|Breslow))",
        "Hazard ratios are from Cox regression, tied times handled by {ties}'s method, with Wald 95 % CI.",
    ),
    (
        _SURVIVAL,
        r"restricted mean survival|^p: Wald test of the difference",
        "Restricted mean survival time to day {follow_up_days} is the area under the Kaplan-Meier curve; it and its difference have Wald 95 % CI, the "
        "difference a Wald test.",
    ),
    (
        _SURVIVAL,
        r"(?P<replicates>\d+) bootstrap replicates",
        "The difference in survival at day {follow_up_days} also has a 95 % CI from the percentiles of {replicates} bootstrap replicates of the patients.",
    ),
    (
        _COMPETING,
        r"Aalen-Johansen .* competing",
        "Cumulative incidence from day 0 of {events}, death without it competing, was estimated by the Aalen-Johansen method with 95 % CI on the "
        "log(-log) scale from infinitesimal-jackknife standard errors.",
    ),
    (_COMPETING, r"Gray", "Cumulative incidences were compared by Gray's test."),
    (_COMPETING, r"Fine-Gray", "Subdistribution hazard ratios are from Fine-Gray regression with Wald 95 % CI."),
    (_COMPARISON, r"Newcombe", "Risk differences are given in percentage points with Newcombe's 95 % CI."),
    (
        _COMPARISON,
        r"risk ratio; 95 % CI Miettinen-Nurminen",
        "Risk ratios have Miettinen and Nurminen's score 95 % CI.",
    ),
    (_COMPARISON, r"risk ratio; 95 % CI Wald", "Risk ratios have Wald 95 % CI on the log scale."),
    (_COMPARISON, r"Fisher's exact test", "Proportions were compared by Fisher's exact test."),
    (
        _COMPARISON,
        r"^p: Pearson's chi-squared test(?P<corrected>, Yates correction)?$",
        "Proportions were compared by Pearson's chi-squared test{corrected}.",
    ),
    (
        _COMPARISON,
        r"over all scores: Pearson's chi-squared",
        "Ordered scores were also compared over all their levels by Pearson's chi-squared test.",
    ),
    (
        _COMPARISON,
        r"Hodges-Lehmann",
        "Differences of times and values are Hodges-Lehmann estimates of the shift with 95 % CI, among those with the event.",
    ),
    (
        _COMPARISON,
        r"Mann-Whitney",
        "Continuous variables and times were compared by the Mann-Whitney test (normal approximation corrected for ties, {rank_correction} continuity "
        "correction).",
    ),
    (
        _COMPARISON,
        r"median time to response .* over",
        "The ratio of median times to response, early start over control among survivors, is given without an interval.",
    ),
    (
        _MODELS,
        r"p of the interaction: Firth",
        "Whether an effect differs with and without rituximab was tested by the interaction in a logistic regression with Firth's penalty (penalised "
        "likelihood ratio).",
    ),
    (
        _MODELS,
        r"stratified by country",
        "The analysis stratified by country is a Cox regression with country as stratum.",
    ),
    (
        _MODELS,
        r"time-dependent exposure",
        "With the start as time-dependent exposure each patient's time was split at the first dose in the Cox regression.",
    ),
    (
        _MODELS,
        r"(inverse-probability|overlap) weights",
        "Propensity scores are from a logistic regression of group on baseline covariates ({covariates}) in patients in whom all are known; 95 % CI are "
        "robust and take the weights as known.",
    ),
    (
        _MODELS,
        r"inverse-probability weights, truncated",
        "Inverse-probability weights are stabilised and truncated at percentile {weights_truncated_at_percentile}.",
    ),
    (
        _MODELS,
        r"Firth's penalised .*covariates and country; 95 % CI profile",
        "Adjusted effects are from Cox (times) or logistic regression (risks) on the same covariates and country with Firth's penalty and "
        "profile-likelihood 95 % CI.",
    ),
    (
        _MODELS,
        r"(?P<number>\d+) imputations by chained equations",
        "In the analysis with imputation, missing values of covariates were imputed {number} times by chained equations and the results pooled by "
        "Rubin's rules.",
    ),
    (
        _MODELS,
        r"clone-censor-weight",
        "In the emulated trial patients started within {early_start_by_day} days or not at all; each was cloned into both strategies, censored on "
        "deviating from it and weighted by the inverse probability of not deviating (truncated at percentile {weights_truncated_at_percentile}), with "
        "95 % CI robust by patient.",
    ),
    (_MODELS, r"E-value", "E-values are those of VanderWeele and Ding."),
)
# Methods that another sentence, or the paragraph on sensitivity, already says.
_SAID = r"^p of the (hazard|risk|odds|subdistribution hazard) ratio|^fewest events among the lost"
# Statistics that are counted or copied, not estimated.
_PLAIN = ("count", "at_risk", "published", "computed", "difference")
_EVENTS = {"response": "clinical response", "recovery": "ADAMTS13 recovery"}
# Not from the locale of the machine.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class _Value:
    """A parameter as texts write it: "3", or by what follows its name "3 days", "3rd", "4" (the next), "1 January 2015"."""

    def __init__(self, value) -> None:
        self.value = value

    def __format__(self, form: str) -> str:
        return {
            "": str,
            "days": self._days,
            "th": self._ordinal,
            "next": lambda value: str(value + 1),
            "date": self._date,
        }[form](self.value)

    @staticmethod
    def _days(number: int) -> str:
        return f"{number} day{'' if number == 1 else 's'}"

    @staticmethod
    def _ordinal(number: int) -> str:
        return f"{number}{'th' if 10 <= number % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"

    @staticmethod
    def _date(text: str) -> str:
        day = date.fromisoformat(str(text))
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def methods_paragraphs(
    parameters: Mapping[str, object],
    conventions: Conventions,
    results: pd.DataFrame,
    analyses: Mapping[str, Analysis] = ANALYSES,
) -> list[str]:
    """The methods section, one string per paragraph.

    Args:
        parameters: the protocol's parameters by name, as ``protocol.parameters()`` gives them or as plain values.
        conventions: those by which ``results`` was computed.
        results: ``study.result``: methods that no number has are not named, analyses without a row in Table 8 are not described.
        analyses: id of an analysis of Table 8, or the part of the id before a country or day -> its label and what it does.

    Raises:
        KeyError: a parameter is missing, or an analysis of Table 8 or a rule set is not described.
        ValueError: ``results`` were computed by other conventions.
    """
    values = {name: _Value(getattr(parameter, "value", parameter)) for name, parameter in parameters.items()}
    estimated = results[~results["statistic"].isin(_PLAIN) & ~results["table_id"].isin(["flow", "as_published"])]
    methods = list(dict.fromkeys(estimated["method"]))
    _refuse_other_conventions(methods, conventions)
    outcomes = _OUTCOMES | _INSTEAD[values["default_rule_set"].value]
    return [
        _DESIGN.format(effect_caveat=EFFECT_CAVEAT, **values),
        _ELIGIBILITY.format(**values),
        f"Outcomes. {' '.join(outcomes.values())}".format(**values),
        _MISSING.format(**values),
        *_analysis(values, conventions, methods, bool(estimated["p_value"].notna().any())),
        *_sensitivity(values, results, analyses),
        _software(),
    ]


def _refuse_other_conventions(methods: list[str], conventions: Conventions) -> None:
    """The tables say by which conventions they were computed; the text must not say another."""
    for pattern, named in (
        (r"median and quartiles \(([^)]*)\)", conventions.quantiles),
        (r"^Kaplan-Meier; 95 % CI (\S+)$", conventions.survival),
    ):
        other = {match[1] for method in methods if (match := re.search(pattern, method))} - {named}
        if other:
            raise ValueError(
                f"the results were computed by {', '.join(sorted(other))}; the conventions {conventions.name!r} are {named}"
            )


def _words(conventions: Conventions, methods: list[str]) -> dict[str, str]:
    """What the sentences on analysis are filled with beside parameters."""
    events = dict.fromkeys(
        match[1] for method in methods if (match := re.search(r"death without (\w+) competing", method))
    )
    return {
        "quantiles": conventions.quantiles,
        "survival": conventions.survival,
        "ties": conventions.ties.capitalize(),
        "rank_correction": "with" if conventions.rank_correction else "without",
        "events": " and of ".join(_EVENTS.get(event, event) for event in events),
        "covariates": ", ".join(
            label if label[1].isupper() else label[0].lower() + label[1:] for label in COVARIATE_LABELS.values()
        ),
    }


def _analysis(values: dict[str, _Value], conventions: Conventions, methods: list[str], tests: bool) -> list[str]:
    """The sentences of the methods found, by paragraph; methods that no sentence knows are named as the tables name them."""
    words = values | _words(conventions, methods)
    paragraphs: dict[int, list[str]] = {place: [] for place in _HEADINGS}
    said = {method for method in methods if re.search(_SAID, method)}
    for place, pattern, sentence in _SENTENCES:
        found = {method: match for method in methods if (match := re.search(pattern, method))}
        if found:
            said |= set(found)
            paragraphs[place].append(sentence.format(**words, **next(iter(found.values())).groupdict("")))
    if tests:
        paragraphs[_COMPARISON].append("All tests are two-sided; p values are not corrected for multiple comparisons.")
    unsaid = [method for method in methods if method not in said]
    return [
        *(f"{_HEADINGS[place]}. {' '.join(sentences)}" for place, sentences in paragraphs.items() if sentences),
        *([f"Further methods, as named beneath the tables: {'; '.join(unsaid)}."] if unsaid else []),
    ]


def _sensitivity(values: dict[str, _Value], results: pd.DataFrame, analyses: Mapping[str, Analysis]) -> list[str]:
    """One sentence for each analysis that Table 8 has, in its order, and one for the rule sets."""
    rows = [row.split(":", 2) for row in dict.fromkeys(results.loc[results["table_id"] == "table8", "row"])]
    if not rows:
        return []
    outcomes = [
        SENSITIVITY_OUTCOMES[outcome].split(" (")[0] for outcome in dict.fromkeys(outcome for outcome, _, _ in rows)
    ]
    members: dict[str, list[str]] = {}
    for analysis in dict.fromkeys(analysis for _, _, analysis in rows):
        key = (
            analysis
            if analysis in analyses
            else next((key for key in analyses if analysis.startswith(f"{key}_")), None)
        )
        if key is None:
            raise KeyError(f"analysis {analysis!r} of Table 8 is not described")
        members.setdefault(key, []).append(analysis.removeprefix(key).strip("_"))
    sentences = []
    for key, found in members.items():
        days = f" ({_listed(found)})" if all(member.isdigit() for member in found) else ""
        sentences.append(f"{analyses[key].label.replace(': ', ', ')}{days}: {analyses[key].description}.")
    rule_sets = [
        rule_set
        for rule_set in dict.fromkeys(rule_set for _, rule_set, _ in rows)
        if rule_set not in ("any", values["default_rule_set"].value)
    ]
    if rule_sets:
        sentences.append(
            f"Outcomes were also derived by other rules: {'; '.join(_VARIANTS.get(rule_set, f'rule set {rule_set}').format(**values) for rule_set in rule_sets)}."
        )
    return [
        f"Sensitivity analyses. The comparison was repeated (Table 8) for: {'; '.join(outcomes)}. {' '.join(sentences)}"
    ]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _software() -> str:
    packages, data = (
        _listed([f"{name} {version(name)}" for name in names])
        for names in (["lifelines", "statsmodels", "scipy", "numpy", "pandas"], ["duckdb", "dbt-duckdb"])
    )
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"Software. Analyses were done in {python} with {packages} and, where these have no correct implementation, with functions of capla_etl "
        f"{version('capla-etl')} that are tested against R; data were prepared with {data}. {SYNTHETIC}"
    )
