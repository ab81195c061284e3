"""What is said where nothing could be compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from converting import KIND, source_in, use

from folding.conversion import routing
from folding.conversion.converting import convert
from folding.errors import Unproven


def test_dropout_that_was_left_on_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other inputs would not help; the lint is among the warnings, and without a proof it goes."""
    use(monkeypatch, "unused")
    monkeypatch.setitem(routing.ROUTES, KIND, "random_routes:drops")
    with pytest.raises(Unproven, match=r"is random \(see 'dropout/mask'\)$") as caught:
        convert(source_in(tmp_path))
    assert "--sample-inputs" not in caught.value.hint
    assert "Export it with dropout and noise off" in caught.value.hint
    assert "--freeze keep_prob=1" in caught.value.hint
    assert [w.code for w in caught.value.report.warnings] == ["RANDOM_AT_INFERENCE"]

    report = convert(source_in(tmp_path), verify=False)

    assert report.target is not None
    assert [w.code for w in report.warnings] == ["RANDOM_AT_INFERENCE"]
