"""Deviations: what a folded layer may be off by, and what it may not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from folding.equivalence.deviations import Deviation, by_its_own, deviation
from folding.equivalence.sampling import Sampled
from folding.floats import FLOATS

F32 = FLOATS[TensorProto.FLOAT]
U = F32.roundoff
TYPES = list(FLOATS)


def of(
    exact: list[float],
    reference: list[float],
    candidate: list[float],
    sizes: list[float] | None = None,
    *,
    channels: int = 1,
    elem_type: int = TensorProto.FLOAT,
) -> Deviation:
    """The deviation of some elements, by default of layers in which nothing cancels."""
    magnitude = np.abs(exact) if sizes is None else np.asarray(sizes)
    sampled = Sampled(np.asarray(exact, np.float64), magnitude)
    arrays = np.asarray(reference), np.asarray(candidate)
    return deviation(sampled, *arrays, channels, FLOATS[elem_type])


@pytest.mark.parametrize(("roundings", "passes"), [(7.9, True), (8.1, False)])
def test_eight_roundings_of_the_terms_are_allowed(roundings: float, passes: bool) -> None:  # noqa: FBT001
    """S counts, not the result: terms that cancel leave their roundings behind."""
    found = of([1.0], [1.0], [1.0 + roundings * U * 100], [100.0])

    assert (found.worst <= 1) is passes
    assert found.worst == pytest.approx(roundings / 8)


@pytest.mark.parametrize(("times", "passes"), [(1.9, True), (2.1, False)])
def test_twice_the_error_of_the_reference_is_allowed(times: float, passes: bool) -> None:  # noqa: FBT001
    """On top of the roundings of S, which are nothing beside it here."""
    error = 1e-2

    assert (of([1.0], [1.0 + error], [1.0 - times * error]).worst <= 1) is passes


def test_a_candidate_that_is_nearer_to_the_truth_than_the_reference_passes() -> None:
    """However far the reference is off."""
    assert of([1e-2, 2e-2], [9.0, -9.0], [1e-2, 2e-2]).worst == 0


def test_the_error_of_the_reference_excuses_its_own_channel_only() -> None:
    exact, reference, candidate = [1.0, 1.0] * 2, [1.5, 1.0] * 2, [1.0, 1.0, 1.0, 1.5]

    found = of(exact, reference, candidate, channels=2)

    assert found.worst > 1000
    assert found.channel == 1


def test_the_error_of_the_reference_anywhere_in_a_channel_excuses_all_of_it() -> None:
    """Of the few elements that are sampled, one may be exact by chance."""
    assert of([1.0] * 2, [1.5, 1.0], [1.0, 1.5]).worst <= 1


def test_the_worst_channel_is_named() -> None:
    found = of([1.0] * 6, [1.0] * 6, [1.0, 1.1, 1.0, 1.0, 1.0, 1.2], channels=3)

    assert found.channel == 2


def test_half_of_what_is_allowed_is_the_size_of_the_noise() -> None:
    """In each channel at its largest terms, with the error of the reference."""
    found = of([1, 1, 1, 1], [1, 1.5, 1, 1], [1] * 4, [1, 2, 4, 8], channels=2)

    np.testing.assert_allclose(found.half, [4 * U * 4, 4 * U * 8 + 0.5], rtol=1e-12)


@pytest.mark.parametrize("given", [np.nan, np.inf, -np.inf])
def test_no_number_where_there_should_be_one_is_infinitely_off(given: float) -> None:
    assert of([1.0, 1.0], [1.0, 1.0], [1.0, given]).worst == np.inf


@pytest.mark.parametrize("given", [0.0, 1e38, np.nan, np.inf])
def test_where_the_way_may_overflow_nothing_is_said(given: float) -> None:
    """A sum of terms near the type's maximum overflows or not by its order."""
    found = of([1.0], [1.0], [given], [F32.largest / 8])

    assert found.worst == 0
    assert np.isfinite(found.half).all()


@pytest.mark.parametrize("exact", [np.nan, np.inf])
def test_where_the_exact_result_is_no_number_nothing_is_said(exact: float) -> None:
    found = of([exact], [1.0], [5.0], [1.0])

    assert found.worst == 0
    assert np.isfinite(found.half).all()


def test_where_the_reference_alone_overflows_nothing_is_said_there_but_elsewhere_it_is() -> None:
    found = of([1.0, 1.0], [np.inf, 1.0], [3.0, 2.0])

    assert 1 < found.worst < np.inf


@pytest.mark.parametrize("elem_type", TYPES)
def test_zeros_are_as_they_should_be(elem_type: int) -> None:
    """Nothing is allowed beside a few of the type's least numbers, and nothing is wrong."""
    zeros = [0.0, 0.0]

    assert of(zeros, zeros, zeros, zeros, elem_type=elem_type).worst == 0


@pytest.mark.parametrize("elem_type", TYPES)
def test_a_few_of_the_least_numbers_are_no_deviation(elem_type: int) -> None:
    """Below the normal numbers rounding errors are absolute."""
    kind = FLOATS[elem_type]
    least = 2 * kind.tiny * kind.roundoff or 2.0**-1074
    value = 100 * least

    assert of([value], [value], [value + 3 * least], elem_type=elem_type).worst <= 1
    assert of([value], [value], [value + 9 * least], elem_type=elem_type).worst > 1


@pytest.mark.parametrize("elem_type", TYPES)
def test_each_type_has_its_own_roundings(elem_type: int) -> None:
    u = FLOATS[elem_type].roundoff

    found = of([1.0], [1.0], [1.0 + 8 * u], elem_type=elem_type)

    assert found.worst == pytest.approx(1.0, rel=1e-3)


def test_no_elements_are_no_deviation() -> None:
    """A batch may be empty."""
    found = of([], [], [], channels=3)

    assert found.worst == 0
    assert found.half.shape == (3,)


@pytest.mark.parametrize(
    ("size", "overflows"),
    [(F32.largest / 20, False), (F32.largest / 8, True), (np.inf, True), (np.nan, True)],
)
def test_it_is_told_whether_numbers_may_overflow(size: float, overflows: bool) -> None:  # noqa: FBT001
    assert of([1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, size]).overflows is overflows


# --- by the candidate's own formula --------------------------------------------------------------


def own(formula: float, candidate: float) -> Deviation:
    """The source gives exactly 1, which the candidate computes by a formula of its own."""
    ours, theirs = (Sampled(np.array([v]), np.array([1.0])) for v in (1.0, formula))
    return by_its_own(ours, theirs, np.array([1.0]), np.array([candidate]), 1, F32)


@pytest.mark.parametrize(("roundings", "passes"), [(2.0**14 - 64, True), (2.0**14 + 64, False)])
def test_the_runtime_may_round_a_right_formula_far(roundings: float, passes: bool) -> None:  # noqa: FBT001
    candidate = 1 + roundings * U

    found = own(1.0, candidate)

    assert (found.worst <= 1) is passes
    assert not of([1.0], [1.0], [candidate]).worst <= 1


@pytest.mark.parametrize(("roundings", "passes"), [(7.9, True), (8.1, False)])
def test_the_formula_itself_may_not(roundings: float, passes: bool) -> None:  # noqa: FBT001
    """However near the candidate came to the truth by chance."""
    assert (own(1 + roundings * U, 1.0).worst <= 1) is passes


def test_what_the_runtime_rounds_is_noise_behind_the_site() -> None:
    assert own(1.0, 1 + 1000 * U).half[0] >= 1000 * U


def test_a_candidate_that_is_no_number_is_off() -> None:
    assert not own(1.0, float("nan")).worst <= 1
