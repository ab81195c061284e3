"""Noise: a difference in units of what rounding alone makes there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto

from folding.equivalence.noise import RATIO, Ratio, explained, flipped, ratio
from folding.floats import FLOATS

Array = npt.NDArray[Any]
NOISE = 1e-3


def of(expected: Any, given: Any, noise: Any = 0.0, dtype: Any = np.float32) -> Ratio:
    """The ratio of arrays of one type, with noise that is added to the expected one."""
    one, other = np.asarray(expected, dtype), np.asarray(given, dtype)
    kind = next(kind for kind in FLOATS.values() if kind.dtype == one.dtype)
    draws = [np.asarray(one + np.asarray(n, dtype), dtype) for n in (noise, -np.asarray(noise))]
    return ratio(one, other, draws, kind)


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(("times", "passes"), [(3.5, True), (4.5, False)])
def test_a_difference_may_be_four_times_the_noise(times: float, passes: bool) -> None:  # noqa: FBT001
    found = of(ones(2, 3, 5), ones(2, 3, 5) + times * NOISE, NOISE)

    assert found.worst == pytest.approx(times, rel=1e-3)
    assert (found.worst <= RATIO) is passes
    assert found.arrived


def test_the_channel_that_is_off_is_not_hidden_by_the_others() -> None:
    """Over all of a thousand channels it would be a thirtieth."""
    given = ones(1, 1000, 16)
    given[:, 7] += 20 * NOISE

    assert of(ones(1, 1000, 16), given, NOISE).worst == pytest.approx(20, rel=1e-2)


def test_one_element_of_a_small_channel_is_judged_with_all_others() -> None:
    """Of few elements the noise may happen to be small."""
    noise = np.full((1, 100, 4), NOISE, np.float32)
    noise[:, 7] = NOISE / 100

    assert of(ones(1, 100, 4), ones(1, 100, 4) + NOISE, noise).worst < RATIO
    assert of(ones(1, 100, 16), ones(1, 100, 16) + NOISE, noise.repeat(4, 2)).worst > RATIO


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("ulps", "passes"), [(4, True), (5, False)])
def test_where_no_noise_arrives_four_units_in_the_last_place_are_allowed(
    dtype: Any,
    ulps: int,
    passes: bool,  # noqa: FBT001
) -> None:
    value = dtype(1)
    given = value + dtype(ulps) * np.spacing(value)

    found = of([value], [given], dtype=dtype)

    assert (found.worst <= RATIO) is passes
    assert not found.arrived


def test_more_than_the_pieces_looked_at_at_a_time_are_looked_at() -> None:
    """The last element counts, in each axis."""
    shape = (2, 3, 70_000)
    given = ones(*shape)
    given[-1, -1, -1] += 1

    found = of(ones(*shape), given, NOISE)

    assert found.worst == pytest.approx(1 / NOISE / (2 * 70_000) ** 0.5, rel=1e-2)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (0, 3), (0, 3, 4), (2, 3), (2, 3, 0), (16, 0)])
def test_any_shape_will_do(shape: tuple[int, ...]) -> None:
    found = of(ones(*shape), ones(*shape), NOISE)

    assert found.worst == 0
    assert found.arrived is bool(np.prod(shape))


@pytest.mark.parametrize("given", [ones(2, 3), ones(3, 2).astype(np.float64)])
def test_another_shape_or_type_is_told(given: Array) -> None:
    found = ratio(ones(3, 2), given, [ones(3, 2)], FLOATS[TensorProto.FLOAT])

    assert found.worst == np.inf
    assert found.why == f"float32 (3, 2) became {given.dtype} {given.shape}"


NAN, INF = np.nan, np.inf
SPECIAL = [
    ([1, NAN], [1, NAN], True),
    ([1, INF, -INF], [1, INF, -INF], True),
    ([1, INF], [1, 3], True),  # The fold overflows later than its source.
    ([1, NAN], [1, 3], True),
    ([1, 3], [1, INF], False),
    ([1, 3], [1, NAN], False),
    ([1, INF], [1, -INF], False),
    ([1, INF], [1, NAN], False),
    ([1, NAN], [1, INF], False),
]


@pytest.mark.parametrize(("expected", "given", "passes"), SPECIAL)
def test_nan_and_inf_are_where_they_were_and_of_the_same_sign(
    expected: Any,
    given: Any,
    passes: bool,  # noqa: FBT001
) -> None:
    found = of(expected, given, 0.0)

    assert (found.worst <= RATIO) is passes
    assert found.why == ("" if passes else "NaN or Inf elsewhere")


def test_a_candidate_may_overflow_where_the_reference_nearly_does() -> None:
    """With its sign; and not where the reference is far from it."""
    near, far = 3e4, 3e1

    assert of([1, near], [1, INF], 0.0, np.float16).why == ""
    assert of([1, near], [1, -INF], 0.0, np.float16).why
    assert of([1, far], [1, INF], 0.0, np.float16).why


def test_special_numbers_that_noise_puts_elsewhere_do_not_count() -> None:
    """Four times as many as each draw moves, or any number where all draws move most of them."""
    everywhere, nowhere = np.full(10, INF, np.float32), ones(10)
    drawn = [np.where(np.arange(10) == place, everywhere, nowhere) for place in range(10)]
    kind = FLOATS[TensorProto.FLOAT]

    assert ratio(nowhere, everywhere, drawn, kind).why == ""
    assert ratio(nowhere, everywhere, drawn[:5], kind).why
    assert ratio(nowhere, np.where(np.arange(10) < 4, INF, nowhere), drawn[6:], kind).why == ""


@pytest.mark.parametrize("noisy", [[], [ones(3)], [ones(2), ones(3)]])
def test_noise_of_another_shape_explains_nothing(noisy: list[Array]) -> None:
    assert explained(ones(2), ones(2), noisy) is None


def test_what_differs_by_no_more_than_the_noise_is_explained() -> None:
    shaken = [ones(2) + NOISE, ones(2) - NOISE]

    assert explained(ones(2), ones(2) + NOISE, shaken) == pytest.approx(1, rel=1e-3)
    assert explained(ones(2), ones(2) + 9 * NOISE, shaken) is None


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float64, 1e200), (np.float64, 1e-200), (np.float64, 1e-100), (np.float32, 1e37)],
)
def test_numbers_whose_squares_no_type_holds_are_compared(dtype: Any, size: float) -> None:
    noise = size * 1e-3

    assert of([size], [size + 2 * noise], noise, dtype).worst == pytest.approx(2, rel=1e-4)
    assert of([size], [size + 9 * noise], noise, dtype).worst == pytest.approx(9, rel=1e-4)


def test_many_rows_take_no_longer_than_as_many_columns() -> None:
    """Rows that are short are looked at together."""
    rows, columns = ones(100_000, 2), ones(2, 100_000)
    calls: list[int] = []
    kind = FLOATS[TensorProto.FLOAT]

    class Counted(type(kind)):  # type: ignore[misc]  # a class that is known when it runs
        def half_ulp(self, values: Any) -> Any:
            calls.append(1)
            return super().half_ulp(values)

    counted = Counted(kind.name, kind.dtype, kind.roundoff, kind.tiny, kind.largest)
    for array in (rows, columns):
        ratio(array, array, [array], counted)

    assert len(calls) < 20


def draw_of(*differing: int, size: int = 300) -> Array:
    """Zeros, but for some ones."""
    found = np.zeros(size, np.int64)
    found[list(differing)] = 1
    return found


@pytest.mark.parametrize(
    ("given", "draws", "what"),
    [
        (draw_of(), [draw_of()], ""),
        (draw_of(*range(3)), [draw_of()], ""),
        (draw_of(*range(4)), [draw_of()], "4 elements differ"),
        (draw_of(*range(9)), [draw_of(), draw_of(*range(6))], ""),
        (draw_of(*range(9)), [draw_of(), draw_of(*range(20, 90))], "9 elements differ"),
        (draw_of(size=7), [draw_of()], r"int64 (300,) became int64 (7,)"),
        (draw_of(size=7), [draw_of(), draw_of(size=9)], ""),
    ],
)
def test_what_was_decided_is_the_same_where_noise_decides_nothing(
    given: Array, draws: list[Array], what: str
) -> None:
    """But for one element in a hundred."""
    found = flipped(draw_of(), given, draws)

    assert found.startswith(what)
    assert bool(found) is bool(what)


@pytest.mark.parametrize(("draws", "what"), [(1, ""), (3, ""), (4, "1 elements differ")])
def test_one_of_a_few_elements_may_differ_by_chance_where_noise_was_drawn_a_few_times(
    draws: int, what: str
) -> None:
    found = flipped(draw_of(size=10), draw_of(3, size=10), [draw_of(size=10)] * draws)

    assert found.startswith(what)
    assert bool(found) is bool(what)
