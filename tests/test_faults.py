"""Faults in a right fold are found and located; odd right folds raise no alarm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faults
import pytest
from alarms import CASES
from faults import REWIRED, Fault
from graphs import Net
from onnx import ModelProto, TensorProto
from testbed import Bed, Found

from folding.equivalence import runs
from folding.equivalence.jobs import Job, ModelPlace
from folding.equivalence.verdict import Status
from folding.floats import FLOATS


def model() -> ModelProto:
    """Conv and ConvTranspose, both square, each with its normalisation and an activation."""
    net = Net(seed=6)
    net.input(2, 8, 7, 7)
    data = net.node("Conv", "x", net.weight(8, 8, 3, 3), net.weight(8), pads=[1] * 4)
    data = net.node("Tanh", net.batch_norm(data, 8))
    data = net.node("ConvTranspose", data, net.weight(8, 8, 3, 3), pads=[1] * 4)
    net.node("Relu", net.batch_norm(data, 8), out="y")
    return net.model("y")


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "model.onnx").write_bytes(model().SerializeToString())
    with Bed(folder / "model.onnx", folder) as made:
        made.prepare([0])
        yield made


@pytest.fixture
def right(bed: Bed) -> ModelProto:
    return ModelProto.FromString(bed.right.read_bytes())


def every(bed: Bed, right: ModelProto, kind: str) -> list[Fault]:
    """The faults of a kind that the model may have."""
    found = [fault for site in bed.sites for fault in faults.faults(bed, site)]
    found += faults.rewirings(bed, right, 4)
    return [fault for fault in found if fault.kind == kind]


def judged(bed: Bed, right: ModelProto, fault: Fault, path: Path) -> Found:
    fault.save(right, path)
    with bed.candidate(path) as theirs:
        return bed.compare(theirs, bed.sites if fault.site is None else [fault.site], bed.givens)


def test_the_right_fold_passes_all_checks(bed: Bed) -> None:
    with bed.candidate(bed.right) as theirs:
        found = bed.compare(theirs, bed.sites, bed.givens)

    checks = (found.frame, found.parameters, found.sites, found.outputs, found.alone)
    assert [check.status for check in checks] == [Status.PASSED] * 5


@pytest.mark.parametrize("kind", faults.KINDS)
def test_a_fault_is_found_and_its_place_is_named(
    kind: str, bed: Bed, right: ModelProto, tmp_path: Path
) -> None:
    """By the proof, and by the runs without it: the sites for numbers, the outputs for wires."""
    made = every(bed, right, kind)

    assert made
    for fault in made:
        found = judged(bed, right, fault, tmp_path / "wrong.onnx")
        assert fault.size > 1
        assert fault.is_located(found), found
        checks = (
            (found.frame, found.outputs) if kind == REWIRED else (found.parameters, found.sites)
        )
        assert [check.status for check in checks] == [Status.FAILED] * 2


@pytest.mark.parametrize("kind", faults.KINDS)
def test_the_runs_say_the_same_of_a_fault_as_they_do_for_users(
    kind: str, bed: Bed, right: ModelProto, tmp_path: Path
) -> None:
    """What these tests and the benchmark leave out to be quick makes no difference."""
    fault = every(bed, right, kind)[0]
    found = judged(bed, right, fault, tmp_path / "wrong.onnx")
    places = ModelPlace(tmp_path / "model.onnx"), ModelPlace(tmp_path / "wrong.onnx")
    places[0].path.write_bytes(model().SerializeToString())
    main = bed.drafts[0]
    gone = frozenset(main.vanished | main.renamed.keys())
    measured = found.frame.status is Status.PASSED

    said = runs.compare(Job(*places, 9, bed.sites, gone=gone, measured=measured))

    assert said.sites.status is found.sites.status
    if fault.site is not None:
        assert list(said.guilty) == [fault.site.name]
    else:
        assert said.outputs.status is found.outputs.status


@pytest.mark.parametrize(
    ("name", "elem_type"), [(name, kind) for name, (_, types) in CASES.items() for kind in types],
    ids=lambda value: FLOATS[value].name if value in FLOATS else str(value),
)  # fmt: skip
def test_a_right_fold_raises_no_alarm(name: str, elem_type: int, tmp_path: Path) -> None:
    case = CASES[name][0](elem_type, 0)
    (tmp_path / "model.onnx").write_bytes(case.model.SerializeToString())

    with Bed(tmp_path / "model.onnx", tmp_path) as bed, bed.candidate(bed.right) as theirs:
        assert bed.sites
        for givens in bed.all_inputs(0, case.feeds):
            found = bed.compare(theirs, bed.sites, givens)

            assert not found.failed
            # A bias of 1e4 is next to what a float16 can hold: nothing is said of such numbers.
            is_near = name.startswith("bias and mean") and elem_type == TensorProto.FLOAT16
            assert found.sites.status is (Status.NOT_RUN if is_near else Status.PASSED)
