"""The classic programs of TensorFlow 1, by every route: converted, folded, and still themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conversion.tf1.conftest import Converted
from conversion.tf1.programs import DEFAULT, PLAIN, PROGRAMS

from folding.conversion.job import BATCHES, Kind
from folding.equivalence.verdict import VerdictName
from folding.plan import Kept, Reason

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

Made = Callable[[str, Kind], Converted]

ROUTES = [Kind.META_GRAPH, Kind.FROZEN_GRAPH]
#: Why a normalisation of a program stays; of every other none does.
STAYS = {"dnn_left_on": Reason.LIVE_STATISTICS, "layer_axis1": Reason.NOT_OUTPUT_CHANNELS}
#: Programs with nothing to fold.
BARE = {"dnn_literal"}
#: Programs that compute with random numbers even at inference.
RANDOM = {"dropout_live"}
#: Within what TensorFlow and onnxruntime agree, relative to the largest output.
CLOSE = 3e-6


@pytest.mark.parametrize("kind", ROUTES)
@pytest.mark.parametrize("name", PROGRAMS)
class TestEveryProgram:
    """Trained, saved, converted, folded."""

    def test_matches_what_the_program_itself_computed(
        self, name: str, kind: Kind, program: Made, programs: Path
    ) -> None:
        """What the program computed before it was saved is what the file computes."""
        with np.load(programs / name / "expected.npz") as expected:
            found = program(name, kind).outputs({"X": expected["x"]})["y_proba"]
            if name in RANDOM:
                assert np.abs(found - expected["y"]).max() > 1e-3
            else:
                assert_close(found, expected["y"])

    def test_has_references_of_tensorflow(self, name: str, kind: Kind, program: Made) -> None:
        """TensorFlow's outputs at each batch size are kept beside the file, and are the file's."""
        converted = program(name, kind)
        if name in RANDOM:
            assert not converted.product.references
            assert "random" in converted.product.unchecked
            return
        sizes = []
        for given, computed in converted.references():
            sizes.append(len(given["X"]))
            assert_close(converted.outputs(given)["y_proba"], computed["y_proba"])
        assert tuple(sizes) == BATCHES

    def test_folds_completely(self, name: str, kind: Kind, program: Made) -> None:
        """Each normalisation is folded, or stays for a reason that is known."""
        converted = program(name, kind)
        report = converted.folded()
        decisions = report.plan.decisions
        kept = {made.outcome.reason for made in decisions if isinstance(made.outcome, Kept)}
        assert kept == ({STAYS[name]} if name in STAYS else set())
        assert not any(decision.is_partial for decision in decisions)
        assert bool(decisions) is (name not in BARE)
        if name not in STAYS and name not in BARE:
            assert report.verification.name is VerdictName.EQUIVALENT

    def test_folds_to_what_tensorflow_computes(self, name: str, kind: Kind, program: Made) -> None:
        """The folded file agrees with TensorFlow as the file did."""
        converted = program(name, kind)
        converted.folded()
        for given, computed in converted.references():
            assert_close(converted.outputs(given, folded=True)["y_proba"], computed["y_proba"])

    def test_names_are_those_of_the_source(self, name: str, kind: Kind, program: Made) -> None:
        """Input and output are called what the program calls them."""
        product = program(name, kind).product
        assert [(port.source, port.graph) for port in product.inputs] == [("X", "X")]
        assert [(port.source, port.graph) for port in product.outputs] == [("y_proba", "y_proba")]

    def test_says_which_flag_is_set(self, name: str, kind: Kind, program: Made) -> None:
        """A flag that is set is told, and only a flag that there is."""
        told = [(warned.code, warned.at) for warned in program(name, kind).product.warnings]
        has_flag = PROGRAMS[name].flag in {DEFAULT, PLAIN} and name not in BARE
        assert told == ([("INPUT_FROZEN", "training")] if has_flag else [])
        lints = [(lint.code, lint.at) for lint in program(name, kind).product.lints]
        assert lints == ([("TRAINING_FLAG", "training")] if has_flag else [])

    def test_nothing_of_training_is_left(self, name: str, kind: Kind, program: Made) -> None:
        """No control flow and no random numbers are in the file, unless the program has them."""
        operators = set(program(name, kind).operators)
        assert operators.isdisjoint({"If", "Loop", "Dropout", "ReduceMean"}) is (
            name != "dnn_left_on"
        )
        assert ("RandomUniformLike" in operators) is (name in RANDOM)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())
