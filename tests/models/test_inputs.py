import numpy as np

from models.inputs import ItemContent


def test_a_cold_item_has_the_id_of_unknown_and_padding_keeps_its_own():
    items = ItemContent(*[np.zeros((5, 0))] * 4, train_events=np.array([0, 0, 3, 0, 1]))
    assert items.ids.tolist() == [0, 1, 2, 1, 4]
    assert items.ids.dtype == np.int32
