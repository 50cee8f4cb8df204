"""From answers and measurements to cells of ``study.result``: one place that decides denominators, intervals and tests.

Which patients, rows and tables there are is decided in ``study``; the estimators are in ``proportions`` and ``baseline``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from capla_etl.stats.contingency import chi_squared, fisher
from capla_etl.stats.conventions import PROTOCOL, Conventions
from capla_etl.stats.distributions import hodges_lehmann, mann_whitney, median_iqr, smd_categorical, smd_continuous
from capla_etl.stats.proportions import miettinen_nurminen_ratio, newcombe_difference, wilson
from capla_etl.tables.results import cell, join_caveats

ASSESSED = "n/N of the patients assessed (yes or no); 95 % CI Wilson"
MEDIAN = "median and quartiles ({}) of the values known"
RISK_RATIO = "risk ratio; 95 % CI Miettinen-Nurminen"
NOBODY_ASSESSED = "not estimable: no patient assessed"
NO_VALUE = "not estimable: no value known"


def known(number: float) -> float | None:
    """The number, or None for NaN."""
    return None if pd.isna(number) else float(number)


def finite(number: float) -> float | None:
    """The number, or None where it is not known or infinite."""
    return float(number) if math.isfinite(number) else None


class Tally(NamedTuple):
    """Patients with "yes" (``n``), with "yes" or "no" (``n_assessed``), and all (``patients``)."""

    n: int
    n_assessed: int
    patients: int


def tally(answers: pd.Series | Tally) -> Tally:
    """How many have "yes", and how many "yes" or "no". Everything else, null included, is not assessed. A tally stays what it is."""
    if isinstance(answers, Tally):
        return answers
    counts = answers.value_counts(sort=False)
    n = int(counts.get("yes", 0))
    return Tally(n, n + int(counts.get("no", 0)), len(answers))


def answers(yes: pd.Series, assessed: pd.Series) -> pd.Series:
    """ "yes" or "no", or "unknown" where not assessed."""
    return pd.Series(np.select([~assessed, yes], ["unknown", "yes"], "no"), index=yes.index)


def if_any(number: int, what: str) -> str | None:
    """A caveat that counts something; none where there is nothing to count."""
    return f"{number} {what}" if number else None


def count(
    table_id: str,
    row: str,
    group: str,
    n: int,
    n_assessed: int | None = None,
    *,
    method: str,
    caveat: str | None = None,
) -> dict:
    """A plain count."""
    return cell(table_id, row, group, "count", n, n=n, n_assessed=n_assessed, method=method, caveat=caveat)


def percent(
    table_id: str,
    row: str,
    group: str,
    answers: pd.Series | Tally,
    *,
    method: str = ASSESSED,
    caveat: str | None = None,
) -> dict:
    """Percentage of "yes" among the assessed, with n, N and Wilson's interval; the others are counted in the caveat."""
    n, n_assessed, patients = tally(answers)
    others = patients - n_assessed
    caveat = join_caveats(f"not assessed: {others} of {patients} patients" if others else None, caveat)
    if not n_assessed:
        reason = join_caveats(NOBODY_ASSESSED, caveat)
        return cell(table_id, row, group, "percent", None, n=n, n_assessed=0, method=method, caveat=reason)
    lower, upper = wilson(n, n_assessed)
    return cell(
        table_id,
        row,
        group,
        "percent",
        100 * n / n_assessed,
        n=n,
        n_assessed=n_assessed,
        lower=100 * lower,
        upper=100 * upper,
        method=method,
        caveat=caveat,
    )


def compare_percent(
    table_id: str,
    row: str,
    answers_1: pd.Series | Tally,
    answers_0: pd.Series | Tally,
    *,
    caveat: str,
    group: str = "difference",
    conventions: Conventions = PROTOCOL,
) -> list[dict]:
    """Risk difference, risk ratio and p value of "yes" among the assessed: first group against second."""
    tally_1, tally_0 = tally(answers_1), tally(answers_0)
    counts = (*tally_1[:2], *tally_0[:2])
    nobody = not counts[1] or not counts[3]
    difference, lower, upper = newcombe_difference(*counts)
    ratio, ratio_lower, ratio_upper = miettinen_nurminen_ratio(*counts)
    ratio_limits = {"lower": finite(ratio_lower), "upper": finite(ratio_upper)}
    ratio_caveat = caveat
    if finite(ratio) is None:
        ratio_caveat = (
            NOBODY_ASSESSED
            if nobody
            else join_caveats("not estimable: no event in the comparison group", _one_sided(ratio_lower))
        )
    elif ratio_upper == float("inf"):
        ratio_caveat = join_caveats("no upper limit", caveat)
    return [
        cell(
            table_id,
            row,
            group,
            "risk_difference",
            known(100 * difference),
            lower=known(100 * lower),
            upper=known(100 * upper),
            method="risk difference, percentage points; 95 % CI Newcombe",
            caveat=NOBODY_ASSESSED if nobody else caveat,
        ),
        cell(
            table_id,
            row,
            group,
            "risk_ratio",
            finite(ratio),
            **(ratio_limits if finite(ratio) is not None else {}),
            method=RISK_RATIO,
            caveat=ratio_caveat,
        ),
        proportions_test(table_id, row, tally_1, tally_0, caveat=caveat, group=group, conventions=conventions),
    ]


#: Method text of each test of two proportions (``Conventions.proportions``).
PROPORTIONS_TESTS = {
    "fisher": "p: Fisher's exact test",
    "chi-squared": "p: Pearson's chi-squared test",
    "yates": "p: Pearson's chi-squared test, Yates correction",
}


