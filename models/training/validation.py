"""How well a model ranks the validation split: full ranking over all items, or all that are new to the user.

Every worker ranks its own lanes' rows and one sum at the end brings them together, so nobody waits while the chief works
alone. The sums stay apart by lane until then: the metrics do not depend on how many workers there are.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from enum import IntEnum

import numpy as np
import tensorflow as tf

from models.inputs import FIRST, ItemContent
from models.network.objective import Objective
from models.network.transformer import Recommender
from models.ranking import hit_rate, ndcg, products, ranks
from models.signals.blend import TERMS, Predictions, fit
from models.signals.item_values import ItemValues
from models.signals.transitions import ALONE, FADINGS, WEIGHTS, Transitions, last_items
from models.stream.batches import Prefetched, lane_batches
from models.stream.delta_log import TableFile
from models.stream.file_plan import plan_epoch
from models.stream.stream import Batch
from models.training.cluster import Cluster
from models.training.optimizer import assign
from models.training.step import batch_signature
from models.training.watchdog import Watchdog

CUTOFF = 10
NDCG, HR, VALUE_LOSS = f"valid_ndcg@{CUTOFF}", f"valid_hr@{CUTOFF}", "valid_value_loss"
WHOLE_VALUE_LOSS = "valid_whole_value_loss"  # of neighbours and head together
_VALUED = ("targets", "target_values", "target_value_weights")
CHUNK_SCORES = 1 << 22  # scores that exist at once: 16 MB
JUDGED = 50_000  # targets that the weights of an epoch are judged by; the split has them in no order
WEIGHED = 25_000  # targets that transitions are weighed on, which ranks each of them by every choice,
WEIGHED_SCORES = 1 << 29  # or as many as have so many scores, which takes minutes


class Judgement(IntEnum):
    """Where the sums of a judgement stand: of NDCG and of hits, over so many targets; of the loss of so many values."""

    NDCG = 0
    HITS = 1
    TARGETS = 2
    VALUE_LOSS = 3
    VALUES = 4


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
        """NDCG@10 and HR@10 over the targets of the split, and the mean loss of values over those that have one, with `weights`
        in the model for so long; empty without rows. Where there are more, JUDGED of them stand for all, the same each time.
        """
        if not self.rows:
            return {}
        variables = self._model.trainable_variables
        training = [tf.identity(v.value) for v in variables]
        assign(variables, weights)
        ((gain, hits, targets, loss, values),) = self._sums(watchdog, enough=JUDGED)
        assign(variables, training)
        of_values = {VALUE_LOSS: loss / values} if values else {}
        return {NDCG: gain / targets, HR: hits / targets, **of_values}

    def weigh_transitions(
        self, by_reach: Mapping[int, Transitions], watchdog: Watchdog, weights: Sequence[float] = WEIGHTS
    ) -> tuple[Transitions, dict[str, float]]:
        """The transitions with the reach, fading and weight (one of `weights`) of the highest NDCG@10 on top of the model as it
        is, the first of equals, and reach and metrics then; their `chain` is that of the highest without the model. Without
        rows the shortest with weight 0 and no metrics.

        Where the split has many targets, WEIGHED of them stand for all, and fewer where there are many items.
        """
        if not self.rows:
            return by_reach[min(by_reach)], {}
        choices = [
            (reach, transitions.fitted(fading, weight))
            for reach, transitions in sorted(by_reach.items())
            for fading in FADINGS
            for weight in (*weights, ALONE)
        ]
        enough = min(WEIGHED, max(WEIGHED_SCORES // self._model.sizes.items, 1))
        sums = self._sums(watchdog, [transitions for _, transitions in choices], enough)
        alone = np.array([transitions.weight == ALONE for _, transitions in choices])
        best, best_alone = (int(np.argmax(np.where(judged, sums[:, Judgement.NDCG], -1.0))) for judged in (~alone, alone))
        (reach, transitions), (gain, hits, targets, *_) = choices[best], sums[best]
        metrics = {f"valid_whole_ndcg@{CUTOFF}": gain / targets, f"valid_whole_hr@{CUTOFF}": hits / targets}
        chain = choices[best_alone][1]
        return replace(transitions, chain=chain), {"transition_reach": float(reach), **metrics}

    def weigh_values(self, item_values: ItemValues, watchdog: Watchdog) -> tuple[ItemValues, dict[str, float]]:
        """The item values with the weights that tell the values of the split best beside the model as it is, and the mean loss
        of values then; as they are and no metrics where there are none."""
        lanes, like_score = self._cluster.lanes(self._plan.lanes), self._objective.like_score
        parts: dict[int, list[Predictions]] = {lane: [] for lane in lanes}
        for lane, batch, vectors in self._batches(watchdog):
            parts[lane].append(self._predictions(batch, vectors, item_values))

        def terms(weights: np.ndarray) -> np.ndarray:
            sums = np.zeros((self._plan.lanes, TERMS))
            for lane, predictions in parts.items():
                sums[lane] = sum(part.terms(weights, like_score) for part in predictions)
            return self._cluster.sum(tf.constant(sums)).numpy().sum(axis=0)

        weights, loss, values = fit(terms)
        return (item_values.fitted(weights), {WHOLE_VALUE_LOSS: loss / values}) if values else (item_values, {})

    def _sums(
        self, watchdog: Watchdog, choices: Sequence[Transitions | None] = (None,), enough: int = sys.maxsize
    ) -> np.ndarray:
        """(choices, 5) float64 over the lanes of all workers, as Judgement says, of at least 1 target. A lane ends with its
        share of `enough` targets."""
        lanes, share = self._cluster.lanes(self._plan.lanes), -(-enough // self._plan.lanes)  # rounded up
        sums = np.zeros((self._plan.lanes, len(choices), len(Judgement)))
        with closing(self._batches(watchdog)) as batches:
            for lane, batch, vectors in batches:
                missing = share - int(sums[lane, 0, Judgement.TARGETS])
                if missing > 0:
                    sums[lane] += self._judge(batch, vectors, choices, missing, watchdog)
                elif (sums[lanes, 0, Judgement.TARGETS] >= share).all():
                    break
        total = self._cluster.sum(tf.constant(sums)).numpy().sum(axis=0)
        total[:, Judgement.TARGETS] = np.maximum(total[:, Judgement.TARGETS], 1)
        return total

    def _batches(self, watchdog: Watchdog) -> Generator[tuple[int, Batch, tf.Tensor]]:
        """Each lane of this worker with its next batch, and the vectors of items (items, dim), to the end of the split."""
        lanes, vectors = self._cluster.lanes(self._plan.lanes), self._model.item_vectors(self._content)
        with closing(Prefetched(lambda: lane_batches(self._plan, lanes, self._model.sizes))) as stream:
            for number, batches in enumerate(stream):
                for lane, batch in zip(lanes, batches, strict=True):
                    yield lane, batch, vectors
                watchdog.beat(f"validation step {number}")

    def _judge(
        self, batch: Batch, vectors: tf.Tensor, choices: Sequence[Transitions | None], most: int, watchdog: Watchdog
    ) -> np.ndarray:
        row, position = (at[:most] for at in np.nonzero(batch["weights"] > 0))  # n of them
        states = self._states_at(batch, vectors, row, position)
        targets, last = batch["targets"][row, position], last_items(batch["item_ids"], row, position)
        until = position * 0 if self._rank_seen else position + 1
        seen = [batch["item_ids"][r, :p] for r, p in zip(row, until, strict=True)]
        scores, total = products(states, vectors.numpy()), np.zeros((len(choices), len(Judgement)))
        rows = max(CHUNK_SCORES // len(vectors), 1)
        for start in range(0, len(states), rows):
            part = slice(start, start + rows)
            product = scores(part)  # (rows, items)
            for sums, found in zip(total, _with_each(product, choices, last[part]), strict=True):
                _, masked = ranks(found, targets[part], seen[part])
                sums[: Judgement.VALUE_LOSS] += [ndcg(masked, CUTOFF).sum(), hit_rate(masked, CUTOFF).sum(), len(masked)]
            watchdog.beat(f"validation, targets from {start} on")
        total[:, Judgement.VALUE_LOSS :] = self._value_sums(states, vectors, *[batch[name][row, position] for name in _VALUED])
        return total

    def _value_sums(
        self, states: np.ndarray, vectors: tf.Tensor, targets: np.ndarray, actual: np.ndarray, weights: np.ndarray
    ) -> tuple[float, float]:
        valued = (weights > 0) & (targets >= FIRST)
        if not valued.any():
            return 0.0, 0.0
        predicted = self._model.values(states[valued], tf.gather(vectors, targets[valued]))
        loss = self._objective.value(predicted, tf.constant(actual[valued]), tf.constant(weights[valued]))
        return float(loss), float(weights[valued].sum())

    def _predictions(self, batch: Batch, vectors: tf.Tensor, item_values: ItemValues) -> Predictions:
        row, position = np.nonzero((batch["target_value_weights"] > 0) & (batch["targets"] >= FIRST))
        targets, actual, weights = (batch[name][row, position] for name in _VALUED)
        head = self._model.values(self._states_at(batch, vectors, row, position), tf.gather(vectors, targets)).numpy()
        pasts = [(batch["item_ids"][r, :p], batch["values"][r, :p]) for r, p in zip(row, position + 1, strict=True)]
        return Predictions(head, item_values.opinions_of_users(pasts, targets[:, None])[:, 0], actual, weights)

    def _states_at(self, batch: Batch, vectors: tf.Tensor, row: np.ndarray, position: np.ndarray) -> np.ndarray:
        """The users' vectors at places of rows, (n, dim)."""
        return self._states({k: tf.constant(v) for k, v in batch.items()}, vectors).numpy()[row, position]


def _with_each(scores: np.ndarray, choices: Sequence[Transitions | None], last: np.ndarray) -> Iterator[np.ndarray]:
    """The scores under each choice, of which those of one table and fading come one after the other: they share the bonus."""
    shared: Transitions | None = None
    bonus = np.zeros(())
    for choice in choices:
        if choice is not None and not (shared and shared.following is choice.following and shared.fading == choice.fading):
            shared, bonus = choice, choice.bonus(last, scores.shape[1])
        if choice is None:
            yield scores
        else:
            yield bonus if choice.weight == ALONE else scores + np.float32(choice.weight) * bonus
