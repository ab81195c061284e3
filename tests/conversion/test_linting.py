"""Lints of what a framework has saved, by routes that need no framework."""

from __future__ import annotations

from pathlib import Path

import pytest
from converting import convert_by, source_in, use

from folding.errors import LeftInTraining
from folding.lint import lint


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return source_in(tmp_path)


def test_a_source_in_training_mode_is_found_so(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each layer, and why there is no more is said; nobody converts it."""
    use(monkeypatch, "training")
    found = lint(source)
    assert [(finding.code.name, finding.at) for finding in found.findings] == [
        ("BATCH_STATISTICS", "bn"),
        ("RANDOM_AT_INFERENCE", "drop"),
    ]
    assert found.unrun == "it was not converted: 'net.tflite' was saved in training mode"
    with pytest.raises(LeftInTraining, match="training mode"):
        convert_by(monkeypatch, "training", source)


def test_what_only_the_source_shows_is_found(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph that is made of it has no flag any more."""
    use(monkeypatch, "flagged")
    codes = {finding.code.name: finding.at for finding in lint(source).findings}
    assert codes["TRAINING_FLAG"] == "training"