def proportions_named(method: str) -> str:
    """The test that a method text names, further remarks after a semicolon allowed."""
    return next(name for name, text in PROPORTIONS_TESTS.items() if method.split("; ")[0] == text)


def p_of_proportions(counts: tuple[int, int, int, int], test: str) -> float:
    """p value of (events, patients) of two groups by one of ``PROPORTIONS_TESTS``."""
    events_1, patients_1, events_0, patients_0 = counts
    if test == "fisher":
        return fisher(*counts)
    return chi_squared(
        [[events_1, patients_1 - events_1], [events_0, patients_0 - events_0]], continuity_correction=test == "yates"
    )


def proportions_test(
    table_id: str,
    row: str,
    answers_1: pd.Series | Tally,
    answers_0: pd.Series | Tally,
    *,
    caveat: str,
    group: str = "difference",
    conventions: Conventions = PROTOCOL,
) -> dict:
    """p value of "yes" among the assessed: first group against second."""
    counts = (*tally(answers_1)[:2], *tally(answers_0)[:2])
    p, method = p_of_proportions(counts, conventions.proportions), PROPORTIONS_TESTS[conventions.proportions]
    return p_value(
        table_id,
        row,
        p,
        method=method,
        reason="no patient assessed, or nobody or everybody with it",
        caveat=caveat,
        group=group,
    )


def _one_sided(lower: float) -> str | None:
    """A ratio over no events has no estimate, but the data still say how small it can be."""
    return f"compatible with ratios from {lower:.2g} upwards" if lower > 0 else None


def p_value(
    table_id: str, row: str, p: float, *, method: str, reason: str, caveat: str | None = None, group: str = "difference"
) -> dict:
    """The p value of a comparison; ``reason`` says why there is none."""
    if pd.isna(p):
        return cell(table_id, row, group, "p_value", None, method=method, caveat=f"not estimable: {reason}")
    return cell(table_id, row, group, "p_value", p, p_value=p, method=method, caveat=caveat)


def quartiles(
    table_id: str,
    row: str,
    group: str,
    values: pd.Series,
    *,
    method: str = MEDIAN,
    patients: int | None = None,
    caveat: str | None = None,
    conventions: Conventions = PROTOCOL,
) -> list[dict]:
    """Median, q1 and q3 of the values known; ``patients`` is how many could have one (default: all given).

    ``method`` has a place ``{}`` for the definition of quartiles.
    """
    n = int(values.notna().sum())
    patients = len(values) if patients is None else patients
    median, q1, q3 = median_iqr(values, quantile_type=conventions.quantile_type)
    caveat = caveat if n else join_caveats(NO_VALUE, caveat)
    return [
        cell(
            table_id,
            row,
            group,
            statistic,
            known(value),
            n=n,
            n_assessed=patients,
            method=method.format(conventions.quantiles),
            caveat=caveat,
        )
        for statistic, value in (("median", median), ("q1", q1), ("q3", q3))
    ]


def compare_values(
    table_id: str,
    row: str,
    values_1: pd.Series,
    values_0: pd.Series,
    *,
    caveat: str,
    group: str = "difference",
    conventions: Conventions = PROTOCOL,
) -> list[dict]:
    """Hodges-Lehmann median difference and Mann-Whitney p: first group against second."""
    shift, lower, upper = hodges_lehmann(values_1, values_0)
    return [
        cell(
            table_id,
            row,
            group,
            "median_difference",
            known(shift),
            lower=known(lower),
            upper=known(upper),
            method="median difference: Hodges-Lehmann with 95 % CI",
            caveat=NO_VALUE if pd.isna(shift) else caveat,
        ),
        rank_test(table_id, row, values_1, values_0, caveat=caveat, group=group, conventions=conventions),
    ]


def rank_test(
    table_id: str,
    row: str,
    values_1: pd.Series,
    values_0: pd.Series,
    *,
    caveat: str,
    group: str = "difference",
    conventions: Conventions = PROTOCOL,
) -> dict:
    """Mann-Whitney p: first group against second."""
    p = mann_whitney(values_1, values_0, continuity_correction=conventions.rank_correction)
    corrected = ", continuity correction" if conventions.rank_correction else ""
    return p_value(
        table_id,
        row,
        p,
        method=f"p: Mann-Whitney, tie-corrected normal approximation{corrected}",
        reason="no value known in a group, or all values equal",
        caveat=caveat,
        group=group,
    )


def smd(table_id: str, row: str, difference: float) -> dict:
    """The standardised mean difference of a baseline row."""
    reason = "not estimable: too few known, or no variation"
    return cell(
        table_id,
        row,
        "difference",
        "smd",
        known(difference),
        method="absolute standardised mean difference, pooled over the groups",
        caveat=reason if pd.isna(difference) else None,
    )


def smd_of_values(table_id: str, row: str, values_1: pd.Series, values_0: pd.Series) -> dict:
    """SMD of measurements."""
    return smd(table_id, row, smd_continuous(values_1, values_0))


def smd_of_answers(table_id: str, row: str, answers_1: pd.Series | Tally, answers_0: pd.Series | Tally) -> dict:
    """SMD of a yes/no item among the assessed."""
    counts = [[n_assessed - n, n] for n, n_assessed, _ in map(tally, (answers_1, answers_0))]
    return smd(table_id, row, smd_categorical(*counts))
