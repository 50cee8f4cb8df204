"""Table 1: values of R tableone on the PBC trial (oracles), and the conventions that differ between packages."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capla_etl.stats import contingency, distributions

ORACLES = Path(__file__).parent / "oracles"
ORACLE = {
    quantity["name"]: quantity["value"]
    for quantity in json.loads((ORACLES / "O07_table1_pbc.json").read_text())["quantities"]
}
PBC = pd.read_csv(ORACLES / "data" / "pbc.csv", dtype={"sex": str}).dropna(subset=["trt"])
MEASURED = sorted({name.split("|")[0] for name in ORACLE if "|median" in name})
COUNTED = sorted({name.split("|")[0] for name in ORACLE if "|fisher" in name})

# airquality, Ozone of May and of August
MAY = [
    41,
    36,
    12,
    18,
    None,
    28,
    23,
    19,
    8,
    None,
    7,
    16,
    11,
    14,
    18,
    14,
    34,
    6,
    30,
    11,
    1,
    11,
    4,
    32,
    None,
    None,
    None,
    23,
    45,
    115,
    37,
]
AUGUST = [
    39,
    9,
    16,
    78,
    35,
    66,
    122,
    89,
    110,
    None,
    None,
    44,
    28,
    65,
    None,
    22,
    59,
    23,
    31,
    44,
    21,
    9,
    None,
    45,
    168,
    73,
    None,
    76,
    118,
    84,
    85,
]


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_are_compared_as_in_r(name):
    groups = [PBC.loc[PBC["trt"] == trt, name] for trt in (1, 2)]
    for trt, values in zip((1, 2), groups, strict=True):
        assert values.notna().sum() == ORACLE[f"{name}|trt={trt}|n_nonmissing"]
        expected = [ORACLE[f"{name}|trt={trt}|{statistic}"] for statistic in ("median", "q1", "q3")]
        assert distributions.median_iqr(values) == pytest.approx(expected, rel=1e-9)
    assert distributions.mann_whitney(*groups) == pytest.approx(ORACLE[f"{name}|p|kruskal"], rel=1e-9)
    assert distributions.smd_continuous(*groups) == pytest.approx(ORACLE[f"{name}|smd"], rel=1e-9)


@pytest.mark.parametrize("name", COUNTED)
def test_levels_are_compared_as_in_r(name):
    counts = pd.crosstab(PBC["trt"], PBC[name])
    for trt, level in itertools.product((1, 2), counts.columns):
        shown = f"{level:g}" if isinstance(level, float) else level
        assert counts.loc[trt, level] == ORACLE[f"{name}|{shown}|trt={trt}|n"]
        assert 100 * counts.loc[trt, level] / counts.loc[trt].sum() == pytest.approx(
            ORACLE[f"{name}|{shown}|trt={trt}|pct"], rel=1e-9
        )
    table = counts.to_numpy().tolist()
    assert contingency.chi_squared(table, continuity_correction=True) == pytest.approx(
        ORACLE[f"{name}|p|chisq(Yates if 2x2)"], rel=1e-9
    )
    assert distributions.smd_categorical(*table) == pytest.approx(ORACLE[f"{name}|smd"], rel=1e-9)
    if len(counts.columns) == 2:
        first, second = counts.iloc[:, 1]
        assert contingency.fisher(first, sum(table[0]), second, sum(table[1])) == pytest.approx(
            ORACLE[f"{name}|p|fisher"], rel=1e-9
        )


def test_quartiles_by_the_convention_of_each_package():
    # quantile(c(2, 3, 5, 8, 13, 21, 34, 55), c(.5, .25, .75), type = 7 (R), 2 (SAS)), R 4.2.2; then with 60 added
    values = [2, 3, 5, 8, 13, 21, 34, 55, None]
    assert distributions.median_iqr(values) == distributions.median_iqr(values, quantile_type=7) == (10.5, 4.5, 24.25)
    assert distributions.median_iqr(values, quantile_type=2) == (10.5, 4, 27.5)
    for quantile_type in (2, 7):
        assert distributions.median_iqr([*values, 60], quantile_type=quantile_type) == (13, 5, 34)
    with pytest.raises(ValueError, match="must be 2 or 7, found 6"):
        distributions.median_iqr(values, quantile_type=6)


def test_continuity_correction_is_a_switch():
    # wilcox.test(Ozone ~ Month, data = airquality, subset = Month %in% c(5, 8), exact = FALSE); with correct = FALSE
    assert distributions.mann_whitney(MAY, AUGUST, continuity_correction=True) == pytest.approx(
        0.000120807830768774, rel=1e-9
    )
    assert distributions.mann_whitney(MAY, AUGUST) == pytest.approx(0.000116377260044, rel=1e-9)
    assert np.isnan(distributions.mann_whitney([], [1, 2])) and np.isnan(distributions.mann_whitney([3, 3], [3, 3]))
    with pytest.raises(ValueError, match="finite"):
        distributions.mann_whitney([1, 2], [np.inf, 3])


def test_shift_is_the_median_of_all_differences():
    differences = np.subtract.outer([value for value in MAY if value], [value for value in AUGUST if value])
    shift, lower, upper = distributions.hodges_lehmann(MAY, AUGUST)
    assert shift == np.median(differences)
    # wilcox.test(..., exact = FALSE, correct = FALSE, conf.int = TRUE): -31.99996 (-52.99996, -14.99997), solved to
    # 1e-4
    assert (shift, lower, upper) == pytest.approx((-31.99996, -52.99996, -14.99997), abs=1e-4)


def test_counting_pairs_finds_what_listing_them_finds(monkeypatch):
    generator = np.random.default_rng(5)
    samples = [
        (generator.normal(size=31), generator.normal(size=40)),
        (np.round(generator.normal(size=200), 1), np.round(generator.normal(size=90), 2)),
    ]
    listed = [distributions.hodges_lehmann(*sample) for sample in samples]
    monkeypatch.setattr(distributions, "LISTED_DIFFERENCES", 0)
    assert [distributions.hodges_lehmann(*sample) for sample in samples] == listed
    assert distributions.hodges_lehmann([4], [4]) == (0, 0, 0)


def test_shift_of_seventy_thousand_against_seventy_thousand():
    """4.9e9 pairs: the median difference of x and x + 1 is -1 by symmetry."""
    values = np.random.default_rng(5).normal(size=70_000)
    shift, lower, upper = distributions.hodges_lehmann(values, values + 1)
    assert shift == pytest.approx(-1, abs=1e-12)
    assert lower == pytest.approx(-2 - upper, abs=1e-6)
    assert lower < -1 < upper


def test_weighted_differences():
    # svymean and svyvar of each group, survey 4.1: abs(m1 - m0) / sqrt((v1 + v0) / 2)
    values_1, weights_1 = [1.5, 2, 3.25, 7, 8, 9.5, 4, None], [0.5, 1.2, 2, 0.3, 0.9, 0, 1.7, 5]
    values_0, weights_0 = [2, 4, 6.5, 1, 12], [1, 0.4, 2, 0.8, 0.1]
    assert distributions.smd_continuous(values_1, values_0, weights_1=weights_1, weights_0=weights_0) == pytest.approx(
        0.164073685632366, rel=1e-9
    )
    # Equal weights change nothing; a weight of 2 in a count is two patients.
    assert distributions.smd_continuous(values_0, MAY, weights_1=[3] * 5) == pytest.approx(
        distributions.smd_continuous(values_0, MAY), rel=1e-12
    )
    assert np.isnan(distributions.smd_continuous([1, 2], [3, 4], weights_1=[1, 0]))
    with pytest.raises(ValueError, match="one weight per value"):
        distributions.smd_continuous([1, 2], [3, 4], weights_1=[1])
    with pytest.raises(ValueError, match="0 or more"):
        distributions.smd_continuous([1, 2], [3, 4], weights_1=[1, -1])


def test_groups_without_a_level_in_common_have_no_difference():
    assert np.isnan(distributions.smd_categorical([5, 0], [0, 7]))
    assert np.isnan(distributions.smd_categorical([5, 0, 0], [0, 7, 3]))
