"""Vectors that the source supplies: checked for size, and reduced where that is declared."""

from __future__ import annotations

import numpy as np
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.fields import Vector
from features.content.projections import Projection, principal, projected, second_moments
from features.errors import ContractError

_VECTOR = "_supplied_vector"


def check_vectors(items: DataFrame, field: Vector) -> None:
    """Every supplied vector has the declared size.

    Raises:
        ContractError: naming how many have another, and the first of them.
    """
    wrong = items.where(F.size(field.vector) != field.size)
    count, first = wrong.agg(F.count("*"), F.min(F.struct("item_id", F.size(field.vector).alias("size")))).head()  # type: ignore[misc]
    if count:
        raise ContractError(
            f"items: {field.vector} must have the {field.size} entries that content.item declares. Received {count} items "
            f"with another size, such as {first['item_id']} with {first['size']}."
        )


def root_mean_square(field: Vector) -> Column:
    """The aggregate that a vector is divided by which is not reduced, so that its entries have mean square 1."""
    squares = F.aggregate(F.col(field.vector), F.lit(0.0), lambda total, x: total + x.cast("double") * x.cast("double"))
    return F.sqrt(F.avg(squares) / field.size)


def fit_vectors(items: DataFrame, field: Vector) -> Projection | None:
    """The directions of most variance; None: no item of the training period has a vector.

    Along each direction the vectors' mean square is 1: around their mean for a PCA, around zero for an SVD.
    """
    entries = F.transform(F.col(field.vector), lambda x: x.cast("double"))
    # A last entry of 1 makes the sums of the others, and their number, moments too: one pass for all.
    rows = items.where(F.col(field.vector).isNotNull()).select(
        array_to_vector(F.concat(entries, F.array(F.lit(1.0)))).alias(_VECTOR)
    )
    if rows.isEmpty():
        return None
    sums = second_moments(rows, _VECTOR)
    moments, means = sums[:-1, :-1] / sums[-1, -1], sums[-1, :-1] / sums[-1, -1]
    if field.with_ == "svd":
        means = np.zeros(field.size)
    basis = principal(moments - np.outer(means, means), field.reduce_to or field.size)
    return Projection(basis, np.ones(field.size), means)


def with_vector(df: DataFrame, field: Vector, projection: Projection, into: str) -> DataFrame:
    """`df` with the reduced vector, array<double>, as a column `into`; null where there is none."""
    entries = F.transform(F.col(field.vector), lambda x: x.cast("double"))
    given = F.coalesce(entries, F.array_repeat(F.lit(0.0), field.size))
    products = projected(df.withColumn(_VECTOR, array_to_vector(given)), _VECTOR, projection.basis, into).drop(_VECTOR)
    shift = F.array(*[F.lit(float(x)) for x in projection.means @ projection.basis.astype(np.float64)])
    centred = F.zip_with(into, shift, lambda x, y: x - y)
    return products.withColumn(into, F.when(F.col(field.vector).isNotNull(), centred))
