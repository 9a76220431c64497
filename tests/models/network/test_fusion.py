import numpy as np
import pytest
import tensorflow as tf

from models.network.fusion import LARGEST, Fusion, GatedNumbers
from models.network.trace import Trace


def parts() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    return {name: tf.constant(rng.normal(size=(7, 4)), tf.float32) for name in ("a", "b", "c")}


def test_a_new_fusion_is_the_plain_sum():
    given = parts()
    for gated in (True, False):
        np.testing.assert_allclose(Fusion(gated, 3, 0)(given), sum(p.numpy() for p in given.values()), rtol=1e-6)


def test_each_part_is_weighed_by_its_gate_which_looks_at_all_of_them():
    given, fusion, trace = parts(), Fusion(True, 3, 0), Trace()
    fusion(given)
    kernel, bias = (np.random.default_rng(1).normal(size=shape).astype("f") for shape in ((4, 3), (3,)))
    fusion.gates.set_weights([kernel, bias])
    total = sum(p.numpy() for p in given.values())
    gates = 2 / (1 + np.exp(-(total @ kernel + bias)))
    expected = sum(gates[:, i : i + 1] * p.numpy() for i, p in enumerate(given.values()))
    np.testing.assert_allclose(fusion(given, trace=trace), expected, rtol=1e-5)
    for i, name in enumerate(given):
        np.testing.assert_allclose(trace.found[name], gates[:, i], rtol=1e-5)


def test_numbers_are_gated_one_by_one():
    layer, trace = GatedNumbers(True, 3, 5, 0, "numbers"), Trace()
    numbers = np.random.default_rng(0).normal(size=(6, 3)).astype("f")
    layer(numbers)
    layer.gates.set_weights([np.zeros((3, 3)), np.array([-100.0, 0.0, 100.0])])  # never, as it is, twice
    expected = layer.projection(numbers * np.array([0.0, 1.0, 2.0], "f"))
    np.testing.assert_allclose(layer(numbers, trace=trace), expected, atol=1e-6)
    assert [float(g[0]) for g in trace.found.values()] == pytest.approx([0, 1, 2])


@pytest.mark.parametrize("gated", [True, False])
def test_a_number_beyond_all_others_counts_as_the_largest_that_there_is(gated):
    layer = GatedNumbers(gated, 2, 5, 0, "numbers")
    found = layer(np.array([[1e30, -np.inf], [LARGEST, -LARGEST]], "f")).numpy()
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize(("gated", "number"), [(True, 1), (False, 3)])
def test_what_is_not_gated_has_no_variables(gated, number):
    assert Fusion(gated, number, 0).gates is None
