"""The lints of real exports: what the names promise, and nothing else.

A few files stand beside the tests. With ``FOLD_MODEL_CORPUS`` in the environment, which names a
folder of all of them, every file of the table is looked at::

    FOLD_MODEL_CORPUS=.../corpus pytest tests/lint/test_corpus.py
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

import folding
from folding.lint import lint
from folding.plan import Warned

from .corpus_table import BIAS, EXPECTED

MODELS = Path(__file__).parent / "models"
CORPUS = os.environ.get("FOLD_MODEL_CORPUS")
FILES = sorted((MODELS if CORPUS is None else Path(CORPUS)).glob("*.onnx"))


def codes(path: Path) -> set[str]:
    """The codes of all findings, those of runs included."""
    return {finding.code.name for finding in lint(path).findings}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_exactly_what_is_wrong_is_found(path: Path) -> None:
    """Each file gives the lints that the table states, and none else."""
    assert codes(path) == set(EXPECTED[path.stem])


def test_no_file_of_the_table_is_left_out() -> None:
    """The whole corpus is looked at where it is given, and every code of it beside the tests."""
    stems = {path.stem for path in FILES}
    if CORPUS is not None:
        assert stems == EXPECTED.keys()
    assert {c for s in stems for c in EXPECTED[s]} == {
        c for all_ in EXPECTED.values() for c in all_
    }


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_folded_model_has_no_new_lints(path: Path, tmp_path: Path) -> None:
    """What folding leaves looks no worse than what it was given."""
    target = tmp_path / "folded.onnx"
    folding.fold(path, target, verify=False)
    found = {finding.code.name for finding in lint(target, run=False).findings}
    assert found <= set(EXPECTED[path.stem])


def test_the_plan_says_the_same_but_for_what_is_harmless() -> None:
    """Fold and explain warn of what lint finds; of a bias before a normalisation only lint does."""
    path = MODELS / "trap_axis1_then_conv__k3tf_export_onnx.onnx"
    warned = folding.explain(path).warnings
    assert [w.code for w in warned] == ["ACTIVATION_BEFORE_NORM", "WRONG_AXIS"]
    assert all(isinstance(w, Warned) and "; " in w.text for w in warned)
    noted = MODELS / "k2_vbs__k2_from_keras.onnx"
    assert codes(noted) == {BIAS}
    assert folding.explain(noted).warnings == ()


def test_a_frozen_flag_is_no_training_flag() -> None:
    """Who freezes the flag is not told about it any more."""
    path = MODELS / "s000_conv_maxpool_bn_plainph__tf1v1_ckpt_phin.onnx"
    flags = [v.name for v in onnx.load(path).graph.input if v.type.tensor_type.elem_type == 9]
    found = lint(path, run=False, freeze=dict.fromkeys(flags, False)).findings
    assert [finding.code.name for finding in found] == ["POOLING_BEFORE_NORM"]
    (left, *_) = lint(path, run=False, freeze=dict.fromkeys(flags, True)).findings
    assert left.code.name == "BATCH_STATISTICS"
