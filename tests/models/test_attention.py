import numpy as np
import tensorflow as tf

from models.attention import causal_attention


def by_definition(queries, keys, values, heads):
    """Loops over examples, heads and positions."""
    batch, length, dim = queries.shape
    width = dim // heads
    out = np.zeros_like(queries)
    for b in range(batch):
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            for i in range(length):
                scores = [queries[b, i, part] @ keys[b, j, part] / np.sqrt(width) for j in range(i + 1)]
                weights = np.exp(scores) / np.exp(scores).sum()
                out[b, i, part] = sum(w * values[b, j, part] for j, w in enumerate(weights))
    return out


def test_attention_is_a_softmax_average_of_the_past_per_head():
    queries, keys, values = np.random.default_rng(0).normal(size=(3, 2, 5, 6))
    result = causal_attention(*(tf.constant(x, tf.float32) for x in (queries, keys, values)), heads=3)
    np.testing.assert_allclose(result, by_definition(queries, keys, values, heads=3), atol=1e-5)


def test_large_scores_do_not_overflow():
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 6)) * 1e4, tf.float32)
    assert np.isfinite(causal_attention(x, x, x, heads=2)).all()
