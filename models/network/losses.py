"""The losses, each a weighted sum: workers add their sums up and divide by the weight of the whole step."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from models.inputs import FIRST
from models.network.attention import MASKED
from models.network.negatives import Negatives

CHUNK_ROWS = 512  # rows whose logits exist at once: they stay in a processor's cache
LOGITS = 1 << 26  # that exist at once at most, 256 MB; no fewer on a GPU, where what costs is the start of each operation
FEWEST_ROWS = 16


def next_item_loss(
    states: tf.Tensor, item_vectors: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, chunk_rows: int | None = None
) -> tf.Tensor:
    """Weighted cross entropy of the next item under a softmax over all items, summed.

    The softmax runs over real items only: neither padding nor unknown can be recommended, so neither takes a share of the
    probability, and an unknown target has none. Loss and both gradients are computed chunk by chunk, so that the
    logits never exist whole.

    Args:
        states: (n, dim) float32, user vectors at valid positions.
        item_vectors: (items, dim) float32.
        targets: (n,) int32, item indices from FIRST on.
        weights: (n,) float32; constants, no gradient flows to them.
        chunk_rows: rows of `states` at a time; None: as many as `rows_at_once` says.
    Returns:
        () float32: the sum over n of weight * -log p(target).
    """
    rows = chunk_rows or rows_at_once(item_vectors.shape[0], on_gpu=bool(tf.config.list_logical_devices("GPU")))
    return _chunked(states, item_vectors, tf.cast(targets, tf.int32), tf.cast(weights, tf.float32), rows)


def rows_at_once(items: int, on_gpu: bool) -> int:
    """How many rows of logits over so many items are computed at a time."""
    rows = max(LOGITS // items, FEWEST_ROWS)
    return rows if on_gpu else min(rows, CHUNK_ROWS)


def _chunked(states: tf.Tensor, item_vectors: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, chunk_rows: int) -> tf.Tensor:
    @tf.custom_gradient
    def loss(states: tf.Tensor, item_vectors: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        log_partition, d_states, d_items = _log_partition(states, item_vectors, weights, chunk_rows)
        wanted = tf.gather(item_vectors, targets)  # (n, dim)
        total = tf.reduce_sum(weights * (log_partition - tf.reduce_sum(states * wanted, axis=-1)))
        d_states -= weights[:, None] * wanted
        d_items -= tf.math.unsorted_segment_sum(weights[:, None] * states, targets, tf.shape(item_vectors)[0])
        return total, lambda upstream: (upstream * d_states, upstream * d_items)

    return loss(states, item_vectors)


def _log_partition(
    states: tf.Tensor, item_vectors: tf.Tensor, weights: tf.Tensor, chunk_rows: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """log sum_i exp(state . item_i), (n,), and the gradients of its weighted sum to states (n, dim) and items (items, dim)."""
    rows, dim = tf.shape(states)[0], item_vectors.shape[-1]
    real = item_vectors[FIRST:]  # (items - FIRST, dim)
    with_ones = tf.concat([real, tf.ones_like(real[:, :1])], axis=-1)  # the last column sums the exponentials
    chunks = tf.maximum((rows + chunk_rows - 1) // chunk_rows, 1)  # no rows: one empty chunk, so that there is a part

    def chunk(number: tf.Tensor, d_real: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        part = slice(number * chunk_rows, (number + 1) * chunk_rows)
        state, weight = states[part], weights[part, None]  # (chunk, dim), (chunk, 1)
        logits = tf.matmul(state, real, transpose_b=True)  # (chunk, items - FIRST)
        peak = tf.reduce_max(logits, axis=-1, keepdims=True)  # (chunk, 1)
        exponentials = tf.exp(logits - peak)  # (chunk, items - FIRST)
        summed, partition = tf.split(tf.matmul(exponentials, with_ones), [dim, 1], axis=-1)  # (chunk, dim), (chunk, 1)
        scale = weight / partition
        d_real += tf.matmul(exponentials, state * scale, transpose_a=True)
        parts = parts.write(number, tf.concat([summed * scale, tf.math.log(partition) + peak], axis=-1))  # (chunk, dim + 1)
        return number + 1, d_real, parts

    parts = tf.TensorArray(tf.float32, size=chunks, element_shape=[None, dim + 1], infer_shape=False)
    start = (tf.constant(0), tf.zeros_like(real), parts)
    _, d_real, parts = tf.while_loop(lambda number, *_: number < chunks, chunk, start, parallel_iterations=1)
    d_states, log_partition = tf.split(tf.reshape(parts.concat(), [rows, dim + 1]), [dim, 1], axis=-1)
    return log_partition[:, 0], d_states, tf.pad(d_real, [[FIRST, 0], [0, 0]])


def sampled_item_loss(
    states: tf.Tensor, item_vectors: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, negatives: Negatives
) -> tf.Tensor:
    """As next_item_loss, with the sum over all items estimated from the target and drawn items.

    Each drawn item counts as many times as it is rarer among those drawn than in the catalogue (logQ correction), and one
    that is the target counts not at all, since the target itself is in the sum: so the estimate is right in the mean, and
    the loss tends to the whole one as more are drawn, however unevenly.

    Reference: Bengio and Senecal 2008, https://doi.org/10.1109/TNN.2007.912312; the target's own logit is left as it is,
        Khrylchenko et al. 2025, https://arxiv.org/abs/2507.09331
    """
    true, others = _logits(states, item_vectors, targets, negatives)
    others -= tf.gather(negatives.log_expected, negatives.items)
    log_partition = tf.reduce_logsumexp(tf.concat([true[:, None], others], axis=1), axis=1)
    return tf.reduce_sum(weights * (log_partition - true))


def _logits(
    states: tf.Tensor, item_vectors: tf.Tensor, targets: tf.Tensor, negatives: Negatives
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores of the targets (n,) and of the drawn items (n, negatives), MASKED where one is the target."""
    true = tf.reduce_sum(states * tf.gather(item_vectors, targets), axis=-1)  # (n,)
    vectors = tf.gather(item_vectors, negatives.items)  # (1 or n, negatives, dim)
    shared = negatives.items.shape[0] == 1
    others = tf.matmul(states, vectors[0], transpose_b=True) if shared else tf.einsum("nd,nkd->nk", states, vectors)
    return true, tf.where(negatives.items == targets[:, None], MASKED, others)  # (n,), (n, negatives)


