"""Defaults of statistics on which packages differ, so that a statistician can match the output of SAS or R.

What is estimated, and thresholds of the protocol, do not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conventions:
    """One set of defaults.

    Attributes:
        name: as the parameter ``statistics_conventions`` gives it.
        quantile_type: definition of a quantile (Hyndman and Fan 1996): 7 is R's default, 2 that of SAS (PCTLDEF=5).
        survival_interval: transformation of the Kaplan-Meier interval: "log-log" or "log".
        proportions: test of two proportions: "fisher", "chi-squared", or "yates" (chi-squared with continuity
            correction).
        rank_correction: continuity correction of the Mann-Whitney test.
        incidence_variance: of a cumulative incidence: "infinitesimal_jackknife" (R survival) or "aalen" (SAS, R
            cmprsk).
        ties: handling of tied event times in Cox regression: "efron" or "breslow".
    """

    name: str
    quantile_type: int
    survival_interval: str
    proportions: str
    rank_correction: bool
    incidence_variance: str
    ties: str

    @property
    def quantiles(self) -> str:
        """The definition of quantiles, as a method text names it."""
        return {7: "R type 7", 2: "type 2, as SAS PCTLDEF=5"}[self.quantile_type]

    @property
    def survival(self) -> str:
        """The Kaplan-Meier interval, as a method text names it."""
        return {"log-log": "log(-log)", "log": "log"}[self.survival_interval]


PROTOCOL = Conventions(
    "protocol",
    quantile_type=7,
    survival_interval="log-log",
    proportions="fisher",
    rank_correction=False,
    incidence_variance="infinitesimal_jackknife",
    ties="efron",
)
# R 4: quantile(), survfit(), chisq.test(), wilcox.test(), coxph().
R = Conventions(
    "r",
    quantile_type=7,
    survival_interval="log",
    proportions="yates",
    rank_correction=True,
    incidence_variance="infinitesimal_jackknife",
    ties="efron",
)
# SAS 9.4: PROC MEANS, LIFETEST, FREQ, NPAR1WAY, PHREG.
SAS = Conventions(
    "sas",
    quantile_type=2,
    survival_interval="log-log",
    proportions="chi-squared",
    rank_correction=True,
    incidence_variance="aalen",
    ties="breslow",
)

CONVENTIONS = {conventions.name: conventions for conventions in (PROTOCOL, R, SAS)}


def conventions(name: str) -> Conventions:
    """Return the conventions of this name.

    Raises:
        ValueError: an unknown name.
    """
    if name not in CONVENTIONS:
        raise ValueError(f"statistics_conventions: found {name!r}; expected one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
