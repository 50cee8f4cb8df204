"""Plain reference implementations of what others do, on the same patients: gsm's rules and Kirkwood's tests.

``gsm`` (OpenRBQM, R): key risk indicators by the normal approximation with overdispersion; flags at 2 and 3. Kirkwood,
Cox and Hackshaw 2013 (Clin Trials 10:783): outliers, digit preference, inliers, variance, correlation, dates; each at
p < 0.01, and a centre with three or more is looked into (van den Bor 2017).

What does not belong here: monitoring itself.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from capla_etl.quality.monitoring.watched import SHARE, watched

#: Flags of ``gsm`` by default: yellow and red.
YELLOW, RED = 2, 3
_P = 0.01
_FEWEST = 10
#: Quantities that Kirkwood's tests look at: the columns as sent.
_COLUMNS = (
    "age",
    "hemoglobin",
    "creatinine",
    "troponin",
    "adamts13_presentation",
    "anti_adamts13",
    "volume",
    "platelets_day_0",
)
#: The names under which detections are counted.
NAMES = ("gsm yellow", "gsm red", "Kirkwood, one test", "Kirkwood, three tests")


def flags(own: pd.DataFrame, others: list[pd.DataFrame]) -> dict[str, frozenset[str]]:
    """What each peer flags in a centre: name of ``NAMES`` -> what is flagged.

    Args:
        own, others: as ``patient_quantities`` returns them.
    """
    scores = gsm(own, others)
    tests = kirkwood(own, others)
    return {
        "gsm yellow": frozenset(q for q, z in scores.items() if abs(z) > YELLOW),
        "gsm red": frozenset(q for q, z in scores.items() if abs(z) > RED),
        "Kirkwood, one test": frozenset(name for name, found in tests.items() if found),
        "Kirkwood, three tests": frozenset(name for name, found in tests.items() if found)
        if len({name for name, found in tests.items() if found}) >= 3
        else frozenset(),
    }


def gsm(own: pd.DataFrame, others: list[pd.DataFrame]) -> dict[str, float]:
    """Score of the centre in each quantity: its distance from all centres, over the spread that all centres show."""
    found = {}
    for quantity in watched().values():
        of = [quantity.compared(frame[quantity.name].dropna().to_numpy(float)) for frame in (own, *others)]
        of = [values[~np.isnan(values)] for values in of]
        if len(of[0]) == 0 or sum(len(values) > 0 for values in of) < 3:
            continue
        of = [values for values in of if len(values)]
        pooled = np.concatenate(of)
        mean, sizes = pooled.mean(), np.array([len(values) for values in of])
        variance = mean * (1 - mean) if quantity.scale == SHARE else pooled.var()
        if variance <= 0:
            continue
        z = (np.array([values.mean() for values in of]) - mean) / np.sqrt(variance / sizes)
        found[quantity.name] = float(z[0] / np.sqrt(np.mean(z**2)))
    return found


def kirkwood(own: pd.DataFrame, others: list[pd.DataFrame]) -> dict[str, bool]:
    """Whether each test finds the centre to differ from the others."""
    rest = pd.concat(others)
    quantities = [q for name, q in watched().items() if name in _COLUMNS]
    mine = pd.DataFrame({q.name: q.compared(own[q.name].to_numpy(float)) for q in quantities})
    theirs = pd.DataFrame({q.name: q.compared(rest[q.name].to_numpy(float)) for q in quantities})
    columns = [c for c in mine if mine[c].notna().sum() >= _FEWEST and mine[c].std() > 0]
    events = [q.name for q in watched().values() if q.source == "event" and q.scale == SHARE]
    return {
        "outliers": _outliers(mine[columns], theirs[columns]),
        "digits": _digits(own, others),
        "inliers": _inliers(mine[columns], theirs[columns]),
        "variance": any(
            stats.levene(mine[c].dropna(), theirs[c].dropna(), center="median").pvalue < _P / max(1, len(columns))
            for c in columns
        ),
        "correlation": _correlation(mine[columns], theirs[columns]),
        "weekdays": _weekdays(own["day0"], rest["day0"]),
        "adverse events": any(_share_differs(own[name], rest[name], _P / len(events)) for name in events),
    }


def _outliers(mine: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """More values beyond three standard deviations of the others than these have."""
    far = (mine - theirs.mean()).abs() > 3 * theirs.std()
    expected = ((theirs - theirs.mean()).abs() > 3 * theirs.std()).sum().sum() / max(1, theirs.notna().sum().sum())
    return stats.binom.sf(far.sum().sum() - 1, mine.notna().sum().sum(), max(expected, 1e-4)) < _P


def _digits(own: pd.DataFrame, others: list[pd.DataFrame]) -> bool:
    """Last digits other than those of the others, in any column (chi-squared)."""

    def counts(frame: pd.DataFrame, name: str) -> np.ndarray:
        values = frame[name].dropna().to_numpy(float)
        if len(values) < _FEWEST:
            return np.zeros(10)
        digits = np.round(values / grid(values)).astype(np.int64) % 10
        return np.bincount(digits, minlength=10).astype(float)

    names = [name for name in _COLUMNS if name in own]
    for name in names:
        table = np.array([counts(own, name), sum(counts(frame, name) for frame in others)])
        table = table[:, table.sum(axis=0) > 0]
        enough = table.shape[1] > 1 and table.sum(axis=1).min() >= 20
        if enough and stats.chi2_contingency(table).pvalue < _P / len(names):
            return True
    return False


def _inliers(mine: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Patients too near the middle, or too far off: the mean logarithm of the Mahalanobis distance."""
    known, rest = mine.dropna(), theirs.dropna()
    if len(known) < _FEWEST or len(rest) < 3 * max(1, rest.shape[1]) or not rest.shape[1]:
        return False
    inverse = np.linalg.pinv(np.cov(rest.to_numpy().T).reshape(rest.shape[1], -1))

    def distances(of: pd.DataFrame) -> np.ndarray:
        off = (of - rest.mean()).to_numpy()
        return np.log(np.maximum(np.einsum("ij,jk,ik->i", off, inverse, off), 1e-9))

    return stats.ttest_ind(distances(known), distances(rest), equal_var=False).pvalue < _P


