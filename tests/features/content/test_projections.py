import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.content.projections import principal


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 8))
def test_directions_are_those_of_the_singular_value_decomposition_each_with_variance_1(seed, rows, entries):
    vectors = np.random.default_rng(seed).normal(size=(rows, entries))
    basis = principal(vectors.T @ vectors / rows, entries)
    _, values, directions = np.linalg.svd(vectors, full_matrices=False)
    products = vectors @ basis.astype(np.float64)
    for j, (value, direction) in enumerate(zip(values, directions, strict=False)):
        if value**2 > 1e-3 * values[0] ** 2:
            np.testing.assert_allclose(np.abs(products[:, j]), np.abs(vectors @ direction) * rows**0.5 / value, atol=1e-3)
            np.testing.assert_allclose(np.mean(products[:, j] ** 2), 1, atol=1e-4)


@given(st.integers(0, 10_000))
def test_a_direction_does_not_depend_on_the_sign_that_it_was_found_with(seed):
    vectors = np.random.default_rng(seed).normal(size=(20, 5))
    basis = principal(vectors.T @ vectors, 5)
    assert all(column[np.argmax(np.abs(column))] > 0 for column in basis.T)


def test_directions_of_equal_variance_do_not_turn_with_the_last_digits_of_the_moments():
    rng = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    moments = orthogonal @ np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 0.0]) @ orthogonal.T
    noise = rng.normal(size=(6, 6)) * 1e-15
    np.testing.assert_array_equal(principal(moments, 5), principal(moments + noise + noise.T, 5))


def test_beyond_the_rank_there_are_zeros_and_not_the_directions_of_rounding_errors():
    vectors = np.outer([1.0, -2.0, 3.0, 0.5], [0.3, 0.4, 0.5])
    basis = principal(vectors.T @ vectors, 3)
    assert np.any(basis[:, 0])
    np.testing.assert_array_equal(basis[:, 1:], 0)
    np.testing.assert_array_equal(principal(np.zeros((3, 3)), 2), 0)


def test_more_numbers_than_entries_are_zeros():
    assert principal(np.eye(2), 5).shape == (2, 5)
    np.testing.assert_array_equal(principal(np.eye(2), 5)[:, 2:], 0)
