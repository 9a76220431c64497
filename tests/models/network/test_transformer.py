import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.config import ModelConfig
from models.inputs import FIRST, HISTORY, PADDING, TARGETS, UNKNOWN
from models.network.trace import Trace
from models.network.transformer import Recommender, computing_in, mean_gates
from tests.models.examples import CONFIG, SEED, SIZES, batch, content, states, tensors


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender(ModelConfig(dim=16, heads=2, encoder_layers=2, decoder_layers=2), SIZES, seed=3)


def weights(model: Recommender) -> list[np.ndarray]:
    return [v.numpy() for v in model.trainable_variables]


def states_of_two_futures(model: Recommender) -> tuple[np.ndarray, np.ndarray]:
    """States of three examples, and of the same users with all that comes from position 4 on taken from others."""
    arrays, other = batch(events=(6, 6, 4)), batch(events=(6, 6, 6), seed=9)
    changed = {name: a.copy() for name, a in arrays.items()}
    for given in (i for i in (*HISTORY, *TARGETS) if not i.whole_row):
        later = given.entries(4, SIZES)
        changed[given.name][:, later:] = other[given.name][:, later:]
    return states(model, arrays), states(model, changed)


def test_neither_the_future_nor_padding_reaches_a_position(model):
    before, after = states_of_two_futures(model)
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-6)
    assert np.abs(after[:, 4:] - before[:, 4:]).max(axis=(1, 2)).min() > 1e-2


@pytest.mark.parametrize("name", ["user_numbers", "user_labels", "user_label_weights"])
def test_what_is_known_of_a_user_reaches_every_position_of_theirs_alone(model, name):
    arrays = batch(events=(6, 6))
    arrays["user_label_weights"][:] = 1
    changed = arrays | {name: arrays[name].copy()}
    changed[name][0, 0] = changed[name][0, 0] + 1 if name != "user_labels" else (arrays[name][0, 0] + 1) % SIZES.user_labels
    difference = np.abs(states(model, changed) - states(model, arrays)).max(axis=2)  # (2, 6)
    assert difference[0].min() > 1e-4
    assert difference[1].max() == 0


@pytest.mark.parametrize("name", ["item_ids", "event_types", "values", "gaps", "request_gaps", "request_hours",
                                  "request_weekdays", "user_features"])  # fmt: skip
def test_every_input_reaches_its_own_position_and_the_later_ones(model, name):
    arrays = batch(events=(6,))
    changed = arrays | {name: arrays[name].copy()}
    width = arrays[name].shape[1] // 6
    changed[name][0, 2 * width] = 2 if arrays[name][0, 2 * width] != 2 else 3
    moved = np.abs(states(model, changed) - states(model, arrays)).max(axis=2)[0]  # (length,)
    assert (moved[:2] == 0).all()
    assert (moved[2:] > 1e-6).all()


def test_more_padding_changes_neither_states_nor_losses(model):
    short = batch(events=(3, 1), length=3)
    of_positions = [i.name for i in (*HISTORY, *TARGETS) if not i.whole_row]
    long = short | {name: np.pad(short[name], [(0, 0), (0, short[name].shape[1])]) for name in of_positions}
    np.testing.assert_allclose(states(model, long)[:, :3], states(model, short), atol=1e-5)
    for (a, b), (c, d) in zip(*(model.losses(tensors(x), content(), None).values() for x in (short, long)), strict=True):
        np.testing.assert_allclose((a, b), (c, d), rtol=1e-6)


def test_initial_weights_are_a_function_of_the_seed():
    first, again, other = (Recommender(CONFIG, SIZES, seed=s) for s in (1, 1, 2))
    for a, b in zip(weights(first), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)
    named = zip(first.trainable_variables, weights(first), weights(other), strict=True)
    drawn = [(a, b) for v, a, b in named if a.std() > 0 and "convolution" not in v.path]  # these start as the identity
    assert len(drawn) > 20
    assert all(np.abs(a - b).max() > 1e-3 for a, b in drawn)


