from dataclasses import replace

import numpy as np
import pytest

from models.inputs import Input, ItemContent
from tests.models.examples import SIZES


def test_a_cold_item_has_the_id_of_unknown_and_padding_keeps_its_own():
    items = ItemContent(*[np.zeros((5, 0))] * 4, train_events=np.array([0, 0, 3, 0, 1]))
    assert items.ids.tolist() == [0, 1, 2, 1, 4]
    assert items.ids.dtype == np.int32


@pytest.mark.parametrize("numbers", [[], [1.5, -2], [3e38, 3e38], [np.nan, 1], [1, np.inf], [3e38, -np.inf]])
def test_a_number_is_at_fault_if_it_is_not_finite_however_large(numbers):
    fault = Input("values", np.float32).fault(np.array([numbers], np.float32), SIZES)
    assert (fault is None) == all(np.isfinite(number) for number in numbers)


@pytest.mark.parametrize("indices", [[], [0, 4], [5, 0], [-1, 0], [2**31 - 1, 1], [-(2**31), 1]])
def test_an_index_is_at_fault_if_it_is_not_one_of_the_vocabulary(indices):
    fault = Input("item_ids", np.int32, indices="items").fault(np.array([indices], np.int32), replace(SIZES, items=5))
    assert (fault is None) == all(0 <= index < 5 for index in indices)
