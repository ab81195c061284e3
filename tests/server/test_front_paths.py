"""The paths of a call's files: below the folder of their model, and apart from one another."""

from __future__ import annotations

import pytest

from folding.v1 import folding_pb2 as pb
from folding_server.errors import ServiceError
from folding_server.headers import Terms, fold_job
from folding_server.jobs.runner import JobSpec
from folding_server.limits import ServerLimits


def file(path: str) -> pb.File:
    return pb.File(path=path, size=10, sha256="0" * 64)


def job(*data: str) -> JobSpec:
    """What is made of a model with external data in these files."""
    model = pb.Model(file=file("m.onnx"), external_data=map(file, data))
    return fold_job(pb.FoldHeader(model=model), Terms("somebody", ServerLimits()))


def refused(*data: str) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        job(*data)
    return caught.value


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../m",
        "a/../m",
        "a//m",
        "./m",
        "a/",
        "a\0b",
        "a" * 1025,
        "é" * 513,
        "n" * 256,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    """No file may be put anywhere but below the folder of its model."""
    error = refused("w", path)

    assert (error.reason, error.field) == ("BAD_REQUEST", "header.model.external_data[1].path")


@pytest.mark.parametrize(
    ("paths", "place"),
    [
        (["w", "w"], 1),
        (["m.onnx"], 0),
        (["a/b", "a"], 0),
        (["a", "a/b/c"], 1),
        (["m.onnx/x"], 0),
    ],
)
def test_two_files_in_one_place_are_refused(paths: list[str], place: int) -> None:
    """A file is neither where another one is, nor where another one needs a folder."""
    error = refused(*paths)

    assert (error.reason, error.field) == (
        "BAD_REQUEST",
        f"header.model.external_data[{place}].path",
    )


def test_names_that_only_begin_alike_are_no_folders() -> None:
    """``a.b`` sorts between ``a`` and ``a/c`` and is neither."""
    job("a", "a.b", "a-", "ab")


def test_a_backslash_parts_no_names() -> None:
    """It is a character like others where servers run, as it is for folds there."""
    job("a\\b", "..\\w.bin")