def test_layers_of_one_shape_start_from_different_weights(model):
    first, second = (block.self_attention.inputs.kernel.numpy() for block in model.decoder.blocks)
    assert np.abs(first - second).max() > 0.1


def test_the_losses_reach_every_variable(model):
    with tf.GradientTape() as tape:
        losses = model.losses(tensors(batch()), content(), SEED)
        total = losses["next_item"][0] + losses["value"][0]
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(total, [v.value for v in model.trainable_variables]), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, variable.path


def test_losses_are_the_definitions_over_valid_positions(model):
    arrays = batch(events=(6, 3, 1))
    arrays["weights"][0, :4] = 0
    arrays["target_value_weights"][1] = 0
    items, users = model.item_vectors(content()).numpy(), states(model, arrays)
    entropy, squares = 0.0, 0.0
    for b, i in zip(*np.nonzero(arrays["weights"]), strict=True):
        logits = items[FIRST:] @ users[b, i]
        entropy += np.log(np.exp(logits).sum()) - items[arrays["targets"][b, i]] @ users[b, i]
    for b, i in zip(*np.nonzero(arrays["target_value_weights"]), strict=True):
        predicted = model.values(users[b, i][None], items[arrays["targets"][b, i]][None])
        squares += float(predicted[0] - arrays["target_values"][b, i]) ** 2
    losses = model.losses(tensors(arrays), content(), None)
    np.testing.assert_allclose(losses["next_item"], (entropy, 2 + 3 + 1), rtol=1e-5)
    np.testing.assert_allclose(losses["value"], (squares, 6 + 0 + 1), rtol=1e-5)


def test_an_unknown_target_counts_in_no_loss(model):
    arrays = batch(events=(6, 3))
    left_out = {name: a.copy() for name, a in arrays.items()}
    arrays["targets"][0, 2] = UNKNOWN
    left_out["weights"][0, 2] = left_out["target_value_weights"][0, 2] = 0
    first, second = (model.losses(tensors(a), content(), None) for a in (arrays, left_out))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6)


def test_a_batch_without_values_has_a_value_loss_of_zero_over_zero(model):
    arrays = batch()
    arrays["target_value_weights"][:] = 0
    assert [float(x) for x in model.losses(tensors(arrays), content(), None)["value"]] == [0, 0]


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(model):
    first, again, other = (
        float(model.losses(tensors(batch()), content(), s)["next_item"][0]) for s in ((1, 2), (1, 2), (1, 3))
    )
    assert first == again
    assert first != other


def test_a_model_without_features_and_context_has_no_variables_for_them():
    sizes = dataclasses.replace(SIZES, user_features=0, user_numbers=0, user_label_slots=0)
    small = Recommender(ModelConfig(dim=16, request_context=False), sizes)
    assert not [v.path for v in small.trainable_variables if "request_embedding" in v.path]
    assert states(small, batch(sizes=small.sizes)).shape == (3, 6, 16)


ALL = ModelConfig(dim=16, heads=2, positions="learned", relative_positions=True, relative_times=True, attention_dropout=0.5)


def test_relative_bias_and_learned_positions_keep_the_future_and_padding_out():
    model = Recommender(ALL, SIZES, seed=3)
    before, after = states_of_two_futures(model)
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-6)
    assert {v.path.split("/")[-2] for v in model.trainable_variables} >= {"positions", "times", "table"}


def test_attention_dropout_is_drawn_from_the_seed():
    model = Recommender(ALL.model_copy(update={"dropout": 0.0}), SIZES, seed=3)
    losses = [float(model.losses(tensors(batch()), content(), s)["next_item"][0]) for s in ((1, 2), (1, 2), (1, 3))]
    assert losses[0] == losses[1] != losses[2]


def test_attention_weights_and_gates_can_be_asked_for(model):
    trace, arrays = Trace(), tensors(batch(events=(6, 3)))
    model.states(arrays, model.item_vectors(content()), trace=trace)
    attention = {name: weights for name, weights in trace.found.items() if weights.shape.rank == 4}
    assert sorted(attention) == [
        *[f"decoder/block_{i}/{kind}_attention" for i in (0, 1) for kind in ("cross", "self")],
        *[f"encoder/block_{i}/self_attention" for i in (0, 1)],
    ]
    for weights in attention.values():
        assert weights.shape == (2, 2, 6, 6)
        np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), np.ones((2, 2, 6)), atol=1e-6)
    gates = {"event_embedding/gap", "request_embedding/user_features/2", "request_embedding/user_numbers/1"}
    assert gates <= trace.found.keys()


