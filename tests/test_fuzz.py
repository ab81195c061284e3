"""Hostile files are refused or read as protobuf reads them; ``fuzzing`` judges a million."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from fuzzing import LEAST, hostile, judge
from hypothesis import given, settings
from hypothesis import strategies as st
from specimens import DATA, bodies, specimens

from folding import skeleton


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("hostile")
    (path / DATA).write_bytes(bytes(4096))
    with mock.patch.object(skeleton, "LEAST", LEAST):
        yield path


def test_some_of_what_is_to_be_damaged_is_a_model(folder: Path) -> None:
    """Or whatever is made of it would be refused for nothing."""
    outcomes = [judge(model.SerializeToString(), folder) for model in specimens()]

    assert outcomes.count("it is a model") > len(outcomes) // 2


@given(st.integers(0, 1 << 62))
@settings(max_examples=10 * settings().max_examples)
def test_a_hostile_file_is_refused_or_read_as_protobuf_reads_it(folder: Path, number: int) -> None:
    assert judge(hostile(number), folder)


def test_so_is_a_file_that_is_cut_off_anywhere(folder: Path) -> None:
    data = bodies().SerializeToString()

    outcomes = {judge(data[:end], folder) for end in range(len(data))}

    assert "neither reads it" in outcomes
    assert "it is a model" not in outcomes


@given(st.binary(max_size=200))
def test_so_are_random_bytes(folder: Path, data: bytes) -> None:
    assert judge(data, folder) != "it is a model"
