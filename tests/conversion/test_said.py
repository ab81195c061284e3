"""What a process printed is told only if it says why it failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from converting import KIND, source_in
from noisy_routes import NOISE

from folding.conversion.child import converted
from folding.conversion.folders import private_folder
from folding.conversion.job import Job
from folding.conversion.said import last_words
from folding.equivalence.limits import RunLimits
from folding.errors import Unconvertible


def message(source: Path, route: str, **limits: Any) -> str:
    with private_folder() as folder:
        job = Job(source, KIND, folder / "job")
        with pytest.raises(Unconvertible) as caught:
            converted(job, f"noisy_routes:{route}", "net", RunLimits(**limits))
    return str(caught.value)


@pytest.mark.parametrize(
    ("route", "says", "limits"),
    [
        ("dies", "ended with SIGSEGV", {}),
        (
            "aborts",
            "ended with SIGABRT; the last that it said was 'F0000 00:00:1 7 t.cc:3] Check failed'",
            {},
        ),
        ("hangs", "took longer than 3 s", {"seconds": 3.0}),
        ("swells", "needed more memory than 2.0 GB", {"memory": 2_000_000_000}),
    ],
)
def test_a_failure_is_told_without_what_is_always_printed(
    route: str, says: str, limits: dict[str, Any], tmp_path: Path
) -> None:
    """That there is no graphics card, say; nor is anything where time or memory ran out."""
    told = message(source_in(tmp_path), route, **limits)

    assert told == f"'net' cannot be converted: the process that converted it {says}"


@pytest.mark.parametrize("line", NOISE.splitlines())
def test_each_line_of_noise_is_passed_over(line: str, tmp_path: Path) -> None:
    """Any other line before it is what counts."""
    path = tmp_path / "said"
    path.write_text(f"good bye\n{line}\n\n")

    assert last_words(path) == "good bye"


@pytest.mark.parametrize(
    "line",
    [
        "E0000 00:00:1795322088.594303    3581 graph.cc:10] Invalid argument: the shapes differ",
        "2026-11-22 04:30:00.123456: F tensorflow/core/tensor.cc:3] Check failed: n > 0",
        "2026-11-22 04:30:00,123 - ERROR - tf2onnx: Failed to convert node 'a'",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
)
def test_errors_of_a_framework_are_told(line: str, tmp_path: Path) -> None:
    """Those that are not about devices."""
    path = tmp_path / "said"
    path.write_text(f"{line}\n{NOISE}")

    assert last_words(path) == line


def test_without_a_file_nothing_was_said(tmp_path: Path) -> None:
    """Nor with an empty one."""
    assert last_words(tmp_path / "said") == ""
    (tmp_path / "said").write_text("\n \n")
    assert last_words(tmp_path / "said") == ""
