import numpy as np
import tensorflow as tf

from models.network.encoder import EventEmbedding
from models.network.layers import sine_positions
from tests.models.examples import CONFIG, SIZES, batch, history, tensors


def test_an_event_is_the_sum_of_item_type_gap_and_value_with_its_position():
    layer, arrays = EventEmbedding(CONFIG, SIZES, seed=5), batch()
    items = np.random.default_rng(0).normal(size=(3, 6, CONFIG.dim)).astype("f")
    result = layer(tf.constant(items), tensors(history(arrays)))
    types, gaps = layer.types.embeddings.numpy(), layer.gaps.embeddings.numpy()
    value = layer.values.kernel.numpy()[0]
    summed = items + types[arrays["event_types"]] + gaps[arrays["gaps"]] + arrays["values"][:, :, None] * value
    places = layer.positions.scale.numpy() * sine_positions(6, CONFIG.dim).numpy()
    np.testing.assert_allclose(result, summed * 4 + places, atol=1e-5)  # 4 = sqrt(16)


def test_a_value_beyond_twenty_z_scores_is_read_as_twenty():
    layer, arrays = EventEmbedding(CONFIG, SIZES, seed=5), batch()
    items = tf.zeros((3, 6, CONFIG.dim))
    results = [
        layer(items, tensors(history(arrays | {"values": np.full((3, 6), value, "f")}))).numpy() for value in (20, 1e6, 19)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.allclose(results[0], results[2])
