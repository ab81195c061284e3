"""Every network by every route: converted, the same function as in PyTorch, folded completely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

NETWORKS = (
    "classic",
    "no_bias",
    "no_affine",
    "epsilon_and_momentum",
    "cumulative",
    "conv1d",
    "conv3d",
    "transposed",
    "behind_relu",
    "turned",
    "shared",
    "weight_norm",
    "old_weight_norm",
    "spectral_norm",
    "old_spectral_norm",
    "orthogonal",
    "instance_norm",
    "group_norm",
    "layer_norm",
)
ROUTES = ("program", "trace", "script", "module")
#: Neither exporter knows what computes these weights, and PyTorch scripts none that is computed.
IMPOSSIBLE = {
    ("orthogonal", "program"),
    ("orthogonal", "trace"),
    ("spectral_norm", "trace"),
    ("orthogonal", "script"),
    ("weight_norm", "script"),
    ("old_weight_norm", "script"),
    ("spectral_norm", "script"),
    ("old_spectral_norm", "script"),
}
CASES = [(name, route) for name in NETWORKS for route in ROUTES if (name, route) not in IMPOSSIBLE]


def test_each_is_tried() -> None:
    """No network is left out."""
    import torch_models

    assert tuple(torch_models.NETWORKS) == NETWORKS


@pytest.mark.parametrize(("name", "route"), CASES)
def test_it_folds_and_agrees(tmp_path: Path, name: str, route: str) -> None:
    """The graph is what PyTorch computes, before the fold and after, and nothing is kept.

    But the scale of a group normalisation, where the translator hides the shape of its data.
    """
    import torch_files
    import torch_models

    network = torch_models.NETWORKS[name]
    module = torch_models.trained(name)
    array = torch_files.rows(network.shape)
    task, product = torch_files.ROUTES[route](tmp_path, module, array)
    report = torch_files.check(task, product)
    assert torch_files.folded_norms(report) == network.norms
    assert product.declares_normalisation
    assert torch_files.check_references(task, product, task.folder / "model.onnx") == [1, 3, 8]
    (port,) = product.inputs
    found = torch_files.outputs_of(task.folder / "folded.onnx", {port.graph: array})
    torch_files.assert_close(found["output"], torch_models.computed(module, array))


@pytest.mark.parametrize("route", ROUTES)
def test_the_statistics_are_those_of_the_layers(tmp_path: Path, route: str) -> None:
    """By name, with every array, epsilon, and momentum as the weight of the old ones."""
    import torch_files
    import torch_models

    module = torch_models.trained("epsilon_and_momentum")
    array = torch_files.rows(torch_models.IMAGE)
    task, product = torch_files.ROUTES[route](tmp_path, module, array)
    assert [found.name for found in product.statistics] == ["1", "5", "9"]
    for found in product.statistics:
        layer = module[int(found.name)]
        assert found.epsilon == 1e-2
        assert found.momentum == pytest.approx(0.7)
        assert found.steps == 12
        with np.load(task.folder / found.arrays) as arrays:
            assert np.array_equal(arrays["mean"], layer.running_mean.numpy())
            assert np.array_equal(arrays["variance"], layer.running_var.numpy())
            assert np.array_equal(arrays["gamma"], layer.weight.detach().numpy())
            assert np.array_equal(arrays["beta"], layer.bias.detach().numpy())


def test_nothing_is_told_from_a_count_that_was_never_kept(tmp_path: Path) -> None:
    """As of weights from before PyTorch counted, or of another framework."""
    import torch_files
    import torch_models

    module = torch_models.trained("epsilon_and_momentum")
    counts = [module[place].num_batches_tracked.clone() for place in (1, 5, 9)]
    try:
        for place in (1, 5, 9):
            module[place].num_batches_tracked.zero_()
        array = torch_files.rows(torch_models.IMAGE)
        _, product = torch_files.ROUTES["module"](tmp_path, module, array)
    finally:
        for place, count in zip((1, 5, 9), counts, strict=True):
            module[place].num_batches_tracked.copy_(count)
    assert [found.steps for found in product.statistics] == [None] * 3


def test_a_network_has_learnt() -> None:
    """What is tested has other statistics and weights than at its beginning."""
    import torch
    import torch_models

    torch.manual_seed(0)
    module = torch_models.train(torch_models.NETWORKS["classic"].build(), (1, 8, 8), 60).eval()
    images, labels = torch_models.digits((1, 8, 8))
    with torch.no_grad():
        right = (module(images).argmax(1) == labels).float().mean()
    assert right > 0.8
