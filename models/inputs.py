"""The tensors the model reads, by name, dtype and shape: the columns of the sequences table, as they leave the stream.

Axes: `batch` examples, `length` positions (position 0 is the oldest event kept, padding stands at the end).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PADDING, UNKNOWN, FIRST = 0, 1, 2  # indices of every vocabulary: padding, unknown, first real entry
GAP_BUCKETS = 32  # 0 padding or no event before, else 1 + floor(log2(1 + seconds)), at most GAP_BUCKETS - 1
HOURS, WEEKDAYS = 25, 8  # 0 padding, 1 + hour; 0 padding, 1 (Sunday) to 7


@dataclass(frozen=True)
class Input:
    """One tensor.

    width      how many numbers stand at one position, or in the whole row: a field of Sizes; null: one
    whole_row  it tells of the user or the item, not of a position
    indices    how many there are of what it tells by index: a field of Sizes, or the number; null: it tells no index
    """

    name: str
    dtype: type
    width: str | None = None
    whole_row: bool = False
    indices: str | int | None = None

    def entries(self, length: int, sizes: Sizes) -> int:
        """How many numbers a row of `length` positions has."""
        width = 1 if self.width is None else int(getattr(sizes, self.width))
        return width if self.whole_row else length * width

    def fault(self, rows: np.ndarray, sizes: Sizes) -> str | None:
        """What is wrong with the numbers of these rows, in words; None if nothing is."""
        if self.indices is None:
            return None if _is_finite(rows) else f"{self.name} must be finite. Received NaN or infinity."
        count = self.indices if isinstance(self.indices, int) else getattr(sizes, self.indices)
        if rows.view(f"u{rows.itemsize}").max(initial=PADDING) < count:  # read as unsigned, negative ones are above every index
            return None
        lowest, highest = rows.min(), rows.max()
        return f"{self.name} must be indices from 0 to {count - 1}. Received {lowest if lowest < 0 else highest}."


def _is_finite(rows: np.ndarray) -> bool:
    """Squares that add up to a number are of numbers, which takes a third of the time of looking at each."""
    flat = rows.ravel()
    return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite(flat).all())


# What is known when the recommendation is asked for; the exported encoder takes these and nothing else.
HISTORY = (
    Input("item_ids", np.int32, indices="items"),
    Input("event_types", np.int32, indices="event_types"),
    Input("values", np.float32),
    Input("gaps", np.int32, indices=GAP_BUCKETS),
    Input("request_gaps", np.int32, indices=GAP_BUCKETS),
    Input("request_hours", np.int32, indices=HOURS),
    Input("request_weekdays", np.int32, indices=WEEKDAYS),
    Input("user_features", np.float32, "user_features"),
    Input("user_numbers", np.float32, "user_numbers", whole_row=True),
    Input("user_labels", np.int32, "user_label_slots", whole_row=True, indices="user_labels"),
    Input("user_label_weights", np.float32, "user_label_slots", whole_row=True),
)
# What came next.
TARGETS = (
    Input("targets", np.int32, indices="items"),
    Input("weights", np.float32),
    Input("target_values", np.float32),
    Input("target_value_weights", np.float32),
)


@dataclass(frozen=True)
class Sizes:
    """Sizes that follow from the tables; each vocabulary's size counts padding and unknown."""

    items: int
    categories: int
    event_types: int
    user_features: int  # numbers per position in `user_features`; 0: none
    item_numbers: int  # numbers per item in `item_content.numbers`
    item_categories: int  # category slots per item in `item_content.categories`
    max_length: int
    item_labels: int = FIRST  # of the vocabulary of further labels
    item_label_slots: int = 0  # label slots per item in `item_content.labels`
    user_numbers: int = 0  # numbers per user in `user_content.numbers`
    user_labels: int = FIRST  # of the vocabulary of labels of users
    user_label_slots: int = 0  # label slots per user in `user_content.labels`


# What the item tower reads beside the ids, in the order of its arguments.
CONTENT = (
    Input("categories", np.int32, "item_categories", whole_row=True, indices="categories"),
    Input("numbers", np.float32, "item_numbers", whole_row=True),
    Input("labels", np.int32, "item_label_slots", whole_row=True, indices="item_labels"),
    Input("label_weights", np.float32, "item_label_slots", whole_row=True),
)


@dataclass(frozen=True)
class ItemContent:
    """What the item tower reads: row i belongs to item index i.

    categories    (items, item_categories) int32, 0 padding
    numbers       (items, item_numbers) float32, scaled, 0 where unknown
    labels        (items, item_label_slots) int32, 0 padding
    label_weights (items, item_label_slots) float32, 0 at padding; those of one declared column add up to 1
    train_events  (items,) int64, 0: the item is cold
    """

    categories: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    label_weights: np.ndarray
    train_events: np.ndarray

    @property
    def ids(self) -> np.ndarray:
        """(items,) int32: the row of the id embedding that each item reads; cold items read UNKNOWN's."""
        own = np.arange(len(self.train_events))
        return np.where((self.train_events > 0) | (own < FIRST), own, UNKNOWN).astype(np.int32)