def test_gates_are_reported_as_their_means_over_what_is_real():
    model, arrays, rng = Recommender(CONFIG, SIZES, seed=3), batch(events=(6, 1)), np.random.default_rng(4)
    real = arrays["item_ids"] != PADDING  # (2, 6)
    numbers = {
        "request_embedding/user_features": arrays["user_features"].reshape(2, 6, -1)[real],
        "item_tower/numbers": content().numbers[FIRST:],
    }
    layers = (model.decoder.requests.numbers["user_features"].gates, model.tower.numbers.gates)
    expected = {}
    for (name, rows), layer in zip(numbers.items(), layers, strict=True):
        layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
        kernel, bias = layer.get_weights()
        means = (2 / (1 + np.exp(-rows @ kernel - bias))).mean(axis=0)
        expected |= {f"{name}/{i}": mean for i, mean in enumerate(means)}
    found = mean_gates(model, content(), arrays)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert {gate for name, gate in found.items() if name not in expected} == {1.0}  # untrained
    assert {"item_tower/categories", "item_tower/numbers/0", "event_embedding/value", "request_embedding/item"} <= found.keys()
    assert mean_gates(Recommender(ModelConfig(dim=16, gates=False), SIZES), content(), batch()) == {}


def test_one_batch_can_be_overfit():
    model = Recommender(ModelConfig(dim=16, heads=2, dropout=0.0), SIZES, seed=3)
    variables = [v.value for v in model.trainable_variables]
    arrays, items = tensors(batch()), content()
    moments = [[tf.Variable(tf.zeros_like(v)) for v in variables] for _ in range(2)]

    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = {name: total / weight for name, (total, weight) in model.losses(arrays, items, None).items()}
            total = losses["next_item"] + losses["value"]
        for variable, gradient, mean, square in zip(variables, tape.gradient(total, variables), *moments, strict=True):
            gradient = tf.convert_to_tensor(gradient)  # noqa: PLW2901
            mean.assign(0.9 * mean + 0.1 * gradient)
            square.assign(0.99 * square + 0.01 * gradient**2)
            corrected = mean / (1 - 0.9**number), square / (1 - 0.99**number)
            variable.assign_sub(0.01 * corrected[0] / (tf.sqrt(corrected[1]) + 1e-8))
        return losses["next_item"], losses["value"]

    first = [float(x) for x in step(tf.constant(1.0))]
    for number in range(2, 200):
        last = step(tf.constant(float(number)))
    assert first[0] > 2  # log(18) is 2.9
    assert float(last[0]) < 0.05
    assert float(last[1]) < 0.05


def test_mixed_precision_keeps_weights_in_float32_and_comes_near_its_losses():
    config = ModelConfig(dim=16, heads=2, relative_positions=True, relative_times=True)
    found = {}
    for precision in ("float32", "mixed_bfloat16"):
        model = computing_in(precision, config, SIZES, seed=3)
        with tf.GradientTape() as tape:
            losses = model.losses(tensors(batch()), content(), None)  # masks of dropout would differ
            total = losses["next_item"][0] + losses["value"][0]
        gradients = tape.gradient(total, [v.value for v in model.trainable_variables], unconnected_gradients="zero")
        assert {v.dtype for v in model.trainable_variables} == {"float32"} and {g.dtype for g in gradients} == {tf.float32}
        found[precision] = total, tf.linalg.global_norm(gradients)
        inner = model.encoder.blocks[0].feed_forward(tf.ones([1, 2, 16]))
        assert inner.dtype == precision.removeprefix("mixed_")
    np.testing.assert_allclose(found["mixed_bfloat16"], found["float32"], rtol=0.05)
    assert found["mixed_bfloat16"][0] != found["float32"][0]
