"""What a scenario declares about the choice of features and about their drift."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

from features.section import Section


class Selection(Section):
    """Which features the model sees; each rule leaves out what breaks it. Features that are no number are never seen."""

    max_nulls: Annotated[float, Field(ge=0, le=1)] = 0.99  # share of training rows without a value
    min_distinct: PositiveInt = 2
    min_information: NonNegativeFloat = 0.0  # mutual information with the label, in nats
    max_correlation: Annotated[float, Field(gt=0, le=1)] = 1.0  # absolute; of a cluster the most informative feature stays


class Threshold(Section):
    warn: NonNegativeFloat | None = None
    fail: NonNegativeFloat | None = None  # ends the run with 3


class Drift(Section):
    """How far the newest month may be from a reference month."""

    reference: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
    psi: Threshold = Threshold(warn=0.25)
    ks: Threshold = Threshold()
    new_labels: Threshold = Threshold()  # share of rows whose label the reference month has not
    min_rows: PositiveInt = 200  # a month with fewer rows of days with events is not judged, nor are others against it
