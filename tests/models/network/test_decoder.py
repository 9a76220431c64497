import numpy as np
import tensorflow as tf

from models.config import ModelConfig
from models.network.decoder import RequestEmbedding
from models.network.layers import sine_positions
from tests.models.examples import CONFIG, SIZES, batch, history, tensors

ITEMS = np.random.default_rng(0).normal(size=(3, 6, CONFIG.dim)).astype("f")


def test_a_request_is_the_last_item_with_what_is_known_when_it_is_made():
    layer, arrays = RequestEmbedding(CONFIG, SIZES, seed=5), batch()
    result = layer(tf.constant(ITEMS), tensors(history(arrays)))
    summed = ITEMS.copy()
    for name in ("request_gaps", "request_hours", "request_weekdays"):
        summed += layer.context[name].embeddings.numpy()[arrays[name]]
    of_days = arrays["user_features"].reshape(3, 6, SIZES.user_features)
    of_users = np.repeat(arrays["user_numbers"][:, None, :], 6, axis=1)
    for name, numbers in (("user_features", of_days), ("user_numbers", of_users)):
        kernel, bias = (w.numpy() for w in layer.numbers[name].projection.trainable_variables)
        summed += numbers @ kernel + bias
    embeddings = layer.labels.embeddings.numpy()
    for row, (labels, weights) in enumerate(zip(arrays["user_labels"], arrays["user_label_weights"], strict=True)):
        summed[row] += sum(weight * embeddings[label] for label, weight in zip(labels, weights, strict=True))
    places = layer.positions.scale.numpy() * sine_positions(6, CONFIG.dim).numpy()
    np.testing.assert_allclose(result, summed * 4 + places, atol=1e-5)  # 4 = sqrt(16)


def test_without_request_context_the_time_of_the_request_does_not_matter():
    layer, arrays = RequestEmbedding(ModelConfig(dim=16, request_context=False), SIZES, seed=5), batch()
    other = arrays | {name: arrays[name][::-1] for name in ("request_gaps", "request_hours", "request_weekdays")}
    results = [layer(tf.constant(ITEMS), tensors(history(a))).numpy() for a in (arrays, other)]
    np.testing.assert_array_equal(*results)
