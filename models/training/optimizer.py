"""The optimiser: AdamW over all weights at once, and the moving average of the weights.

The average moves with a decay of min(average, (1 + n) / (10 + n)) after n steps, so that it never is that of a start which a
short run would not forget.
Reference: `num_updates` of https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import keras
import tensorflow as tf

from models.config import TrainingConfig

NOT_DECAYED = re.compile("bias|gamma|beta|position_scale")  # names of weights that weight decay leaves alone


def learning_rate(config: TrainingConfig, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up, then a cosine down to 0 at `steps`."""
    warmup = min(config.warmup_steps, steps // 2)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(steps - warmup, 1),
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def assign(variables: Sequence[tf.Variable | keras.Variable], values: Sequence[tf.Tensor]) -> None:
    """Sets each variable to its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Optimizer:
    """Trains the weights it is given: AdamW, gradients clipped by the norm of them all, a moving average beside.

    What it trains are two flat copies, of the weights that decay and of the others: some seventy variables would be as many
    small updates a step, and a third of the time that a process takes to trace its first.
    """

    def __init__(self, config: TrainingConfig, steps: int, weights: Sequence[keras.Variable]) -> None:
        """Args:
        steps: of the whole run.
        weights: of the model, with their initial values; `step` and `restored` set them.
        """
        self._weights = list(weights)
        self._sizes = [w.shape.num_elements() for w in self._weights]
        self._groups: dict[str, list[int]] = {"decayed": [], "others": []}  # numbers of the weights of each
        for number, weight in enumerate(self._weights):
            self._groups["others" if NOT_DECAYED.search(weight.name) else "decayed"].append(number)
        flat = self._flat([tf.reshape(w.value, [-1]) for w in self._weights])
        self._variables = [keras.Variable(v, name=name) for name, v in zip(self._groups, flat, strict=True)]
        self._average = config.average
        # Keras' own average never forgets the random start in a run of a few hundred steps, so it is kept here.
        self._averages = [keras.Variable(tf.identity(v.value), trainable=False) for v in self._variables if config.average]
        self._adam = keras.optimizers.AdamW(
            learning_rate(config, steps), weight_decay=config.weight_decay, global_clipnorm=config.clip_norm
        )
        self._adam.exclude_from_weight_decay(var_names=["others"])
        self._adam.build(self._variables)

    @property
    def iterations(self) -> tf.Variable:
        """Steps done, () int."""
        return self._adam.iterations.value

    @property
    def state(self) -> list[tf.Variable]:
        """All that a later step depends on, the weights included; `restored` is to be called after it is set."""
        return [v.value for v in (*self._variables, *self._averages, *self._adam.variables)]

    def restored(self) -> None:
        """Sets the model's weights to those of the state."""
        assign(self._weights, self._whole(self._variables))

    def step(self, gradients: tf.Tensor) -> None:
        """One step; gradients are flat, (n,) float32, weight by weight in the order in which those were given."""
        done = tf.cast(self.iterations, tf.float32)
        self._adam.apply(self._flat(tf.split(gradients, self._sizes)), self._variables)
        new = 1.0 - tf.minimum(self._average, (1.0 + done) / (10.0 + done))  # what a step counts for: most of it at first
        for average, variable in zip(self._averages, self._variables, strict=False):
            average.assign_add(new * (variable.value - average.value))
        self.restored()

    def averages(self) -> list[tf.Tensor]:
        """The moving average of each weight, or the weight where none is kept; training goes on undisturbed."""
        return self._whole(self._averages or self._variables)

    def _flat(self, parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Flat tensors of every weight to one of each group."""
        return [tf.concat([parts[i] for i in group], axis=0) for group in self._groups.values()]

    def _whole(self, flat: Sequence[keras.Variable]) -> list[tf.Tensor]:
        """The flat variable of each group as the weights in it, in their shapes."""
        whole = dict[int, tf.Tensor]()
        for group, variable in zip(self._groups.values(), flat, strict=True):
            whole |= zip(group, tf.split(variable.value, [self._sizes[i] for i in group]), strict=True)
        return [tf.reshape(whole[i], w.shape) for i, w in enumerate(self._weights)]
