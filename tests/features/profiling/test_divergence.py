import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.profiling.divergence import (
    information_by_chance,
    kolmogorov_smirnov,
    mutual_information,
    population_stability,
    stability_by_chance,
)

counts = st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any)


def test_psi_is_its_sum_over_the_bins():
    expected = (0.5 - 0.25) * math.log(0.5 / 0.25) + (0.5 - 0.75) * math.log(0.5 / 0.75)
    assert population_stability([1, 3], [2, 2]) == pytest.approx(expected)


@given(counts)
def test_a_distribution_is_not_apart_from_a_multiple_of_itself(some):
    assert population_stability(some, [3 * n for n in some]) == pytest.approx(0)
    assert kolmogorov_smirnov(some, [3 * n for n in some]) == pytest.approx(0)


@given(st.data())
def test_psi_and_ks_are_symmetric_and_ks_at_most_one(data):
    one = data.draw(counts)
    other = data.draw(st.lists(st.integers(0, 50), min_size=len(one), max_size=len(one)).filter(any))
    assert population_stability(one, other) == pytest.approx(population_stability(other, one))
    assert kolmogorov_smirnov(one, other) == pytest.approx(kolmogorov_smirnov(other, one))
    assert 0 <= kolmogorov_smirnov(one, other) <= 1 + 1e-12


def test_ks_is_the_largest_distance_of_cumulative_shares():
    assert kolmogorov_smirnov([1, 1, 2], [2, 2, 0]) == pytest.approx(0.5)


def test_what_has_nothing_in_common_has_finite_psi_and_ks_of_one():
    assert population_stability([5, 0], [0, 5]) == pytest.approx(2 * (1 - 1e-4) * math.log(1 / 1e-4))
    assert kolmogorov_smirnov([5, 0], [0, 5]) == 1


def test_a_copy_tells_everything_and_independence_nothing():
    assert mutual_information(np.diag([1, 1, 2])) == pytest.approx(1.5 * math.log(2))  # the entropy
    assert mutual_information(np.outer([1, 2, 3], [4, 5])) == pytest.approx(0)
    assert mutual_information(np.zeros((2, 2))) == 0


def test_psi_of_samples_of_one_distribution_is_what_chance_gives_and_a_shift_is_more():
    rng, tenths = np.random.default_rng(1), np.full(10, 0.1)
    pairs = [(rng.multinomial(2_000, tenths), rng.multinomial(200, tenths)) for _ in range(500)]
    beyond = [population_stability(*pair) - stability_by_chance(*pair) for pair in pairs]
    assert np.mean([population_stability(*pair) for pair in pairs]) > 0.04  # as if something had moved
    assert abs(np.mean(beyond)) < 0.005
    assert max(beyond) < 0.25
    shifted = rng.multinomial(200, np.linspace(0.02, 0.18, 10))
    assert population_stability(pairs[0][0], shifted) - stability_by_chance(pairs[0][0], shifted) > 0.25


def test_information_of_columns_that_tell_nothing_of_each_other_is_what_chance_gives():
    rng, cells = np.random.default_rng(2), np.full(100, 0.01)
    tables = [np.pad(rng.multinomial(1_000, cells).reshape(10, 10), 1) for _ in range(300)]  # empty bins are none
    found = [mutual_information(table) for table in tables]
    assert np.mean(found) > 0.035
    assert np.mean(found) == pytest.approx(np.mean([information_by_chance(table) for table in tables]), rel=0.05)
    assert information_by_chance(np.zeros((2, 2))) == 0