def _correlation(mine: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """A correlation of two columns other than that of the others (Fisher's z)."""
    pairs = list(combinations(mine.columns, 2))
    for one, other in pairs:
        own, rest = mine[[one, other]].dropna(), theirs[[one, other]].dropna()
        if len(own) < _FEWEST or own[one].std() == 0 or own[other].std() == 0:
            continue
        r = [np.clip(of.corr().iloc[0, 1], -0.999, 0.999) for of in (own, rest)]
        z = (np.arctanh(r[0]) - np.arctanh(r[1])) / np.sqrt(1 / (len(own) - 3) + 1 / (len(rest) - 3))
        if 2 * stats.norm.sf(abs(z)) < _P / len(pairs):
            return True
    return False


def _weekdays(mine: pd.Series, theirs: pd.Series) -> bool:
    table = np.array([np.bincount(of.dropna().astype(int) % 7, minlength=7) for of in (mine, theirs)])
    table = table[:, table.sum(axis=0) > 0]
    return bool(table.shape[1] > 1 and table.sum(axis=1).min() >= _FEWEST and stats.chi2_contingency(table).pvalue < _P)


def _share_differs(mine: pd.Series, theirs: pd.Series, p: float) -> bool:
    own, rest = mine.dropna(), theirs.dropna()
    table = [[own.sum(), len(own) - own.sum()], [rest.sum(), len(rest) - rest.sum()]]
    return bool(len(own) >= _FEWEST and stats.fisher_exact(table).pvalue < p)


#: Steps in which columns are written, in the study's unit: decimals, U/L of a limit of 250, mg/dL of creatinine.
_STEPS = (10.0, 1.0, 0.884, 0.1, 0.01, 0.004, 0.001)


def grid(values: np.ndarray) -> float:
    """The largest step of which nearly all values are multiples."""
    for step in _STEPS:
        if np.mean(np.abs(values / step - np.round(values / step)) < 1e-4) > 0.97:
            return step
    return 1e-4
