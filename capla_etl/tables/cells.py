"""From answers and measurements to cells of ``study.result``: one place that decides denominators, intervals and tests.

Which patients, rows and tables there are is decided in the module of each table; the estimators are in ``stats``.
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
from capla_etl.tables.results import NOT_ESTIMABLE, cell, frame, join_caveats

ASSESSED = "n/N of the patients assessed (yes or no); 95 % CI Wilson"
MEDIAN = "median and quartiles ({}) of the values known"
NOBODY_ASSESSED = "no patient assessed"
NO_VALUE = "no value known"
#: Method text of each test of two proportions (``Conventions.proportions``).
PROPORTIONS_TESTS = {
    "fisher": "p: Fisher's exact test",
    "chi-squared": "p: Pearson's chi-squared test",
    "yates": "p: Pearson's chi-squared test, Yates correction",
}


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
    """Count "yes", and "yes" or "no". All else, null included, is not assessed. A Tally is returned unchanged."""
    if isinstance(answers, Tally):
        return answers
    counts = answers.value_counts(sort=False)
    n = int(counts.get("yes", 0))
    return Tally(n, n + int(counts.get("no", 0)), len(answers))


def answers(yes: pd.Series, assessed: pd.Series) -> pd.Series:
    """ "yes" or "no", or "unknown" where not assessed."""
    return pd.Series(np.select([~assessed, yes], ["unknown", "yes"], "no"), index=yes.index)


def if_any(number: int, what: str) -> str | None:
    """A caveat that counts something; None where there is nothing to count."""
    return f"{number} {what}" if number else None


def proportions_named(method: str) -> str:
    """The test that a method text names, further remarks after a semicolon allowed."""
    return next(name for name, text in PROPORTIONS_TESTS.items() if method.split("; ")[0] == text)


def p_of_proportions(counts: tuple[int, int, int, int], test: str) -> float:
    """p value of (events, patients) of two groups by one of ``PROPORTIONS_TESTS``."""
    if test == "fisher":
        return fisher(*counts)
    table = [[events, patients - events] for events, patients in (counts[:2], counts[2:])]
    return chi_squared(table, continuity_correction=test == "yates")


class Sheet:
    """The cells of one table, in the order in which they are added.

    Args:
        table_id: the table.
        conventions: definition of quartiles, corrections and tests.
    """

    def __init__(self, table_id: str, conventions: Conventions = PROTOCOL) -> None:
        self.table_id, self.conventions, self.lines = table_id, conventions, []

    def frame(self) -> pd.DataFrame:
        """The table, as ``results.frame``."""
        return frame(self.lines)

    def add(
        self,
        row: str,
        group: str,
        statistic: str,
        value: float | None,
        limits: tuple[float, float] = (None, None),
        *,
        method: str,
        reason: str | None = None,
        caveat: str | None = None,
        always: str | None = None,
        **counts,
    ) -> None:
        """One cell. A number that is NaN is missing.

        Args:
            limits: lower and upper.
            reason: why there is no value, where there is none; limits are left out then.
            caveat: what limits a value.
            always: what is to be said with and without a value.
            counts: ``n``, ``n_assessed``, ``p_value``.
        """
        missing = reason is not None and pd.isna(value)
        lower, upper = (None, None) if missing else map(known, limits)
        said = join_caveats(f"{NOT_ESTIMABLE}{reason}" if missing else caveat, always)
        key = (self.table_id, row, group, statistic)
        self.lines.append(cell(*key, value, lower=lower, upper=upper, method=method, caveat=said, **counts))

    def count(self, row: str, group: str, n: int, n_assessed: int | None = None, **texts) -> None:
        """A plain count."""
        self.add(row, group, "count", n, n=n, n_assessed=n_assessed, **texts)

    def percent(
        self, row: str, group: str, answers: pd.Series | Tally, *, method: str = ASSESSED, caveat: str | None = None
    ) -> None:
        """Percentage of "yes" among the assessed, with n, N and Wilson's interval; the caveat counts the others."""
        n, n_assessed, patients = tally(answers)
        others = patients - n_assessed
        said = join_caveats(f"not assessed: {others} of {patients} patients" if others else None, caveat)
        value = 100 * n / n_assessed if n_assessed else None
        limits = [100 * limit for limit in wilson(n, n_assessed)] if n_assessed else (None, None)
        counts = {"n": n, "n_assessed": n_assessed}
        self.add(row, group, "percent", value, limits, method=method, reason=NOBODY_ASSESSED, always=said, **counts)

    def compare_percent(
        self,
        row: str,
        answers_1: pd.Series | Tally,
        answers_0: pd.Series | Tally,
        *,
        caveat: str,
        group: str = "difference",
    ) -> None:
        """Risk difference, risk ratio and p value of "yes" among the assessed: first group against second."""
        tallies = tally(answers_1), tally(answers_0)
        counts = (*tallies[0][:2], *tallies[1][:2])
        difference, *limits = (100 * number for number in newcombe_difference(*counts))
        method = "risk difference, percentage points; 95 % CI Newcombe"
        self.add(
            row, group, "risk_difference", difference, limits, method=method, reason=NOBODY_ASSESSED, caveat=caveat
        )
        ratio, lower, upper = miettinen_nurminen_ratio(*counts)
        # A ratio over no events has no estimate, but the data still say how small it can be.
        smallest = f"compatible with ratios from {lower:.2g} upwards" if lower > 0 else None
        reason = (
            join_caveats("no event in the comparison group", smallest) if counts[1] and counts[3] else NOBODY_ASSESSED
        )
        self.add(
            row,
            group,
            "risk_ratio",
            finite(ratio),
            (finite(lower), finite(upper)),
            method="risk ratio; 95 % CI Miettinen-Nurminen",
            reason=reason,
            caveat=join_caveats("no upper limit" if upper == math.inf else None, caveat),
        )
        self.proportions_test(row, *tallies, caveat=caveat, group=group)

    def proportions_test(
        self, row: str, answers_1: pd.Series | Tally, answers_0: pd.Series | Tally, *, caveat: str, group="difference"
    ) -> None:
        """p value of "yes" among the assessed: first group against second."""
        counts, test = (*tally(answers_1)[:2], *tally(answers_0)[:2]), self.conventions.proportions
        p, reason = p_of_proportions(counts, test), "no patient assessed, or nobody or everybody with it"
        self.p_value(row, p, method=PROPORTIONS_TESTS[test], reason=reason, caveat=caveat, group=group)

    def p_value(self, row: str, p: float, *, group: str = "difference", **texts) -> None:
        """The p value of a comparison; ``reason`` says why there is none."""
        self.add(row, group, "p_value", p, p_value=known(p), **texts)

    def quartiles(
        self, row: str, group: str, values: pd.Series, *, method: str = MEDIAN, caveat: str | None = None
    ) -> None:
        """Median, q1 and q3 of the values known; ``method`` has a place ``{}`` for the definition of quartiles."""
        found = median_iqr(values, quantile_type=self.conventions.quantile_type)
        counts = {"n": int(values.notna().sum()), "n_assessed": len(values)}
        method = method.format(self.conventions.quantiles)
        for statistic, value in zip(("median", "q1", "q3"), found, strict=True):
            self.add(row, group, statistic, value, method=method, reason=NO_VALUE, always=caveat, **counts)

    def compare_values(
        self, row: str, values_1: pd.Series, values_0: pd.Series, *, caveat: str, group: str = "difference"
    ) -> None:
        """Hodges-Lehmann median difference and Mann-Whitney p: first group against second."""
        shift, *limits = hodges_lehmann(values_1, values_0)
        method = "median difference: Hodges-Lehmann with 95 % CI"
        self.add(row, group, "median_difference", shift, limits, method=method, reason=NO_VALUE, caveat=caveat)
        self.rank_test(row, values_1, values_0, caveat=caveat, group=group)

    def rank_test(
        self, row: str, values_1: pd.Series, values_0: pd.Series, *, caveat: str, group: str = "difference"
    ) -> None:
        """Mann-Whitney p: first group against second."""
        corrected = self.conventions.rank_correction
        p = mann_whitney(values_1, values_0, continuity_correction=corrected)
        method = f"p: Mann-Whitney, tie-corrected normal approximation{', continuity correction' if corrected else ''}"
        reason = "no value known in a group, or all values equal"
        self.p_value(row, p, method=method, reason=reason, caveat=caveat, group=group)

    def smd(self, row: str, difference: float) -> None:
        """The standardised mean difference of a baseline row."""
        method = "absolute standardised mean difference, pooled over the groups"
        self.add(row, "difference", "smd", difference, method=method, reason="too few known, or no variation")

    def smd_of_values(self, row: str, values_1: pd.Series, values_0: pd.Series) -> None:
        """SMD of measurements."""
        self.smd(row, smd_continuous(values_1, values_0))

    def smd_of_answers(self, row: str, answers_1: pd.Series | Tally, answers_0: pd.Series | Tally) -> None:
        """SMD of a yes/no item among the assessed."""
        counts = [[n_assessed - n, n] for n, n_assessed, _ in map(tally, (answers_1, answers_0))]
        self.smd(row, smd_categorical(*counts))