def calibrated_item_loss(
    states: tf.Tensor,
    item_vectors: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    negatives: Negatives,
    power: float,
) -> tf.Tensor:
    """Weighted binary cross entropy of the target against drawn items, with sigmoid(score) ** power for the target, summed.

    A power below 1 makes up for the negatives that were not drawn, without which the model is too sure of what it likes.

    Args:
        power: in (0, 1]; 1: plain binary cross entropy.
    Reference: Petrov and Macdonald 2023, equation 10, https://arxiv.org/abs/2308.07192
    """
    true, others = _logits(states, item_vectors, targets, negatives)
    logs = power * tf.math.softplus(-true) + tf.reduce_sum(tf.math.softplus(others), axis=1)  # (n,)
    return tf.reduce_sum(weights * logs) / (1.0 + tf.cast(tf.shape(negatives.items)[1], tf.float32))


def like_loss(logits: tf.Tensor, liked: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted binary cross entropy, summed: () float32 from three of shape (n,), `liked` being 0 or 1."""
    return tf.reduce_sum(weights * tf.nn.sigmoid_cross_entropy_with_logits(liked, logits))


def value_loss(predicted: tf.Tensor, actual: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted squared error, summed: () float32 from three of shape (n,)."""
    return tf.reduce_sum(weights * tf.square(predicted - actual))
