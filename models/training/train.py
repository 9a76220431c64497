"""The training run: the same function alone, by hand on several machines, and under Spark."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from models.errors import CheckpointError, DivergedError, LanesError, StreamError
from models.network.objective import Objective
from models.network.transformer import Recommender, computing_in, mean_gates
from models.scoring.export import export_model
from models.signals.content import read_item_content, read_item_values, read_transitions
from models.signals.item_values import ItemValues
from models.signals.transitions import Transitions
from models.stream.batches import Prefetched, lane_batches
from models.stream.delta_log import keep_partition, table_files, training_files
from models.stream.file_plan import EpochPlan, plan_epoch
from models.stream.stream import Batch
from models.training.checkpoint import BEST, Checkpoints
from models.training.cluster import Cluster
from models.training.device import device
from models.training.lock import alone
from models.training.optimizer import Optimizer, assign
from models.training.scalars import Scalars
from models.training.spec import GATE, TrainingResult, TrainSpec
from models.training.step import Stepper, Sums
from models.training.validation import HR, NDCG, VALUE_LOSS, Validation
from models.training.watchdog import Watchdog

METRICS = (NDCG, HR, VALUE_LOSS)  # of validation
LOCK = "lock"  # in the folder of a run, what its chief holds
TELL_SECONDS = 60.0  # that pass at least between two lines about an epoch on its way
SAMPLE_ROWS = 64  # on which the export is compared with the model, and of which gates are the means


class Log(Protocol):
    def __call__(self, step: str, **fields: object) -> None: ...


def train(
    spec: TrainSpec, cluster: Cluster, watchdog: Watchdog, log: Log, progress: Callable[[int, int], None]
) -> TrainingResult:
    """Trains from the newest checkpoint in `spec.folder`, or from the start; the chief exports the best weights.

    Args:
        log: gets one line an epoch, and one a minute on the way.
        progress: gets steps done and steps in all, after each step.
    Raises:
        WorkerError: another run is at work in the folder.
        LanesError: the lanes cannot be shared evenly by the workers that TF_CONFIG names.
        StreamError: the tables cannot be streamed exactly, or were not, or there are no training rows.
        CheckpointError: the folder's checkpoint is of another run.
        DivergedError: the loss or the weights are no numbers any more.
    """
    if spec.lanes % cluster.workers:
        raise LanesError(
            f"training.lanes must be a multiple of the workers in TF_CONFIG. Received {spec.lanes} and {cluster.workers}. "
            "Train with --set training.lanes=N, or set it in the spec of a run that has no checkpoint yet."
        )
    run = TrainingRun(spec, cluster, watchdog, log, progress)
    with alone(Path(spec.folder, LOCK)) if cluster.is_chief else nullcontext():
        run.restore()
        start = time.monotonic()
        while not run.finished:
            run.epoch()
        run.keep_best()
        transitions, metrics = run.weigh_transitions()
        item_values, of_values = run.weigh_values()
        metrics |= of_values
        if cluster.is_chief:
            if spec.export:
                run.export(spec.export, transitions, item_values)
            metrics |= run.gates()
        run.leave_together()
    return run.result(time.monotonic() - start, metrics)


class TrainingRun:
    """Model, optimiser and position of one run. Its whole state is in `_state`; everything else follows from the spec."""

    def __init__(
        self, spec: TrainSpec, cluster: Cluster, watchdog: Watchdog, log: Log, progress: Callable[[int, int], None]
    ) -> None:
        self._spec, self._cluster, self._watchdog, self._log, self._progress = spec, cluster, watchdog, log, progress
        config = spec.training
        self._files = training_files(spec.sequences.path, spec.sequences.version)
        self._steps_per_epoch = len(self._plan(0).steps)
        self._total = spec.epochs * self._steps_per_epoch
        self._content = read_item_content(spec.item_content.path, spec.item_content.version, spec.sizes)
        self.model = computing_in(config.precision, spec.model, spec.sizes, config.seed)
        self._optimizer = Optimizer(config, self._total, self.model.trainable_variables)
        objective = Objective(config.loss, self._content.train_events, spec.like_score)
        self._stepper = Stepper(self.model, self._optimizer, self._content, objective, cluster)
        valid = keep_partition(table_files(spec.sequences.path, spec.sequences.version), "split", "valid")
        self._validation = Validation(
            self.model, self._content, valid, spec.lanes, config.batch_size, cluster, objective, bool(config.rank_seen)
        )
        self._state = self._new_state()
        self._best = [tf.Variable(v.value, trainable=False) for v in self.model.trainable_variables]
        tracked: dict[str, Any] = {"optimizer": self._optimizer.state, BEST: self._best, **self._state}
        self._checkpoints = Checkpoints(spec.folder, spec, tracked)
        self._scalars = Scalars(Path(spec.folder, "scalars"))

    def _new_state(self) -> dict[str, tf.Variable]:
        return {
            "sums": tf.Variable(np.zeros(len(Sums)), trainable=False),  # of the epoch
            "loss": tf.Variable(np.zeros(2), trainable=False),  # mean losses of the last whole epoch
            "metrics": tf.Variable([-1.0] * len(METRICS), dtype=tf.float64, trainable=False),  # of the best epoch; -1: none
            "score": tf.Variable(-np.inf, dtype=tf.float64, trainable=False),  # of that epoch, higher is better
            "best_step": tf.Variable(0, dtype=tf.int64, trainable=False),
            "waited": tf.Variable(0, dtype=tf.int64, trainable=False),  # epochs since the best one
        }

    @property
    def step(self) -> int:
        return int(self._optimizer.iterations)

    @property
    def finished(self) -> bool:
        return self.step >= self._total or int(self._state["waited"]) >= self._spec.training.patience

    def restore(self) -> None:
        """Raises:
        CheckpointError: workers have found different checkpoints, as when the folder is not shared.
        """
        self._checkpoints.restore()
        self._optimizer.restored()
        steps = np.zeros(self._cluster.workers)
        steps[self._cluster.index] = self.step
        steps = self._cluster.sum(tf.constant(steps)).numpy()
        if len(set(steps)) > 1:
            raise CheckpointError(
                f"{self._spec.folder}: every worker must see the same checkpoints. They found steps {steps.tolist()}."
            )
        rows, lanes = self._plan(0).rows, self._spec.lanes
        self._log("resume" if self.step else "begin", at=self.step, of=self._total, rows=rows, lanes=lanes, device=device())

    def epoch(self) -> None:
        """The rest of the epoch that the run stands in, then its validation and its checkpoint."""
        number, first = divmod(self.step, self._steps_per_epoch)
        start = told = time.monotonic()
        lanes = self._cluster.lanes(self._spec.lanes)
        sizes, before = self._spec.sizes, self._positions()
        with closing(Prefetched(lambda: lane_batches(self._plan(number), lanes, sizes, first))) as stream:
            for batches in stream:
                sums = self._stepper.run(batches, lanes, self._spec.training.seed)
                self._state["sums"].assign_add(tf.cast(sums, tf.float64))
                self._after_step()
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    self._tell(number, first, before, told - start)
        seconds = time.monotonic() - start
        positions, steps = self._positions() - before, self._steps_per_epoch - first
        result = {
            **self._end_epoch(),
            "seconds": round(seconds, 3),
            "positions_per_second": round(positions / seconds, 1),
            "steps_per_second": round(steps / seconds, 2),
            "share_waiting_for_data": round(stream.waited / seconds, 4),
            "validation_seconds": round(time.monotonic() - start - seconds, 3),
        }
        self._log("epoch", epoch=number + 1, steps=self.step, **result)
        if self._cluster.is_chief:
            self._scalars.write(self.step, result)

    def _positions(self) -> float:
        """Positions of the epoch so far, by weight."""
        return float(self._state["sums"].numpy()[Sums.NEXT_ITEM_WEIGHT])

    def _tell(self, epoch: int, first: int, before: float, seconds: float) -> None:
        """How an epoch goes of which the steps from `first` on, after so many positions, have taken so many seconds so far."""
        done = self.step - epoch * self._steps_per_epoch - first
        self._log(
            "progress",
            epoch=epoch + 1,
            steps=self.step,
            of=self._total,
            positions_per_second=round((self._positions() - before) / seconds, 1),
            epoch_seconds_left=round(seconds / done * (self._steps_per_epoch - first - done)),
        )

    def _after_step(self) -> None:
        step = self.step
        self._watchdog.beat(f"step {step + 1}")
        self._progress(step, self._total)
        if step % self._spec.training.checkpoint_steps == 0 and step % self._steps_per_epoch:
            self._check_loss()
            self._save()

    def _check_loss(self) -> None:
        """A loss that was no number once stays none: nothing that comes after it is worth to be kept."""
        sums = self._state["sums"].numpy()
        if not np.isfinite(sums).all():
            raise self._diverged(f"the loss must be a number. It is {sums[Sums.NEXT_ITEM]}")

    def _diverged(self, what: str) -> DivergedError:
        config = self._spec.training
        return DivergedError(
            f"{what} by step {self.step}: training has diverged. "
            f"Lower training.learning_rate={config.learning_rate}, or raise training.warmup_steps={config.warmup_steps}."
        )

    def _end_epoch(self) -> dict[str, float]:
        self._check_loss()
        sums = self._state["sums"].numpy()
        weights = sums[[Sums.NEXT_ITEM_WEIGHT, Sums.VALUE_WEIGHT]]
        self._state["loss"].assign(sums[[Sums.NEXT_ITEM, Sums.VALUE]] / np.maximum(weights, 1))
        self._state["sums"].assign(np.zeros(len(Sums)))
        metrics = self._judge()
        self._save()
        return {"loss": float(self._state["loss"][0]), "value_loss": float(self._state["loss"][1]), **metrics}

    def _judge(self) -> dict[str, float]:
        """Validates the averaged weights; keeps them if they are the best so far, or if no metric has told any apart yet."""
        averages = self._optimizer.averages()
        if not all(np.isfinite(weights.numpy()).all() for weights in averages):  # the last step's, after a loss that was one
            raise self._diverged("weights must be numbers. Some are not")
        metrics = self._validation.metrics(averages, self._watchdog)
        self._watchdog.beat("end of epoch")
        score, best = self._score(metrics), float(self._state["score"])
        if metrics and score == -np.inf:
            self._log("not_judged", reason="no target of the validation split is ranked among the first ten")
        if not score > best and best > -np.inf:
            self._state["waited"].assign_add(1)
            return metrics
        self._state["score"].assign(score)
        self._state["metrics"].assign([metrics.get(name, -1.0) for name in METRICS])
        self._state["waited"].assign(0)
        self._state["best_step"].assign(self.step)
        assign(self._best, averages)
        return metrics

    def _score(self, metrics: Mapping[str, float]) -> float:
        """How good the weights are, higher is better; -inf: the metrics do not tell, as where no target is found at all."""
        if self._spec.training.keep_by == "ranking" or not metrics:
            return metrics.get(NDCG) or -np.inf
        if VALUE_LOSS not in metrics:
            raise StreamError(f"{self._spec.sequences.path}: training.keep_by: value needs values in the validation split.")
        return -metrics[VALUE_LOSS]

    def _save(self) -> None:
        if self._cluster.is_chief:
            self._checkpoints.save(self.step)

    def _plan(self, epoch: int) -> EpochPlan:
        config = self._spec.training
        return plan_epoch(
            self._files,
            seed=config.seed,
            epoch=epoch,
            lanes=self._spec.lanes,
            batch_size=config.batch_size,
            batch_positions=config.batch_positions,
        )

    def keep_best(self) -> None:
        """Puts the best weights into the model; training is over."""
        assign(self.model.trainable_variables, self._best)

    def weigh_transitions(self) -> tuple[Transitions, dict[str, float]]:
        """What scores get on top of the kept weights, and the metrics of the whole; all workers take part."""
        pinned = self._spec.item_transitions
        by_reach = read_transitions(pinned.path, pinned.version, self._spec.sizes.items)
        self._watchdog.beat("transitions")
        if not self._spec.model.transitions:  # exported all the same, as the chain is also judged alone
            return self._validation.weigh_transitions(by_reach, self._watchdog, weights=(0.0,))[0], {}
        transitions, metrics = self._validation.weigh_transitions(by_reach, self._watchdog)
        metrics = {"transition_weight": transitions.weight, "transition_fading": transitions.fading, **metrics}
        self._log("transitions", **metrics)
        return transitions, metrics

    def weigh_values(self) -> tuple[ItemValues, dict[str, float]]:
        """What values are told by beside the kept weights, and the metrics of both; all workers take part."""
        pinned = self._spec.item_values
        item_values = read_item_values(pinned.path, pinned.version, self._spec.sizes.items)
        has_values = float(self._state["metrics"][METRICS.index(VALUE_LOSS)]) >= 0  # of the validation split
        if not self._spec.model.item_values or not has_values:
            return item_values, {}
        self._watchdog.beat("item values")
        item_values, metrics = self._validation.weigh_values(item_values, self._watchdog)
        names = ("value_of_head", "value_of_biases", "value_of_neighbours", "value_constant")
        metrics = {**dict(zip(names, item_values.weights, strict=True)), **metrics}
        self._log("item_values", **metrics)
        return item_values, metrics

    def export(self, folder: str, transitions: Transitions, item_values: ItemValues) -> None:
        """Writes the model to `folder`, checked on real rows of the table."""
        self._alone("export")
        steps = int(self._state["best_step"])
        card = {
            "model_id": self._spec.model_id,
            "inputs": self._spec.versions,
            "names": self._spec.names,
            "seed": self._spec.training.seed,
            "steps": steps,
            "like_score": self._spec.like_score,
            "predicts_values": self._spec.training.loss.value > 0,
        }
        whole = Recommender(self._spec.model, self._spec.sizes)  # executors compute in float32, whatever training did
        assign(whole.trainable_variables, self._best)
        export_model(whole, self._content, transitions, item_values, folder, self._sample, card, self._alone)
        self._log("export", folder=folder)

    @cached_property
    def _sample(self) -> Batch:
        """Real rows of the table."""
        plan = plan_epoch(self._files, seed=0, epoch=0, lanes=1, batch_size=SAMPLE_ROWS)
        with closing(lane_batches(plan, [0], self._spec.sizes)) as stream:
            (sample,) = next(stream)
        return sample

    def gates(self) -> dict[str, float]:
        """Mean gates of the kept weights, named as they stand among the metrics."""
        self._alone("gates")
        return {f"{GATE}{name}": gate for name, gate in mean_gates(self.model, self._content, self._sample).items()}

    def _alone(self, doing: str) -> None:
        """The chief does this while the others wait in `leave_together`, each time as long as a step may take."""
        self._watchdog.beat(doing)
        self._cluster.sum(tf.constant(1.0))

    def leave_together(self) -> None:
        """Waits until the chief is done, too: a worker that leaves looks to the others like one that died."""
        while self._cluster.sum(tf.constant(0.0)) > 0:
            self._watchdog.beat("wait for the chief")

    def result(self, seconds: float, further: Mapping[str, float]) -> TrainingResult:
        loss, value_loss = self._state["loss"].numpy().tolist()
        metrics = {"loss": loss, "value_loss": value_loss, "seconds": seconds}
        kept = dict(zip(METRICS, self._state["metrics"].numpy().tolist(), strict=True))
        metrics |= {name: number for name, number in kept.items() if number >= 0}
        return TrainingResult(int(self._state["best_step"]), self._plan(0).rows, device(), {**metrics, **further})
