"""What a scenario may declare about its model, its training and its scoring."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

NEGATIVES = 1024  # that are drawn where a softmax draws any and no number is declared

Rate = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(Section):
    dim: PositiveInt = 64
    heads: PositiveInt = 2
    encoder_layers: PositiveInt = 1
    decoder_layers: PositiveInt = 1
    feed_forward: PositiveInt = 4  # width of the inner layer, in dims
    activation: Literal["relu", "squared_relu"] = "squared_relu"  # of the inner layer
    convolution: PositiveInt = 3  # positions over which self-attention mixes what it reads, channel by channel; 1: none
    dropout: Rate = 0.2
    attention_dropout: Rate = 0.0  # of attention weights
    positions: Literal["sine", "learned", "none"] = "sine"  # what is added to an event for its place in the history
    relative_positions: bool = False  # attention learns how much to look at events so many positions back
    relative_times: bool = False  # and so long ago
    gates: bool = True  # parts of an embedding and user features are weighed by learned gates, not just summed
    transitions: bool = True  # scores also know what usually comes right after the last events, as much as validation says
    item_values: bool = True  # values are also told by those that the user gave to items alike, as validation weighs it
    # The request token knows when it is asked: time since the last event, hour, weekday. Null: if the source has times
    request_context: bool | None = None

    @property
    def knows_request_time(self) -> bool:
        return self.request_context is not False

    @model_validator(mode="after")
    def heads_divide_dim(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim must be a multiple of heads. Received dim={self.dim}, heads={self.heads}.")
        if self.dim % 2:
            raise ValueError(f"dim must be even, sines and cosines alternate. Received dim={self.dim}.")
        return self


class LossConfig(Section):
    """Weights of the losses, and what they are."""

    next_item: NonNegativeFloat = 1.0  # of telling the next item apart from the others
    value: NonNegativeFloat = 0.1  # of the rating head; counts only where the source has explicit values
    # full: cross entropy over all items; sampled: over drawn ones, with logQ correction; gbce: binary cross entropy with
    # drawn items, calibrated so that scores stay probabilities; bce: the same without calibration; null: train_model chooses
    # full or sampled by the number of items.
    softmax: Literal["full", "sampled", "gbce", "bce"] | None = None
    # Items that a target is told apart from, drawn anew each step; 0: all items. Default: NEGATIVES with a softmax that draws
    negatives: NonNegativeInt = 0
    per_position: bool = False  # each position has negatives of its own; else all positions of a step share them
    popularity_power: NonNegativeFloat = 0.0  # they are drawn by training events to this power; 0: all alike
    calibration: Annotated[float, Field(ge=0, le=1)] = 0.75  # of gbce; 0: as bce, 1: scores as of the whole softmax
    like_from: float | None = None  # the rating head learns whether a value is at least this, and not the value

    @model_validator(mode="before")
    @classmethod
    def as_many_are_drawn_as_usual(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("softmax") not in (None, "full"):
            return {"negatives": NEGATIVES, **given}
        return given

    @model_validator(mode="after")
    def negatives_are_drawn_where_needed(self) -> Self:
        draws = self.softmax not in (None, "full")
        if draws != (self.negatives > 0):
            raise ValueError(
                "negatives must go with a softmax that draws them and is declared: sampled, gbce or bce. "
                f"Received softmax={self.softmax}, negatives={self.negatives}."
            )
        of_drawn = [name for name in ("per_position", "popularity_power") if getattr(self, name)]
        if of_drawn and not draws:
            raise ValueError(
                f"{', '.join(of_drawn)} must go with a softmax that draws negatives. Received softmax={self.softmax}."
            )
        return self

    @model_validator(mode="after")
    def something_is_learnt(self) -> Self:
        if not self.next_item and not self.value:
            raise ValueError("next_item and value must not both be 0: nothing would be learnt. Received 0 and 0.")
        if self.like_from is not None and not self.value:
            raise ValueError(f"like_from needs a rating head that learns, value above 0. Received like_from={self.like_from}.")
        return self


class TrainingConfig(Section):
    workers: PositiveInt = 1
    # Parts of a batch, shared by the workers, so that batches do not depend on workers; nor do results, but for the last bits
    # where more than two workers add up. Default: workers
    lanes: PositiveInt | None = None
    epochs: PositiveInt | None = None  # null: train_model chooses, fewer for a larger log
    # Examples of one step, over all workers. More make an epoch faster, and leave a thousand users with too few steps.
    batch_size: PositiveInt = 32
    batch_positions: PositiveInt | None = None  # instead: positions of one step, so that short histories fill it with more
    learning_rate: PositiveFloat = 1e-3
    warmup_steps: NonNegativeInt = 100
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: PositiveFloat = 1.0
    average: Rate = 0.995  # decay of the moving average of the weights that is exported, less in the first steps; 0: none
    rank_seen: bool | None = None  # whether validation also ranks what a user has seen; null: if scoring recommends it
    keep_by: Literal["ranking", "value"] = "ranking"  # the best weights rank validation best, or tell its values best
    patience: PositiveInt = 10  # epochs without better weights before training ends
    checkpoint_steps: PositiveInt = 200
    step_timeout_seconds: PositiveInt = 300  # a step that takes longer ends the worker
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["float32", "mixed_bfloat16"] = "float32"  # of products; mixed: halves on GPUs, weights stay float32
    gpu: bool = False  # each worker takes one of its machine's GPUs, where there are any, and of its memory what it needs
    loss: LossConfig = LossConfig()

    @model_validator(mode="after")
    def what_is_kept_has_learnt(self) -> Self:
        if self.keep_by == "value" and not self.loss.value:
            raise ValueError("keep_by: value needs a rating head that learns, loss.value above 0. Received loss.value=0.")
        return self

    @model_validator(mode="after")
    def lanes_are_shared_evenly(self) -> Self:
        lanes = self.lanes or self.workers
        if lanes % self.workers or self.batch_size % lanes:
            raise ValueError(
                "lanes must be a multiple of workers and divide batch_size. "
                f"Received workers={self.workers}, lanes={lanes}, batch_size={self.batch_size}."
            )
        return self


class ScoringConfig(Section):
    model_id: str | None = None  # row of `models` to score with; the newest where none is given
    top_k: PositiveInt = 100
    exclude: tuple[Literal["seen"], ...] = ("seen",)  # empty where users come back to what they know
    fallback: tuple[Literal["popular_in_segment", "popular"], ...] = ("popular_in_segment", "popular")
    active_days: PositiveInt | None = None  # users with an event in so many whole days before the day are scored; all, if none
    popular_days: PositiveInt | None = None  # whole days before the day of scoring that popularity looks back; all, if none

    @property
    def leaves_out_seen(self) -> bool:
        return "seen" in self.exclude


class EvaluationConfig(Section):
    cutoffs: tuple[PositiveInt, ...] = (5, 10, 20, 50)
    users: PositiveInt | None = 50_000  # the most users of each split that are judged, by hash of their ids; null: all
    recent_days: PositiveInt = 30  # days at the end of the training period by which recent_popularity ranks
    report_users: NonNegativeInt = 5  # users whose recommendations the report shows

    @field_validator("cutoffs")
    @classmethod
    def cutoffs_are_different(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError(f"cutoffs must be one or more, all different. Received {list(value)}.")
        return value
