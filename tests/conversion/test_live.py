"""Live models are known by the modules of their classes, without any framework."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fake_routes import good
from files import contents

from folding.conversion import extras, routing
from folding.conversion.converting import convert
from folding.conversion.job import Job, Kind, Product
from folding.conversion.live import live
from folding.errors import BadCall, Unconvertible


def named(name: str, module: str, base: type = object) -> type:
    return type(name, (base,), {"__module__": module})


KERAS = named("Classifier", "digits", named("Model", "keras.src.models.model"))
LEGACY = named("Sequential", "tf_keras.src.engine", named("Model", "tf_keras.src.engine.training"))
TORCH = named("Net", "__main__", named("Module", "torch.nn.modules.module"))


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that converts live models; what it was given is in ``asked``."""
    module: Any = ModuleType("fake_live")
    module.asked = []

    def convert_model(model: object, job: Job) -> Product:
        module.asked.append((model, job))
        return good(job)

    module.convert_model = convert_model
    monkeypatch.setitem(sys.modules, "fake_live", module)
    for kind in routing.LIVE:
        monkeypatch.setitem(routing.LIVE, kind, "fake_live:convert_model")
    monkeypatch.setattr(extras, "find_spec", str)
    return module  # type: ignore[no-any-return]  # it is one


@pytest.mark.parametrize(
    ("kind", "model"),
    [(Kind.KERAS, KERAS), (Kind.KERAS, LEGACY), (Kind.EXPORTED_PROGRAM, TORCH)],
)
def test_a_model_is_known_by_its_classes(kind: Kind, model: type) -> None:
    found = live(model())

    assert found is not None
    assert (found.kind, found.name) == (kind, model.__name__)


@pytest.mark.parametrize("path", ["m.keras", Path("m.keras")])
def test_a_path_is_none(path: object) -> None:
    assert live(path) is None


@pytest.mark.parametrize("source", [3, None, b"m.keras", named("Model", "mine")()])
def test_anything_else_is_refused(source: object) -> None:
    with pytest.raises(BadCall, match=f"the source is a {type(source).__name__}$"):
        live(source)


def test_the_environment_is_that_of_before(
    tmp_path: Path, route: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch sets a variable when it exports."""
    before = dict(os.environ)
    inner = route.convert_model

    def convert_model(model: object, job: Job) -> Product:
        os.environ["A_CACHE"] = "somewhere"
        return inner(model, job)  # type: ignore[no-any-return]  # it is one

    monkeypatch.setattr(route, "convert_model", convert_model)

    convert(KERAS(), tmp_path / "net.onnx")

    assert dict(os.environ) == before


def test_a_live_model_is_converted_here_and_checked_like_a_file(tmp_path: Path, route: Any) -> None:
    model = KERAS()

    report = convert(model, tmp_path / "net.onnx", opset=17)

    ((given, job),) = route.asked
    assert given is model
    assert (job.kind, job.opset) == (Kind.KERAS, 17)
    assert (report.source.path, report.source.kind) == (None, "live Classifier")
    assert report.fold is not None
    assert report.fold.plan.counts["folded"] == 1
    assert list(contents(tmp_path)) == ["net.onnx"]


def test_a_live_model_needs_a_target(route: Any) -> None:
    with pytest.raises(BadCall, match="a live Net has no path"):
        convert(TORCH())


def test_what_a_framework_raises_is_one_sentence(
    tmp_path: Path, route: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: object, job: Job) -> Product:
        raise ZeroDivisionError("torch.export failed\nand much more")

    monkeypatch.setattr(route, "convert_model", fail)

    says = "^the Net cannot be converted: ZeroDivisionError: torch.export failed$"
    with pytest.raises(Unconvertible, match=says):
        convert(TORCH(), tmp_path / "net.onnx")
    assert contents(tmp_path) == {}


def test_a_refusal_stays_what_it_is(
    tmp_path: Path, route: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(model: object, job: Job) -> Product:
        raise BadCall("there is no output 'z'")

    monkeypatch.setattr(route, "convert_model", refuse)

    with pytest.raises(BadCall, match="no output 'z'"):
        convert(TORCH(), tmp_path / "net.onnx")
