"""Principal directions of many vectors: fitted by Spark, stored in `projections`, applied inside the JVM.

The second moments are summed over the cluster, and decomposed on the driver: they are as many as the square of the entries
of a vector, which is declared, however many vectors there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pyspark.ml.common import _py2java
from pyspark.ml.feature import PCAModel
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import DenseMatrix, DenseVector
from pyspark.mllib.linalg.distributed import RowMatrix
from pyspark.mllib.util import MLUtils
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

# Sums over a cluster differ in their last digits from run to run, and directions of equal variance would turn with them.
_DECIMALS = 8  # of the moments, as shares of the greatest
_NEGLIGIBLE = 1e-6  # of the greatest variance: directions below it are rounding errors


@dataclass(frozen=True)
class Projection:
    """Takes a vector x to sum over its entries e of (x[e] weights[e] - means[e]) basis[e].

    basis    (entries, size) float32
    weights  (entries,) float64, 1 where entries are taken as they are
    means    (entries,) float64, 0 where nothing is subtracted
    terms    what the entries count; empty where they are numbered only
    """

    basis: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    terms: Sequence[str] = ()


def second_moments(vectors: DataFrame, column: str) -> np.ndarray:
    """The sum of the products of each two entries, (entries, entries) float64, over all vectors of a column of Spark ML."""
    rows = MLUtils.convertVectorColumnsFromML(vectors.select(column), column)
    return RowMatrix(rows).computeGramianMatrix().toArray()


def principal(moments: np.ndarray, size: int) -> np.ndarray:
    """The directions of most variance, each scaled so that the variance along it becomes 1.

    Args:
        moments: (entries, entries) float64, the mean of the products; less those of the means for a PCA, as is for an SVD.
        size: directions; columns beyond the rank of `moments` are zeros.
    Returns:
        (entries, size) float32, the greatest first; in each the entry that is greatest in size is positive, so that a
        direction does not depend on how it was found.
    """
    unit = np.abs(moments).max() or 1.0
    variances, directions = np.linalg.eigh(np.round(moments / unit, _DECIMALS))
    basis = np.zeros((len(moments), size))
    for j, variance in enumerate(variances[::-1][:size]):
        if variance > _NEGLIGIBLE * variances[-1]:
            direction = directions[:, -1 - j]
            greatest = direction[np.argmax(np.abs(np.round(direction, 6)))]
            basis[:, j] = direction * np.sign(greatest) / np.sqrt(variance * unit)
    return basis.astype(np.float32)


def projected(df: DataFrame, column: str, basis: np.ndarray, into: str) -> DataFrame:
    """`df` with the products of a column of Spark ML vectors with `basis`, array<double>, as a column `into`."""
    context, temporary = df.sparkSession.sparkContext, f"_{into}_{uuid4().hex}"
    rows, size = basis.shape
    matrix = DenseMatrix(rows, size, basis.astype(np.float64).ravel(order="F").tolist())
    # As pyspark.ml makes its own models; there is no public way to a model of given directions.
    parts = [_py2java(context, part) for part in (matrix, DenseVector(np.zeros(size)))]
    model = PCAModel(PCAModel._new_java_obj("org.apache.spark.ml.feature.PCAModel", PCAModel().uid, *parts))
    model._set(inputCol=column, outputCol=temporary, k=size)
    products = model.transform(df)
    return products.withColumn(into, vector_to_array(F.col(temporary))).drop(temporary)


def projection_rows(spark: SparkSession, projection: Projection, owner: str, column: str, until: int) -> DataFrame:
    """The rows of `projections` that hold one projection."""
    entries = len(projection.basis)
    columns = {
        "owner": pa.array([owner] * entries, pa.string()),
        "column": pa.array([column] * entries, pa.string()),
        "entry": pa.array(range(entries), pa.int32()),
        "term": pa.array(projection.terms, pa.string()) if projection.terms else pa.nulls(entries, pa.string()),
        "weight": pa.array(projection.weights, pa.float64()),
        "mean": pa.array(projection.means, pa.float64()),
        "basis": pa.array(list(projection.basis), pa.list_(pa.float32())),
    }
    rows = spark.createDataFrame(pa.table(columns))
    return rows.withColumn("fitted_until", F.timestamp_micros(F.lit(until)))


def read_projection(projections: DataFrame, owner: str, column: str) -> Projection | None:
    """A projection as it was stored; None: none was fitted. Collects as many rows as its vectors have entries."""
    rows = projections.where((F.col("owner") == owner) & (F.col("column") == column)).orderBy("entry").collect()
    if not rows:
        return None
    return Projection(
        basis=np.array([row["basis"] for row in rows], np.float32),
        weights=np.array([row["weight"] for row in rows]),
        means=np.array([row["mean"] for row in rows]),
        terms=[row["term"] for row in rows if row["term"] is not None],
    )
