"""Texts as TF-IDF, reduced to a few numbers by a singular value decomposition (latent semantic analysis).

A text's vector counts its terms, each count weighted by the term's inverse document frequency, and has length 1: so a
long text weighs as much as a short one. Reference: Deerwester et al. 1990, Indexing by latent semantic analysis.
"""

from __future__ import annotations

import numpy as np
from pyspark.ml.feature import CountVectorizerModel, ElementwiseProduct, Normalizer
from pyspark.ml.linalg import Vectors
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.projections import Projection, principal, projected, second_moments

_NO_TERM = r"[^\p{L}\p{N}]+"
_TERMS, _COUNTS, _WEIGHTED, _VECTOR = "_text_terms", "_text_counts", "_text_weighted", "_text_vector"


def terms(text: Column) -> Column:
    """Words of two letters or digits and more, lower case, in their order."""
    return F.filter(F.split(F.lower(text), _NO_TERM), lambda word: F.length(word) > 1)


def fit_text(entities: DataFrame, text: Column, size: int, most: int) -> Projection | None:
    """The IDF of the most frequent terms, and the directions of most weight; None: no term stands in two texts.

    IDF is log((texts + 1) / (texts with the term + 1)), as in Spark ML. Along each direction the texts' mean square is 1.

    Args:
        entities: rows of the training period only.
        size: directions.
        most: terms, the most frequent ones, ties by name.
    """
    documents = entities.select(terms(text).alias(_TERMS)).where(F.size(_TERMS) > 0)
    # The empty term, which no text has, stands for all of them: it counts the texts.
    each = documents.select(F.explode(F.array_union(_TERMS, F.array(F.lit("")))).alias("term"))
    counted = each.groupBy("term").count().where("count > 1").orderBy(F.desc("count"), "term").limit(most + 1).collect()
    if len(counted) < 2:
        return None
    texts, found = counted[0]["count"], counted[1:]
    idf = np.log((texts + 1) / (np.array([row["count"] for row in found]) + 1))
    vocabulary = [row["term"] for row in found]
    moments = second_moments(_vectors(documents, vocabulary, idf), _VECTOR) / texts
    return Projection(principal(moments, size), idf, np.zeros(len(found)), vocabulary)


def with_text(df: DataFrame, text: Column, projection: Projection, into: str) -> DataFrame:
    """`df` with the text's numbers, array<double> of the projection's size, as a column `into`; zeros where it has no known
    term."""
    vectors = _vectors(df.withColumn(_TERMS, terms(text)), list(projection.terms), projection.weights)
    return projected(vectors, _VECTOR, projection.basis, into).drop(_TERMS, _VECTOR)


def _vectors(df: DataFrame, vocabulary: list[str], idf: np.ndarray) -> DataFrame:
    """`df` with the weighted counts of each vocabulary term among its terms, as a sparse vector of length 1 or 0."""
    counts = CountVectorizerModel.from_vocabulary(vocabulary, _TERMS, _COUNTS).transform(df)
    weigh = ElementwiseProduct(scalingVec=Vectors.dense(idf), inputCol=_COUNTS, outputCol=_WEIGHTED)
    return Normalizer(inputCol=_WEIGHTED, outputCol=_VECTOR).transform(weigh.transform(counts)).drop(_COUNTS, _WEIGHTED)
