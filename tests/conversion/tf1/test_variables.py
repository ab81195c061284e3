"""Variables that a checkpoint holds otherwise than the graph has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conversion.tf1.conftest import Convert
from conversion.tf1.saving import input_x, saved_meta
from conversion.tf1.test_flags import STYLES

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@STYLES
@pytest.mark.parametrize("axis", [0, 1])
def test_partitioned_variables_are_joined(
    *, functional: bool, axis: int, tmp_path: Path, convert: Convert
) -> None:
    """The checkpoint has them whole, each part is a variable of the graph."""
    bias = np.arange(5, dtype=np.float32)

    def build(tf: Any) -> None:
        v1 = tf.compat.v1
        with v1.variable_scope("p", partitioner=v1.fixed_size_partitioner(2, axis)):
            kernel = v1.get_variable("kernel", (4, 5))
        whole = v1.get_variable("bias", initializer=bias)
        tf.identity(tf.matmul(input_x(tf), tf.convert_to_tensor(kernel)) + whole, name="out")

    found = convert(saved_meta(tmp_path, build, functional=functional))
    assert not found.product.unchecked
    for given, expected in found.references():
        np.testing.assert_allclose(found.outputs(given)["out"], expected["out"], rtol=1e-5)
