"""How well a model ranks the validation split: full ranking over all items, or all that are new to the user.

Every worker ranks its own lanes' rows and one sum at the end brings them together, so nobody waits while the chief works
alone. The sums stay apart by lane until then: the metrics do not depend on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np
import tensorflow as tf

from models.batches import Prefetched, lane_batches
from models.cluster import Cluster
from models.delta_log import TableFile
from models.file_plan import plan_epoch
from models.inputs import FIRST, ItemContent
from models.item_values import ItemValues
from models.objective import Objective
from models.optimizer import assign
from models.ranking import hit_rate, ndcg, products, ranks
from models.step import batch_signature
from models.stream import Batch
from models.transformer import Recommender
from models.transitions import FADINGS, WEIGHTS, Transitions, last_items
from models.watchdog import Watchdog

CUTOFF = 10
NDCG, HR, VALUE_LOSS = f"valid_ndcg@{CUTOFF}", f"valid_hr@{CUTOFF}", "valid_value_loss"
CHUNK_SCORES = 1 << 22  # scores that exist at once: 16 MB
WEIGHED = 25_000  # targets that transitions are weighed on, which ranks each of them by every choice


class Validation:
    """Ranks the rows of `files` with given weights; 0 rows have no metrics."""

    def __init__(
        self,
        model: Recommender,
        content: ItemContent,
        files: Sequence[TableFile],
        lanes: int,
        batch_size: int,
        cluster: Cluster,
        objective: Objective,
        rank_seen: bool = False,
    ) -> None:
        """Args:
        objective: what the loss of values is.
        rank_seen: whether items are ranked that the row shows the user to have seen before the target.
        """
        self._model, self._content, self._cluster = model, content, cluster
        self._objective, self._rank_seen = objective, rank_seen
        self._plan = plan_epoch(files, seed=0, epoch=0, lanes=lanes, batch_size=batch_size)
        self._states = tf.function(
            model.states,
            input_signature=[batch_signature(), tf.TensorSpec([None, model.config.dim], tf.float32)],
            autograph=False,
        )
        self.rows = self._plan.rows

    def metrics(self, weights: Sequence[tf.Tensor], watchdog: Watchdog) -> dict[str, float]:
        """NDCG@10 and HR@10 over all targets of the split, and the mean loss of values over those that have one, with `weights`
        in the model for so long; empty without rows."""
        if not self.rows:
            return {}
        variables = self._model.trainable_variables
        training = [tf.identity(v.value) for v in variables]
        assign(variables, weights)
        ((gain, hits, targets, loss, values),) = self._sums(watchdog)
        assign(variables, training)
        of_values = {VALUE_LOSS: loss / values} if values else {}
        return {NDCG: gain / targets, HR: hits / targets, **of_values}

    def weigh(self, by_reach: Mapping[int, Transitions], watchdog: Watchdog) -> tuple[Transitions, dict[str, float]]:
        """The transitions with the reach, fading and weight of the highest NDCG@10 on top of the model as it is, the first of
        equals, and reach and metrics then; without rows the shortest with weight 0 and no metrics.

        Where the split has many targets, WEIGHED of them stand for all, but for those that fill up the last batch of a lane.
        """
        if not self.rows:
            return by_reach[min(by_reach)], {}
        choices = [
            (reach, transitions.fitted(fading, weight))
            for reach, transitions in sorted(by_reach.items())
            for fading in FADINGS
            for weight in WEIGHTS
        ]
        sums = self._sums(watchdog, [transitions for _, transitions in choices], WEIGHED)
        best = int(np.argmax(sums[:, 0]))
        (reach, transitions), (gain, hits, targets, *_) = choices[best], sums[best]
        metrics = {f"valid_whole_ndcg@{CUTOFF}": gain / targets, f"valid_whole_hr@{CUTOFF}": hits / targets}
        return transitions, {"transition_reach": float(reach), **metrics}

    def weigh_values(self, item_values: ItemValues, watchdog: Watchdog) -> tuple[ItemValues, dict[str, float]]:
        """The item values with the weight (and slope, of likes) that tell the values of the split best beside the model as it
        is, the first of equals, and the mean loss of values then; with weight 0 and no metrics where there are none."""
        choices = item_values.choices(self._objective.like_score)
        sums = self._over_lanes(watchdog, (len(choices), 2), lambda batch, vectors: self._judge_values(batch, vectors, choices))
        best = int(np.argmin(sums[:, 0]))
        loss, values = sums[best]
        return choices[best], {"valid_whole_value_loss": loss / values} if values else {}

    def _sums(self, watchdog: Watchdog, choices: Sequence[Transitions | None] = (None,), enough: float = np.inf) -> np.ndarray:
        """(choices, 5) float64 over the lanes of all workers: sum of NDCG, of hits, and number of targets (at least 1); sum of
        the loss of values, and their number. A lane ends with its share of `enough` targets."""
        share = enough / self._plan.lanes
        total = self._over_lanes(
            watchdog,
            (len(choices), 5),
            lambda batch, vectors: self._judge(batch, vectors, choices),
            lambda sums: sums[0, 2] >= share,
        )
        total[:, 2] = np.maximum(total[:, 2], 1)
        return total

    def _over_lanes(
        self,
        watchdog: Watchdog,
        shape: tuple[int, int],
        judge: Callable[[Batch, tf.Tensor], np.ndarray],
        ends: Callable[[np.ndarray], bool] = lambda sums: False,
    ) -> np.ndarray:
        """What `judge` says of each batch and the vectors of items (items, dim), summed over the lanes of all workers: float64
        of `shape`. A lane ends once `ends` says so of its sums."""
        lanes = self._cluster.lanes(self._plan.lanes)
        sums = np.zeros((self._plan.lanes, *shape))
        vectors = self._model.item_vectors(self._content)
        with closing(Prefetched(lambda: lane_batches(self._plan, lanes, self._model.sizes))) as stream:
            for number, batches in enumerate(stream):
                for lane, batch in zip(lanes, batches, strict=True):
                    if not ends(sums[lane]):
                        sums[lane] += judge(batch, vectors)
                watchdog.beat(f"validation step {number}")
                if all(ends(sums[lane]) for lane in lanes):
                    break
        return self._cluster.sum(tf.constant(sums)).numpy().sum(axis=0)

    def _judge(self, batch: Batch, vectors: tf.Tensor, choices: Sequence[Transitions | None]) -> np.ndarray:
        all_states = self._states_of(batch, vectors)
        row, place = np.nonzero(batch["weights"] > 0)  # n of them
        states = all_states[row, place]  # (n, dim)
        targets, last = batch["targets"][row, place], last_items(batch["item_ids"], row, place)
        until = place * 0 if self._rank_seen else place + 1
        seen = [batch["item_ids"][r, :p] for r, p in zip(row, until, strict=True)]
        scores, total = products(states, vectors.numpy()), np.zeros((len(choices), 5))
        rows = max(CHUNK_SCORES // len(vectors), 1)
        for start in range(0, len(states), rows):
            part = slice(start, start + rows)
            product = scores(part)  # (rows, items)
            for sums, found in zip(total, _with_each(product, choices, last[part]), strict=True):
                _, masked = ranks(found, targets[part], seen[part])
                sums[:3] += [ndcg(masked, CUTOFF).sum(), hit_rate(masked, CUTOFF).sum(), len(masked)]
        row, place = _valued(batch)
        total[:, 3:] = self._loss(batch, row, place, self._values(batch, all_states, vectors, row, place))
        return total

    def _judge_values(self, batch: Batch, vectors: tf.Tensor, choices: Sequence[ItemValues]) -> np.ndarray:
        row, place = _valued(batch)
        predicted = self._values(batch, self._states_of(batch, vectors), vectors, row, place)
        pasts = [(batch["item_ids"][r, :p], batch["values"][r, :p]) for r, p in zip(row, place + 1, strict=True)]
        estimates = choices[0].estimates_of_users(pasts, batch["targets"][row, place, None])[:, 0]
        return np.array([self._loss(batch, row, place, choice.blended(predicted, estimates)) for choice in choices])

    def _states_of(self, batch: Batch, vectors: tf.Tensor) -> np.ndarray:
        """(batch, length, dim)."""
        return self._states({k: tf.constant(v) for k, v in batch.items()}, vectors).numpy()

    def _values(self, batch: Batch, states: np.ndarray, vectors: tf.Tensor, row: np.ndarray, place: np.ndarray) -> np.ndarray:
        """What the rating head says of the targets at (n,) places, (n,)."""
        return self._model.values(states[row, place], tf.gather(vectors, batch["targets"][row, place])).numpy()

    def _loss(self, batch: Batch, row: np.ndarray, place: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
        """Sum of the loss of values at (n,) places, and their number."""
        actual, weights = (tf.constant(batch[name][row, place]) for name in ("target_values", "target_value_weights"))
        return float(self._objective.value(tf.constant(predicted), actual, weights)), float(tf.reduce_sum(weights))


def _valued(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Rows and places of the targets with a value, each (n,)."""
    row, place = np.nonzero((batch["target_value_weights"] > 0) & (batch["targets"] >= FIRST))
    return row, place


def _with_each(scores: np.ndarray, choices: Sequence[Transitions | None], last: np.ndarray) -> Iterator[np.ndarray]:
    """The scores under each choice, of which those of one table and fading come one after the other: they share the bonus."""
    shared: Transitions | None = None
    bonus = np.zeros(())
    for choice in choices:
        if choice is not None and not (shared and shared.following is choice.following and shared.fading == choice.fading):
            shared, bonus = choice, choice.bonus(last, scores.shape[1])
        yield scores if choice is None else scores + np.float32(choice.weight) * bonus
