"""SavedModels: of TensorFlow 2 and 1, whole and in part."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conversion.routes.conftest import Ask, Saved
from route_answers import HERE, run

pytestmark = pytest.mark.frameworks


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What save_modules.py writes."""
    folder = tmp_path_factory.mktemp("modules")
    run([str(HERE / "save_modules.py"), str(folder)], {})
    return folder


def test_a_module_of_tensorflow_2(modules: Path, ask: Ask) -> None:
    """Inputs and outputs are those of the signature; it may be the only one of another name."""
    served, other = ask("saved_model", [{"source": modules / n} for n in ("served", "other")])
    for answer in (served, other):
        assert answer.names("inputs") == [("x", "x")]
        assert answer.names("outputs") == [("output_0", "output_0")]
        assert answer.folded().plan.counts["folded"] == 1
        (statistics,) = answer.statistics
        np.testing.assert_allclose(statistics["mean"], [0.1, 0.2, 0.3], rtol=1e-6)
        assert (statistics["name"], statistics["epsilon"]) == ("norm", 1e-3)


def test_a_flag_of_a_signature_is_frozen(modules: Path, ask: Ask) -> None:
    """What the signature takes besides is given a value for ever, or stays an input."""
    source = modules / "flagged"
    frozen, free, unknown = ask(
        "saved_model",
        [
            {"source": source, "freeze": {"scaled": "true"}},
            {"source": source},
            {"source": source, "freeze": {"training": False}},
        ],
    )
    assert frozen.names("inputs") == [("x", "x")]
    frozen.folded()
    assert free.names("inputs") == [("scaled", "scaled"), ("x", "x")]
    assert unknown.said["error"] == "BadCall"
    assert "'scaled', 'x'" in unknown.said["hint"]


def test_tensorflow_1_with_a_live_flag(modules: Path, ask: Ask) -> None:
    """simple_save keeps the flag and both branches; what is left is inference."""
    (answer,) = ask("saved_model", [{"source": modules / "simple"}])
    report = answer.folded()
    assert (report.plan.counts["folded"], report.plan.counts["kept"]) == (1, 0)
    assert answer.names("inputs") == [("X", "X")]
    assert [warned["at"] for warned in answer.said["warnings"]] == ["training"]


def test_what_serves_nothing_or_too_much_is_refused(modules: Path, ask: Ask) -> None:
    """Without a signature there is nothing to convert, with several none may be the usual."""
    none, many = ask("saved_model", [{"source": modules / n} for n in ("silent", "many")])
    assert (none.said["error"], many.said["error"]) == ("BadModel", "BadModel")
    assert "no signature" in none.said["message"]
    assert "'first', 'second'" in many.said["message"]


def test_an_output_that_is_not_there_is_refused(modules: Path, ask: Ask) -> None:
    """The known ones are listed."""
    (answer,) = ask("saved_model", [{"source": modules / "served", "outputs": ["y"]}])
    assert answer.said["error"] == "BadCall"
    assert "'output_0'" in answer.said["hint"]


def test_half_a_saved_model_is_refused(modules: Path, ask: Ask, tmp_path: Path) -> None:
    """One sentence, whichever half is missing, of either TensorFlow."""
    halves = []
    for part in ("variables/variables.index", "variables", "saved_model.pb"):
        for name in ("served", "simple"):
            halves.append(tmp_path / part / name)
            shutil.copytree(modules / name, halves[-1])
            missing = halves[-1] / part
            shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    for name in ("served", "simple"):
        halves.append(tmp_path / "cut" / name)
        shutil.copytree(modules / name, halves[-1])
        (stored,) = (halves[-1] / "variables").glob("variables.data-*")
        stored.write_bytes(stored.read_bytes()[: stored.stat().st_size // 2])
    for answer in ask("saved_model", [{"source": path} for path in halves]):
        assert answer.said["error"] in {"BadModel", "StorageFailed"}
        assert "\n" not in answer.said["message"]


def test_live_statistics_are_refused(saved: Saved, ask: Ask) -> None:
    """A SavedModel whose batch norm was called with training=True learns as it is run."""
    (answer,) = ask("saved_model", [{"source": saved("tf_keras") / "norm_on.model"}])
    assert answer.said["error"] == "LeftInTraining"
    assert "moving_mean" in answer.said["message"]
    assert [code for code, _ in answer.said["lints"]] == ["BATCH_STATISTICS"]
