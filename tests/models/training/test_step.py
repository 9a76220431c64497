from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from deltalake import write_deltalake

from models.config import LossConfig, ModelConfig, TrainingConfig
from models.inputs import CONTENT, ItemContent
from models.network.objective import Objective
from models.network.transformer import Recommender
from models.signals.content import read_item_content
from models.training.cluster import Cluster
from models.training.optimizer import NOT_DECAYED, Optimizer, assign, learning_rate
from models.training.step import Stepper
from tests.models.tables import SIZES, item_content, sequence_rows

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def model_and_batch() -> tuple[Recommender, dict[str, np.ndarray]]:
    model = Recommender(ModelConfig(dim=16, dropout=0.0), SIZES, seed=0)
    rows = sequence_rows(8, 8)
    names = [n for n in rows[0] if n not in ("example_id", "split", "length")]
    batch = {n: np.array([r[n] for r in rows], np.int32 if isinstance(rows[0][n][0], int) else np.float32) for n in names}
    return model, batch


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> ItemContent:
    path = str(tmp_path_factory.mktemp("content"))
    write_deltalake(path, item_content())
    return read_item_content(path, 0, SIZES)


def test_lanes_add_up_to_the_step_on_the_whole_batch(content):
    after = []
    for lanes in (1, 4):
        model, batch = model_and_batch()
        optimizer = Optimizer(TrainingConfig(warmup_steps=0), 9, model.trainable_variables)
        stepper = Stepper(model, optimizer, content, Objective(LossConfig()), Cluster(9))
        parts = [{k: v[i::lanes] for k, v in batch.items()} for i in range(lanes)]
        sums = stepper.run(parts, range(lanes), seed=0).numpy()
        assert sums[1] == batch["weights"].sum()
        after.append([sums, *(v.numpy() for v in model.trainable_variables)])
    for other in after[1:]:
        for one, two in zip(after[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=2e-6)


def test_the_graph_of_a_step_refers_to_the_content_of_items_and_holds_no_copy():
    items = 50_000
    sizes = replace(SIZES, items=items)
    content = ItemContent(
        **{i.name: np.zeros((items, i.entries(1, sizes)), i.dtype) for i in CONTENT}, train_events=np.ones(items)
    )
    model = Recommender(ModelConfig(dim=2, heads=1), sizes)
    optimizer = Optimizer(TrainingConfig(), 9, model.trainable_variables)
    stepper = Stepper(model, optimizer, content, Objective(LossConfig()), Cluster(9))
    graph = stepper._lane.get_concrete_function().graph.as_graph_def()
    constants = [tf.make_ndarray(node.attr["value"].tensor) for node in graph.node if node.op == "Const"]
    assert sorted(c.shape for c in constants if c.nbytes >= items) == [(items,)]  # which row of the embedding each reads


def test_averages_follow_at_once_and_then_slowly_without_touching_the_weights_that_train(content):
    model, batch = model_and_batch()
    optimizer = Optimizer(TrainingConfig(average=0.15, warmup_steps=0), 9, model.trainable_variables)
    stepper = Stepper(model, optimizer, content, Objective(LossConfig()), Cluster(9))
    expected = [v.numpy() for v in model.trainable_variables]
    for decay in (1 / 10, 0.15, 0.15):  # 2 / 11 and 3 / 12 are above what is declared
        stepper.run([batch], [0], seed=0)
        now = [v.numpy() for v in model.trainable_variables]
        expected = [decay * e + (1 - decay) * n for e, n in zip(expected, now, strict=True)]
        averages = optimizer.averages()
        for variable, before, average, wanted in zip(model.trainable_variables, now, averages, expected, strict=True):
            np.testing.assert_array_equal(variable.numpy(), before)
            np.testing.assert_allclose(average.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assign(model.trainable_variables, averages)
    np.testing.assert_array_equal(model.trainable_variables[0].numpy(), averages[0].numpy())


def test_the_learning_rate_rises_linearly_and_falls_to_zero_as_a_cosine():
    rate = learning_rate(TrainingConfig(learning_rate=0.1, warmup_steps=10), steps=110)
    for step, expected in {0: 0.0, 5: 0.05, 10: 0.1, 60: 0.05, 110: 0.0}.items():
        assert float(rate(step)) == pytest.approx(expected, abs=1e-6)


def test_a_step_is_that_of_adamw_on_each_weight_alone_with_the_norm_of_all(content):
    model, _ = model_and_batch()
    config = TrainingConfig(learning_rate=0.01, warmup_steps=0, weight_decay=0.1, clip_norm=1.0, average=0.0)
    optimizer, rng = Optimizer(config, 10**9, model.trainable_variables), np.random.default_rng(0)
    weights = [v.numpy().astype(np.float64) for v in model.trainable_variables]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step in (1, 2, 3):
        gradients = [rng.normal(size=w.shape).astype(np.float32) for w in weights]
        optimizer.step(np.concatenate([g.ravel() for g in gradients]))
        norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients))
        for i, gradient in enumerate(gradients):
            clipped = gradient / max(norm, 1.0)
            first[i] = 0.9 * first[i] + 0.1 * clipped
            second[i] = 0.999 * second[i] + 0.001 * clipped**2
            decay = 0.0 if NOT_DECAYED.search(model.trainable_variables[i].name) else 0.1
            direction = first[i] * np.sqrt(1 - 0.999**step) / (1 - 0.9**step) / (np.sqrt(second[i]) + 1e-7)
            weights[i] = weights[i] - 0.01 * (decay * weights[i] + direction)
    for variable, expected in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-3, atol=2e-5)


def test_dropout_depends_on_seed_and_step_and_nothing_else(content):
    model, batch = Recommender(ModelConfig(dim=16, dropout=0.5), SIZES, seed=0), model_and_batch()[1]
    optimizer = Optimizer(TrainingConfig(learning_rate=1e-12, warmup_steps=0), 9, model.trainable_variables)
    stepper = Stepper(model, optimizer, content, Objective(LossConfig()), Cluster(9))

    def losses(seed: int) -> list[float]:
        optimizer.iterations.assign(0)
        return [float(stepper.run([batch], [0], seed)[0]) for _ in range(2)]

    first, again, other = losses(1), losses(1), losses(2)
    assert first == pytest.approx(again, rel=1e-6)
    assert first[0] != pytest.approx(first[1], rel=1e-4)
    assert first != pytest.approx(other, rel=1e-4)
