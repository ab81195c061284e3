"""How statistics were averaged, whichever way round the flag is that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conversion.tf1.conftest import Convert
from conversion.tf1.networks import batch_norm
from conversion.tf1.saving import flag, input_x, saved_meta

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("functional", [False, True], ids=["switch", "if"])
@pytest.mark.parametrize("inverse", [False, True])
def test_the_momentum_is_found_behind_either_flag(
    *, functional: bool, inverse: bool, tmp_path: Path, convert: Convert
) -> None:
    """Updates run where is_training is true, or where is_inference is false."""

    def build(tf: Any) -> None:
        given = flag(tf, "is_inference" if inverse else "is_training")
        training = tf.logical_not(given) if inverse else given
        normed = batch_norm(tf, input_x(tf, None, 4, 4, 3), training, 0.9, 1e-5)
        tf.identity(normed, name="out")

    (told,) = convert(saved_meta(tmp_path, build, functional=functional)).product.statistics
    assert told.momentum == pytest.approx(0.9)
    assert told.averages_from_zero
