"""The optimiser: AdamW over all weights at once, and the moving average of the weights."""

from __future__ import annotations

import re
from collections.abc import Sequence

import keras
import tensorflow as tf

from models.config import TrainingConfig

NOT_DECAYED = re.compile("bias|gamma|beta|loudness")  # names of weights that weight decay leaves alone


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
        self._adam = keras.optimizers.AdamW(
            learning_rate(config, steps),
            weight_decay=config.weight_decay,
            global_clipnorm=config.clip_norm,
            use_ema=config.average > 0,
            ema_momentum=config.average or 0.99,
            ema_overwrite_frequency=None,
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
        return [v.value for v in (*self._variables, *self._adam.variables)]

    def restored(self) -> None:
        """Sets the model's weights to those of the state."""
        assign(self._weights, self._whole())

    def step(self, gradients: tf.Tensor) -> None:
        """One step; gradients are flat, (n,) float32, weight by weight in the order in which those were given."""
        self._adam.apply(self._flat(tf.split(gradients, self._sizes)), self._variables)
        self.restored()

    def averages(self) -> list[tf.Tensor]:
        """The moving average of each weight, or the weight where none is kept; training goes on undisturbed."""
        training = [tf.identity(v.value) for v in self._variables]
        self._adam.finalize_variable_values(self._variables)  # does nothing without an average
        averages = self._whole()
        assign(self._variables, training)
        return averages

    def _flat(self, parts: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Flat tensors of every weight to one of each group."""
        return [tf.concat([parts[i] for i in group], axis=0) for group in self._groups.values()]

    def _whole(self) -> list[tf.Tensor]:
        """The weights as they are trained, in their shapes."""
        whole = dict[int, tf.Tensor]()
        for group, variable in zip(self._groups.values(), self._variables, strict=True):
            whole |= zip(group, tf.split(variable.value, [self._sizes[i] for i in group]), strict=True)
        return [tf.reshape(whole[i], w.shape) for i, w in enumerate(self._weights)]
