import dataclasses

import numpy as np

from models.inputs import UNKNOWN, ItemContent
from models.network.transformer import Recommender
from tests.models.examples import CONFIG, SIZES, content


def by_definition(model: Recommender, items: ItemContent, ids: list[int]) -> np.ndarray:
    tower = model.tower
    categories, numbers = tower.categories.embeddings.numpy(), tower.numbers.projection.kernel.numpy()
    labels = tower.labels.embeddings.numpy()
    vectors = tower.ids.embeddings.numpy()[ids]
    for i, row in enumerate(items.categories):
        real = [categories[c] for c in row if c != 0]
        vectors[i] += (np.mean(real, axis=0) if real else 0) + items.numbers[i] @ numbers
        vectors[i] += sum(w * labels[label] for label, w in zip(items.labels[i], items.label_weights[i], strict=True))
    return vectors


def test_an_item_is_the_sum_of_its_id_and_of_its_content():
    model, items = Recommender(CONFIG, SIZES), content()
    items.categories[4] = 0  # without categories
    items.categories[5] = (2, 0, 3)
    np.testing.assert_allclose(model.item_vectors(items), by_definition(model, items, list(range(SIZES.items))), atol=1e-6)


def test_a_cold_item_reads_the_unknown_id_and_differs_from_another_by_content_alone():
    model, items = Recommender(CONFIG, SIZES), content()
    items.train_events[[7, 9]] = 0
    for array in (items.categories, items.numbers, items.labels, items.label_weights):
        array[9] = array[7]
    vectors = model.item_vectors(items).numpy()
    ids = [UNKNOWN if i in (7, 9) else i for i in range(SIZES.items)]
    np.testing.assert_allclose(vectors, by_definition(model, items, ids), atol=1e-6)
    np.testing.assert_array_equal(vectors[7], vectors[9])
    items.categories[9] = (5, 0, 0)
    assert np.abs(model.item_vectors(items).numpy()[9] - vectors[7]).max() > 1e-3


def test_a_catalogue_without_content_has_ids_alone():
    sizes = dataclasses.replace(SIZES, item_numbers=0, item_categories=0, item_label_slots=0)
    model = Recommender(CONFIG, sizes)
    np.testing.assert_array_equal(model.item_vectors(content(sizes)), model.tower.ids.embeddings)
