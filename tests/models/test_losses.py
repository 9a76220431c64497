import numpy as np
import pytest
import tensorflow as tf

from models.config import LossConfig
from models.inputs import FIRST
from models.losses import next_item_loss, sampled_item_loss, value_loss
from models.negatives import Negatives, Sampler

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


def test_the_sampled_loss_is_that_of_tensorflow_for_the_same_negatives():
    states, items, targets, weights = (tf.constant(x) for x in (x.astype("f") for x in case(200)))
    targets = tf.cast(targets, tf.int32)
    expected = np.random.default_rng(1).uniform(0.1, 3.0, ITEMS).astype("f")
    # Some are targets; none comes twice, of which TensorFlow would find one only.
    drawn = tf.constant(np.random.default_rng(2).permutation(np.arange(FIRST, ITEMS))[:30], tf.int32)
    plain = tf.nn.sampled_softmax_loss(
        items, tf.zeros(ITEMS), tf.cast(targets, tf.int64)[:, None], states, 30, ITEMS,
        sampled_values=(tf.cast(drawn, tf.int64), tf.ones([200, 1]), tf.gather(expected, drawn)),
    )  # fmt: skip
    found = sampled_item_loss(states, items, targets, weights, Negatives(drawn, tf.math.log(expected)))
    np.testing.assert_allclose(found, tf.reduce_sum(weights * plain), rtol=1e-5)


def test_the_sampled_loss_tends_to_the_whole_one_however_unevenly_items_are_drawn():
    states, items, targets, weights = (tf.constant(x) for x in (x.astype("f") for x in case(100)))
    targets = tf.cast(targets, tf.int32)
    sampler = Sampler(np.arange(ITEMS) ** 2, LossConfig(negatives=200_000, popularity_power=0.5))
    found = sampled_item_loss(states, items, targets, weights, sampler.draw(tf.constant([1, 2])))
    assert float(found) == pytest.approx(float(next_item_loss(states, items, targets, weights)), rel=0.02)


def test_items_are_drawn_by_their_events_to_the_declared_power_and_never_without_any():
    events = np.array([9, 9, 0, 1, 16])  # padding and unknown have counts, and are no items
    sampler = Sampler(events, LossConfig(negatives=50_000, popularity_power=0.5))
    drawn = np.bincount(sampler.draw(tf.constant([0, 1])).items.numpy(), minlength=5) / 50_000
    assert drawn[:3].tolist() == [0, 0, 0]
    assert drawn[3:] == pytest.approx([0.2, 0.8], abs=0.01)
    assert np.exp(sampler.draw(tf.constant([0, 1])).log_expected.numpy())[3:] == pytest.approx([10_000, 40_000])
    again = sampler.draw(tf.constant([0, 1])).items.numpy()
    assert np.array_equal(again, sampler.draw(tf.constant([0, 1])).items.numpy())
    assert not np.array_equal(again, sampler.draw(tf.constant([0, 2])).items.numpy())
