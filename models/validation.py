"""How well a model ranks the validation split: full ranking over all items, nothing masked.

Every worker ranks its own lanes' rows and one sum at the end brings them together, so nobody waits while the chief works
alone. The sums stay apart by lane until then: the metrics do not depend on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import tensorflow as tf

from models.batches import Prefetched, lane_batches
from models.cluster import Cluster
from models.delta_log import TableFile
from models.file_plan import plan_epoch
from models.inputs import ItemContent
from models.ranking import hit_rate, ndcg, ranks
from models.step import assign, batch_signature
from models.stream import Batch
from models.transformer import Recommender
from models.watchdog import Watchdog

CUTOFF = 10
CHUNK_SCORES = 1 << 22  # scores that exist at once: 16 MB


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
    ) -> None:
        self._model, self._content, self._cluster = model, content, cluster
        self._plan = plan_epoch(files, seed=0, epoch=0, lanes=lanes, batch_size=batch_size)
        self._states = tf.function(
            model.states, input_signature=[batch_signature(), tf.TensorSpec([None, model.config.dim], tf.float32)]
        )
        self.rows = self._plan.rows

    def metrics(self, weights: Sequence[tf.Tensor], watchdog: Watchdog) -> dict[str, float]:
        """NDCG@10 and HR@10 over all targets of the split, with `weights` in the model for so long; empty without rows."""
        if not self.rows:
            return {}
        training = [tf.identity(v.value) for v in self._model.trainable_variables]
        assign(self._model, weights)
        sums = self._sums(watchdog)
        assign(self._model, training)
        gain, hits, targets = self._cluster.sum(tf.constant(sums)).numpy().sum(axis=0)
        return {f"valid_ndcg@{CUTOFF}": float(gain / max(targets, 1)), f"valid_hr@{CUTOFF}": float(hits / max(targets, 1))}

    def _sums(self, watchdog: Watchdog) -> np.ndarray:
        """(lanes, 3) float64: sum of NDCG, of hits, number of targets; zeros for the lanes of other workers."""
        lanes = self._cluster.lanes(self._plan.lanes)
        sums = np.zeros((self._plan.lanes, 3))
        vectors = self._model.item_vectors(self._content)  # (items, dim)
        features = self._model.sizes.user_features
        with closing(Prefetched(lambda: lane_batches(self._plan, lanes, features))) as stream:
            for number, batches in enumerate(stream):
                for lane, batch in zip(lanes, batches, strict=True):
                    sums[lane] += self._judge(batch, vectors)
                watchdog.beat(f"validation step {number}")
        return sums

    def _judge(self, batch: Batch, vectors: tf.Tensor) -> np.ndarray:
        valid = batch["weights"] > 0  # (batch, length), n of them
        states = self._states({k: tf.constant(v) for k, v in batch.items()}, vectors).numpy()[valid]  # (n, dim)
        targets, total = batch["targets"][valid], np.zeros(3)
        rows = max(CHUNK_SCORES // len(vectors), 1)
        for start in range(0, len(states), rows):
            part = slice(start, start + rows)
            scores = states[part] @ vectors.numpy().T  # (rows, items)
            raw, _ = ranks(scores, targets[part], [])
            total += [ndcg(raw, CUTOFF).sum(), hit_rate(raw, CUTOFF).sum(), len(raw)]
        return total
