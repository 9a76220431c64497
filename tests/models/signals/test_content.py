from dataclasses import replace

import pyarrow as pa
from deltalake import write_deltalake

from models.signals.content import read_item_content
from tests.models.tables import ITEMS, SIZES, item_content


def test_items_without_any_content_have_arrays_that_hold_nothing(tmp_path):
    table = item_content()
    for name in ("numbers", "categories", "labels", "label_weights"):
        of = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), of, pa.array([[]] * len(table), of.type))
    write_deltalake(tmp_path / "item_content", table)
    sizes = replace(SIZES, item_numbers=0, item_categories=0, item_label_slots=0)
    found = read_item_content(str(tmp_path / "item_content"), 0, sizes)
    assert {a.shape for a in (found.numbers, found.categories, found.labels, found.label_weights)} == {(ITEMS, 0)}
    assert found.train_events.any()
