"""One centre against others that differ a little from each other: random effects, and limits for one more centre.

What does not belong here: what is compared, and how large a difference matters.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Share of the values set aside at each end of a trimmed mean.
TRIMMED = 0.1
#: The declared variation between centres counts as much as this many centres.
PRIOR_WEIGHT = 2
#: Degrees of freedom of the declared variation: it is not an estimate of a few centres.
_PRIOR_DF = 30


@dataclass(frozen=True)
class Mean:
    """A mean with its variance, degrees of freedom of that variance, and number of values."""

    mean: float
    variance: float
    df: float
    n: int


@dataclass(frozen=True)
class Expected:
    """What the other centres let expect of one more: mean, its variance, variance between centres, its df, centres."""

    mean: float
    variance: float
    between: float
    df: float
    centres: int


def trimmed_mean(values: np.ndarray, least_variance: float = 0.0) -> Mean:
    """Trimmed mean with the variance of the winsorized values.

    Args:
        values: one value per patient, without NaN, at least two.
        least_variance: variance of one value below which a sample's own is not believed (all values equal).

    Source:
        Yuen 1974, Biometrika 61:165.
    """
    ordered = np.sort(values)
    n, cut = len(ordered), int(TRIMMED * len(values))
    kept = ordered[cut : n - cut]
    winsorized = np.clip(ordered, ordered[cut], ordered[n - cut - 1])
    squares = max(float(np.sum((winsorized - winsorized.mean()) ** 2)), least_variance * (n - 1))
    h = len(kept)
    return Mean(float(kept.mean()), squares / (h * (h - 1)) if h > 1 else np.inf, max(h - 1, 1), n)


def share_variance(share: float, n: int) -> float:
    """Variance of a share of ``n``; of none and all that of a quarter of a patient, as it is not known exactly."""
    return max(share * (1 - share), 0.25 / n) / n


def expected(means: np.ndarray, variances: np.ndarray, prior_sd: float) -> Expected:
    """Combine the other centres by random effects (DerSimonian and Laird), with a declared variation as prior.

    Args:
        means, variances: one per centre, at least one.
        prior_sd: variation between centres that is expected before any is seen.

    Source:
        DerSimonian and Laird 1986, Control Clin Trials 7:177; prediction: Higgins 2009, J R Stat Soc A 172:137.
    """
    k = len(means)
    weights = 1 / np.maximum(variances, 1e-12)
    fixed = np.sum(weights * means) / np.sum(weights)
    q = float(np.sum(weights * (means - fixed) ** 2))
    spread = np.sum(weights) - np.sum(weights**2) / np.sum(weights)
    found = max(0.0, (q - (k - 1)) / spread) if k > 1 and spread > 0 else 0.0
    between = (PRIOR_WEIGHT * prior_sd**2 + (k - 1) * found) / (PRIOR_WEIGHT + k - 1)
    declared = PRIOR_WEIGHT * prior_sd**2 / max((PRIOR_WEIGHT + k - 1) * between, 1e-12)
    df = PRIOR_WEIGHT + k - 1 + _PRIOR_DF * declared
    weights = 1 / (np.maximum(variances, 1e-12) + between)
    return Expected(float(np.sum(weights * means) / np.sum(weights)), float(1 / np.sum(weights)), between, df, k)


def tail(difference: float, own: Mean, others: Expected, beyond: float = 0.0, with_between: bool = True) -> float:
    """How likely chance gives so large a difference, two-sided, where the true one is at most ``beyond``.

    The degrees of freedom are those of Satterthwaite for the sum of the variances.
    """
    between = others.between if with_between else 0.0
    variance = own.variance + others.variance + between
    if not np.isfinite(variance) or variance <= 0:
        return 1.0
    df = variance**2 / (own.variance**2 / own.df + (others.variance + between) ** 2 / others.df)
    return float(min(1.0, 2 * stats.t.sf((abs(difference) - beyond) / np.sqrt(variance), df)))


def share_tail(successes: int, n: int, share: float, sd: float, beyond: float) -> float:
    """How likely a count is that is so far from a share, one side doubled, where the true share may lie ``beyond``.

    Args:
        successes, n: patients with it, patients.
        share: what the others let expect (0 to 1).
        sd: standard deviation of the share between centres and of its estimate.
        beyond: how far the true share may lie from it (0 to 1).

    Source:
        Beta-binomial: Skellam 1948, J R Stat Soc B 10:257.
    """
    above = successes / n > share
    mean = float(np.clip(share + beyond if above else share - beyond, 0.5 / (n + 1), 1 - 0.5 / (n + 1)))
    if (successes / n > mean) != above and successes / n != mean:
        return 1.0
    variance = min(sd**2, 0.2 * mean * (1 - mean))
    if variance < 1e-9:
        law, shape = stats.binom, (n, mean)
    else:
        precision = mean * (1 - mean) / variance - 1
        law, shape = stats.betabinom, (n, mean * precision, (1 - mean) * precision)
    one_side = law.sf(successes - 1, *shape) if above else law.cdf(successes, *shape)
    return float(min(1.0, 2 * one_side))
