import numpy as np
import pytest
import tensorflow as tf

from models.config import LossConfig
from models.inputs import FIRST
from models.network.losses import calibrated_item_loss, next_item_loss, rows_at_once, sampled_item_loss, value_loss
from models.network.negatives import Negatives, Sampler
from models.network.objective import Objective

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


@pytest.mark.parametrize(
    ("items", "on_gpu", "on_cpu"), [(3_416, 19_645, 512), (131_072, 512, 512), (1_280_000, 52, 52), (2**31, 16, 16)]
)
def test_as_many_rows_are_computed_at_once_as_256_mb_of_logits_hold_or_a_processors_cache(items, on_gpu, on_cpu):
    assert rows_at_once(items, on_gpu=True) == on_gpu
    assert rows_at_once(items, on_gpu=False) == on_cpu
    assert on_gpu == 16 or on_gpu * items * 4 <= 256 * 2**20 < (on_gpu + 1) * items * 4


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
    found = sampled_item_loss(states, items, targets, weights, Negatives(drawn[None], tf.math.log(expected)))
    np.testing.assert_allclose(found, tf.reduce_sum(weights * plain), rtol=1e-5)


def test_the_sampled_loss_tends_to_the_whole_one_however_unevenly_items_are_drawn():
    states, items, targets, weights = (tf.constant(x) for x in (x.astype("f") for x in case(100)))
    targets = tf.cast(targets, tf.int32)
    sampler = Sampler(np.arange(ITEMS) ** 2, LossConfig(softmax="sampled", negatives=200_000, popularity_power=0.5))
    found = sampled_item_loss(states, items, targets, weights, sampler.draw(tf.constant([1, 2]), 100))
    assert float(found) == pytest.approx(float(next_item_loss(states, items, targets, weights)), rel=0.02)


def test_items_are_drawn_by_their_events_to_the_declared_power_and_never_without_any():
    events = np.array([9, 9, 0, 1, 16])  # padding and unknown have counts, and are no items
    sampler = Sampler(events, LossConfig(softmax="sampled", negatives=50_000, popularity_power=0.5))
    drawn = np.bincount(sampler.draw(tf.constant([0, 1]), 1).items[0].numpy(), minlength=5) / 50_000
    assert drawn[:3].tolist() == [0, 0, 0]
    assert drawn[3:] == pytest.approx([0.2, 0.8], abs=0.01)
    assert np.exp(sampler.draw(tf.constant([0, 1]), 1).log_expected.numpy())[3:] == pytest.approx([10_000, 40_000])
    again = sampler.draw(tf.constant([0, 1]), 1).items[0].numpy()
    assert np.array_equal(again, sampler.draw(tf.constant([0, 1]), 1).items[0].numpy())
    assert not np.array_equal(again, sampler.draw(tf.constant([0, 2]), 1).items[0].numpy())


def calibrated_by_definition(states, items, targets, weights, drawn, power):
    """Loops over positions and drawn items."""
    total = 0.0
    for state, target, weight, others in zip(states, targets, weights, drawn, strict=True):
        logs = power * np.log(sigmoid(state @ items[target]))
        logs += sum(np.log(1 - sigmoid(state @ items[other])) for other in others if other != target)
        total -= weight * logs / (len(others) + 1)
    return total


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("shared", [True, False])
def test_the_calibrated_loss_is_its_definition(shared):
    states, items, targets, weights = case(30)
    drawn = np.random.default_rng(1).integers(FIRST, ITEMS, (1 if shared else 30, 8))
    drawn[0, 0] = targets[0]  # the target itself counts not at all
    expected = calibrated_by_definition(states, items, targets, weights, np.broadcast_to(drawn, (30, 8)), power=0.4)
    negatives = Negatives(tf.constant(drawn, tf.int32), tf.zeros(ITEMS))
    given = (tf.constant(x.astype("f")) for x in (states, items))
    found = calibrated_item_loss(*given, tf.constant(targets, tf.int32), tf.constant(weights, tf.float32), negatives, 0.4)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("softmax", "calibration", "power"), [("bce", 0.75, 1.0), ("gbce", 0.75, 0.4), ("gbce", 1.0, 0.2)])
def test_the_power_makes_up_for_the_items_that_are_not_drawn(softmax, calibration, power):
    config = LossConfig(softmax=softmax, negatives=1, calibration=calibration)
    events = np.array([0, 0, 1, 1, 1, 1, 1, 1, 0])  # six items of which five are others; the last is cold and never drawn
    states, items, targets, weights = (tf.constant(x) for x in (x.astype("f") for x in case(10)))
    targets = tf.cast(targets, tf.int32) % 6 + FIRST
    objective, seed = Objective(config, events), tf.constant([3, 4])
    drawn = Sampler(events, config).draw(seed, 10)
    # The paper: alpha = 1 / 5, and the power is alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    assert 0.2 * (calibration * (1 - 5) + 5) == pytest.approx(power if softmax == "gbce" else 0.4)
    expected = calibrated_item_loss(states, items, targets, weights, drawn, power)
    assert float(objective.next_item(states, items, targets, weights, seed)) == pytest.approx(float(expected), rel=1e-6)


def test_each_position_may_have_negatives_of_its_own():
    sampler = Sampler(np.ones(ITEMS), LossConfig(softmax="sampled", negatives=5, per_position=True))
    drawn = sampler.draw(tf.constant([0, 1]), 50).items.numpy()
    assert drawn.shape == (50, 5)
    assert len({tuple(row) for row in drawn.tolist()}) > 40
    states, items, targets, weights = (tf.constant(x) for x in (x.astype("f") for x in case(50)))
    targets, expected = tf.cast(targets, tf.int32), tf.zeros(ITEMS)
    whole = sampled_item_loss(states, items, targets, weights, Negatives(tf.constant(drawn), expected))
    one_by_one = [
        sampled_item_loss(
            states[i : i + 1], items, targets[i : i + 1], weights[i : i + 1], Negatives(tf.constant(drawn[i : i + 1]), expected)
        )
        for i in range(50)
    ]
    assert float(whole) == pytest.approx(float(tf.add_n(one_by_one)), rel=1e-5)


def test_likes_are_judged_by_binary_cross_entropy():
    objective = Objective(LossConfig(like_from=4), like_score=0.5)
    logits, scores, weights = np.array([0.3, -1.2, 2.0]), np.array([0.5, 0.4, 3.0]), np.array([1.0, 2.0, 0.5])
    expected = -(np.log(sigmoid(0.3)) + 2 * np.log(1 - sigmoid(-1.2)) + 0.5 * np.log(sigmoid(2.0)))
    found = objective.value(*(tf.constant(x, tf.float32) for x in (logits, scores, weights)))
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("softmax", "negatives"), [("full", 5), ("sampled", 0), ("gbce", 0)])
def test_negatives_are_declared_exactly_where_they_are_drawn(softmax, negatives):
    with pytest.raises(ValueError, match=f"Received softmax={softmax}, negatives={negatives}"):
        LossConfig(softmax=softmax, negatives=negatives)
