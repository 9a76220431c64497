import numpy as np
import tensorflow as tf

from models.network.attention import causal_attention


def by_definition(queries, keys, values, heads, bias=None):
    """Loops over examples, heads and positions."""
    batch, length, dim = queries.shape
    width = dim // heads
    out = np.zeros_like(queries)
    for b in range(batch):
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            for i in range(length):
                added = np.zeros(length) if bias is None else bias[b, h, i]
                scores = [queries[b, i, part] @ keys[b, j, part] / np.sqrt(width) + added[j] for j in range(i + 1)]
                weights = np.exp(scores) / np.exp(scores).sum()
                out[b, i, part] = sum(w * values[b, j, part] for j, w in enumerate(weights))
    return out


def test_attention_is_a_softmax_average_of_the_past_per_head():
    queries, keys, values = np.random.default_rng(0).normal(size=(3, 2, 5, 6))
    result, weights = causal_attention(*(tf.constant(x, tf.float32) for x in (queries, keys, values)), heads=3)
    np.testing.assert_allclose(result, by_definition(queries, keys, values, heads=3), atol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), np.ones((2, 3, 5)), atol=1e-6)
    assert (weights.numpy()[:, :, *np.triu_indices(5, 1)] == 0).all()


def test_a_bias_is_added_to_the_scores():
    rng = np.random.default_rng(0)
    queries, keys, values = rng.normal(size=(3, 2, 5, 6))
    bias = rng.normal(size=(2, 3, 5, 5))
    given = (tf.constant(x, tf.float32) for x in (queries, keys, values))
    result, _ = causal_attention(*given, heads=3, bias=tf.constant(bias, tf.float32))
    np.testing.assert_allclose(result, by_definition(queries, keys, values, heads=3, bias=bias), atol=1e-5)


def test_large_scores_do_not_overflow():
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 6)) * 1e4, tf.float32)
    assert np.isfinite(causal_attention(x, x, x, heads=2)[0]).all()
