"""Sample inputs: made up from a seed, or the user's once they fit; and the files of references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from folding.conversion.job import BATCHES, Job, Kind
from folding.conversion.samples import (
    Spec,
    further_inputs,
    has_numbers_alone,
    sample_inputs,
    write_reference,
    write_statistics,
)
from folding.errors import BadCall, StorageFailed

IMAGES = {"x": Spec((None, 4, None), "float32")}


def job(folder: Path, **more: Any) -> Job:
    return Job(folder / "m", Kind.KERAS, folder, **more)


def given(folder: Path, **arrays: Any) -> Job:
    """A job with samples of the user's."""
    np.savez(folder / "samples.npz", **arrays)
    return job(folder, samples=folder / "samples.npz")


def shapes(job: Job, specs: Mapping[str, Spec]) -> list[dict[str, tuple[int, ...]]]:
    return [
        {name: array.shape for name, array in feed.items()} for feed in sample_inputs(job, specs)
    ]


def test_there_is_one_set_for_each_batch_size(tmp_path: Path) -> None:
    found = shapes(job(tmp_path), IMAGES)

    assert [feed["x"][0] for feed in found] == list(BATCHES)
    assert {feed["x"][1:] for feed in found} == {(4, 32)}


def test_a_fixed_batch_gives_one_set(tmp_path: Path) -> None:
    specs = {**IMAGES, "y": Spec((2, 3), "float32")}

    assert shapes(job(tmp_path), specs) == [{"x": (1, 4, 32), "y": (2, 3)}]


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    one, same, other = (
        next(sample_inputs(job(tmp_path, seed=seed), IMAGES))["x"] for seed in (0, 0, 1)
    )

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_examples_and_inputs_differ_from_each_other(tmp_path: Path) -> None:
    feed = list(sample_inputs(job(tmp_path), {**IMAGES, "y": IMAGES["x"]}))[1]

    assert not np.array_equal(feed["x"], feed["y"])
    assert not np.array_equal(feed["x"][0], feed["x"][1])


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [("int64", 0, 1), ("uint8", 0, 255), ("int8", 0, 127), ("bool", 0, 0)],
)
def test_integers_and_flags_are_what_most_models_take(
    tmp_path: Path, dtype: str, least: int, most: int
) -> None:
    array = next(sample_inputs(job(tmp_path), {"x": Spec((64, 64), dtype)}))["x"]

    assert array.dtype == dtype
    assert (array.min(), array.max()) == (least, most)


@pytest.mark.parametrize("dtype", ["float16", "float64", ml_dtypes.bfloat16])
def test_floats_have_the_type_of_the_input(tmp_path: Path, dtype: Any) -> None:
    assert next(sample_inputs(job(tmp_path), {"x": Spec((2,), dtype)}))["x"].dtype == dtype


def test_the_users_samples_are_given_in_parts(tmp_path: Path) -> None:
    rows = np.arange(20, dtype=np.float64).reshape(5, 4, 1)

    found = list(sample_inputs(given(tmp_path, x=rows), IMAGES))

    assert [len(feed["x"]) for feed in found] == [1, 3, 5]
    assert found[0]["x"].dtype == np.float32
    assert np.array_equal(found[2]["x"], rows)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "have no array 'x'"),
        ({"x": np.zeros((2, 4, 3)), "z": np.zeros(3)}, "'z', which is no input"),
        ({"x": np.zeros((2, 5, 3))}, "have the shape 2x5x3"),
        ({"x": np.zeros((2, 4))}, "have the shape 2x4"),
        ({"x": np.zeros((0, 4, 3))}, "have the shape 0x4x3"),
        ({"x": np.full((2, 4, 3), "text")}, "are of type <U4"),
    ],
)
def test_samples_that_do_not_fit_are_named(
    tmp_path: Path, arrays: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadCall, match=says):
        list(sample_inputs(given(tmp_path, **arrays), IMAGES))


def test_samples_that_are_no_archive_or_not_there_are_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    with pytest.raises(StorageFailed, match=r"cannot read .*samples\.npz"):
        list(sample_inputs(job(tmp_path, samples=path), IMAGES))

    path.write_bytes(b"no archive")
    with pytest.raises(BadCall, match=r"samples\.npz' is no \.npz file"):
        list(sample_inputs(job(tmp_path, samples=path), IMAGES))


def test_references_are_kept_by_the_names_of_the_graph(tmp_path: Path) -> None:
    """Types that a .npz lacks are widened, texts need no pickle."""
    brain, text = np.ones(2, ml_dtypes.bfloat16), np.array(["a", "bc"], object)

    name = write_reference(job(tmp_path), 3, {"X:0": text}, {"a/b": brain})

    with np.load(tmp_path / name) as found:
        assert name == "reference-3.npz"
        assert found["in_X:0"].tolist() == ["a", "bc"]
        assert found["out_a/b"].dtype == np.float32


def test_statistics_are_kept_by_their_own_names(tmp_path: Path) -> None:
    name = write_statistics(job(tmp_path), 0, {"mean": [1.0, 2.0]})

    with np.load(tmp_path / name) as found:
        assert found["mean"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [("int64", -300, 300), ("int8", -128, 127), ("uint16", 0, 300), ("uint8", 0, 255)],
)
def test_further_numbers_are_on_both_sides_of_zero(
    tmp_path: Path, dtype: str, least: int, most: int
) -> None:
    """Far from it and near, as far as the type goes."""
    found = further_inputs(job(tmp_path), {"x": Spec((None, 64, 64), dtype), "y": IMAGES["x"]})

    assert found is not None
    assert found["x"].dtype == dtype
    assert (found["x"].min(), found["x"].max()) == (least, most)
    assert np.isin(np.arange(max(least, -9), 10), found["x"]).all()
    assert found["y"].shape == (BATCHES[-1], 4, 32)


def test_masks_are_mixed_and_flags_stay_off(tmp_path: Path) -> None:
    flags = {"mask": Spec((None, 8), "bool"), "training": Spec((), "bool")}
    found = further_inputs(job(tmp_path), {**flags, "x": IMAGES["x"]})

    assert found is not None
    assert set(found["mask"].ravel()) == {False, True}
    assert not found["training"]


def test_nothing_further_is_made_up_where_it_tells_nothing(tmp_path: Path) -> None:
    """Nor where the user says what there may be."""
    assert further_inputs(job(tmp_path), IMAGES) is None
    numbers = {"x": Spec((None, 2), "int32")}
    assert further_inputs(given(tmp_path, x=np.ones((1, 2), np.int32)), numbers) is None


@pytest.mark.parametrize("kind", ["float32", "float16", ml_dtypes.bfloat16])
def test_what_is_no_number_is_none(kind: Any) -> None:
    assert has_numbers_alone(np.array([1, -2], kind))
    assert has_numbers_alone(np.array(["a"], object))
    for value in (np.nan, np.inf):
        assert not has_numbers_alone(np.array([1, value], kind))
