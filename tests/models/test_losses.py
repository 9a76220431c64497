import numpy as np
import pytest
import tensorflow as tf

from models.inputs import FIRST
from models.losses import next_item_loss, value_loss

ITEMS, DIM = 50, 8


def case(n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    targets, weights = rng.integers(FIRST, ITEMS, n), rng.choice([0.0, 1.0, 2.5], n)
    return rng.normal(size=(n, DIM)), rng.normal(size=(ITEMS, DIM)), targets, weights


def by_definition(states, items, targets, weights):
    """-log softmax over real items, with its gradients, in float64."""
    logits = states @ items[FIRST:].T  # (n, items - FIRST)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = sum(w * -np.log(p[i, t - FIRST]) for i, (t, w) in enumerate(zip(targets, weights, strict=True)))
    d_logits = weights[:, None] * (p - (np.arange(FIRST, ITEMS) == targets[:, None]))
    d_items = np.zeros_like(items)
    d_items[FIRST:] = d_logits.T @ states
    return loss, d_logits @ items[FIRST:], d_items


@tf.function(
    autograph=False,
    input_signature=[
        tf.TensorSpec([None, DIM]), tf.TensorSpec([ITEMS, DIM]), tf.TensorSpec([None], tf.int32), tf.TensorSpec([None]),
    ],
)  # fmt: skip
def chunked(states, items, targets, weights):
    with tf.GradientTape() as tape:
        tape.watch([states, items])
        loss = next_item_loss(states, items, targets, weights, chunk_rows=16)
        tripled = 3.0 * loss
    return loss, *tape.gradient(tripled, [states, items])


def run(states, items, targets, weights):
    return chunked(states.astype("f"), items.astype("f"), targets.astype("i"), weights.astype("f"))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100])
def test_next_item_loss_and_its_gradients_are_those_of_the_definition(n):
    expected, result = by_definition(*case(n)), run(*case(n))
    np.testing.assert_allclose(result[0], expected[0], rtol=1e-6)
    for gradient, by_hand in zip(result[1:], expected[1:], strict=True):
        np.testing.assert_allclose(gradient, 3 * by_hand, atol=3e-6 * max(1.0, np.abs(by_hand).max()))


def test_next_item_loss_is_the_plain_formula_of_tensorflow():
    states, items, targets, weights = (tf.constant(x) for x in (x.astype("f") for x in case(1000)))
    targets = tf.cast(targets, tf.int32)
    logits = tf.matmul(states, items[FIRST:], transpose_b=True)
    plain = tf.reduce_sum(weights * tf.nn.sparse_softmax_cross_entropy_with_logits(targets - FIRST, logits))
    np.testing.assert_allclose(next_item_loss(states, items, targets, weights), plain, rtol=1e-6)


def test_without_rows_the_loss_and_its_gradients_are_zero():
    loss, d_states, d_items = run(*case(0))
    assert loss == 0
    assert d_states.shape == (0, DIM)
    np.testing.assert_array_equal(d_items, np.zeros((ITEMS, DIM)))


def test_padding_and_unknown_take_no_share_of_the_probability():
    states, items, targets, weights = case(20)
    other = items.copy()
    other[:FIRST] = 100 * other[:FIRST] + 50
    first, second = run(states, items, targets, weights), run(states, other, targets, weights)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(second[2][:FIRST], 0)


def test_large_logits_do_not_overflow():
    states, items, targets, weights = case(20)
    for result in run(100 * states, items, targets, weights):
        assert np.isfinite(result).all()


def test_value_loss_is_the_weighted_squared_error():
    predicted, actual, weights = tf.constant([1.0, 2.0, -1.0]), tf.constant([0.0, 2.5, 5.0]), tf.constant([1.0, 4.0, 0.0])
    assert value_loss(predicted, actual, weights) == 1 * 1.0**2 + 4 * 0.5**2
