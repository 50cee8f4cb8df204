"""One centre against others: trimmed means, random effects, chance. Expected values are computed by hand or by R."""

import numpy as np
import pytest

from capla_etl.stats.between_centres import PRIOR_WEIGHT, Expected, Mean, expected, share_tail, tail, trimmed_mean


def test_a_trimmed_mean_sets_a_tenth_aside_at_each_end():
    # R: x <- c(1:9, 1000); mean(x, trim = 0.1) is 5.5; winsorized values 2 2 3 4 5 6 7 8 9 9 have squares of 66.5,
    # and Yuen's variance is 66.5 / (8 * 7)
    found = trimmed_mean(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 1000.0]))
    assert found.mean == pytest.approx(5.5)
    assert found.variance == pytest.approx(66.5 / 56)
    assert (found.df, found.n) == (7, 10)


def test_equal_values_have_the_least_variance_that_is_given():
    assert trimmed_mean(np.full(10, 3.0)).variance == 0
    assert trimmed_mean(np.full(10, 3.0), least_variance=0.5).variance == pytest.approx(0.5 * 9 / 56)


def test_variation_between_centres_is_that_of_dersimonian_and_laird_and_of_the_prior():
    # means 0 and 1, variances 0.1: Q = 5, C = 20 - 200 / 20 = 10, tau^2 = (5 - 1) / 10 = 0.4
    found = expected(np.array([0.0, 1.0]), np.array([0.1, 0.1]), prior_sd=0.2)
    assert found.mean == pytest.approx(0.5)
    assert found.between == pytest.approx((PRIOR_WEIGHT * 0.04 + 1 * 0.4) / (PRIOR_WEIGHT + 1))
    assert found.variance == pytest.approx((0.1 + found.between) / 2)


def test_centres_alike_leave_the_prior_alone():
    found = expected(np.zeros(9), np.full(9, 0.01), prior_sd=0.1)
    assert found.between == pytest.approx(PRIOR_WEIGHT * 0.01 / (PRIOR_WEIGHT + 8))


def test_one_other_centre_says_nothing_of_the_variation_between_centres():
    assert expected(np.array([2.0]), np.array([0.01]), prior_sd=0.3).between == pytest.approx(0.09)


def test_chance_is_that_of_t():
    # printed tables of t with 50 degrees of freedom: 2.678 is exceeded by 0.5 % at each end, 3.496 by 0.05 %
    own, others = Mean(0, 1.0, 50, 51), Expected(0, 0.0, 0.0, 10, 9)
    assert tail(2.678, own, others) == pytest.approx(0.01, rel=1e-3)
    assert tail(3.496, own, others) == pytest.approx(0.001, rel=1e-3)
    assert tail(-3.0, own, others) == tail(3.0, own, others)
    assert tail(3.0, own, others, beyond=3.0) == 1.0


def test_variation_between_centres_makes_a_difference_less_surprising():
    own = Mean(0, 0.01, 50, 51)
    alike, different = Expected(0, 0.001, 0.0, 10, 9), Expected(0, 0.001, 0.09, 10, 9)
    assert tail(0.5, own, different) > 1000 * tail(0.5, own, alike)


def test_a_share_is_judged_by_the_binomial_where_centres_do_not_differ():
    # R: 2 * pbinom(0, 100, 0.1) = 5.312e-05
    assert share_tail(0, 100, 0.10, 0.0, 0.0) == pytest.approx(5.312e-05, rel=1e-3)


def test_a_share_within_what_may_differ_is_never_surprising():
    assert share_tail(65, 100, 0.60, 0.0, 0.05) == 1.0
    assert share_tail(90, 100, 0.60, 0.0, 0.05) < 1e-6


def test_centres_that_differ_make_a_share_less_surprising():
    assert share_tail(80, 100, 0.60, 0.10, 0.0) > 100 * share_tail(80, 100, 0.60, 0.0, 0.0)
