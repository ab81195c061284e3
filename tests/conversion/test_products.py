"""What a process answers is a product in every detail, or junk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from folding.conversion.job import MODEL, Port, Product, Statistics
from folding.conversion.products import Junk, as_plain, read_product
from folding.plan import Warned

Plain = dict[str, Any]

PRODUCT = Product(
    "keras 3",
    "tf2onnx 1",
    (Port("a", "a:0"),),
    (Port("b", "b:0"),),
    ("reference-0.npz",),
    "",
    (Statistics("bn", "statistics-0.npz", 1e-3, None, "variance_squared", True, 3),),
    declares_normalisation=True,
    warnings=(Warned("A_CODE", "bn", "text"),),
    lints=(Warned("TRAINING_FLAG", "flag", "cause"),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (MODEL, "reference-0.npz", "statistics-0.npz"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def plain() -> Plain:
    """The product as it comes out of JSON."""
    found: Plain = json.loads(json.dumps(as_plain(PRODUCT)))
    return found


def test_a_product_survives_json(folder: Path) -> None:
    assert read_product(plain(), folder) == PRODUCT


def put(*path: str | int, value: Any) -> Callable[[Plain], None]:
    """Put something else into a product."""

    def change(found: Any) -> None:
        *way, last = path
        for step in way:
            found = found[step]
        found[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("framework", value=3),
        put("inputs", value="a"),
        put("inputs", 0, value=["a", "b"]),
        put("outputs", 0, "graph", value=None),
        put("outputs", 0, "more", value="x"),
        put("references", value=["../reference-0.npz"]),
        put("references", value=["/etc/passwd"]),
        put("references", value=["missing.npz"]),
        put("references", value=[]),
        put("statistics", 0, "arrays", value="a/../../b.npz"),
        put("statistics", 0, "arrays", value="missing.npz"),
        put("statistics", 0, "epsilon", value="1e-3"),
        put("statistics", 0, "momentum", value=True),
        put("statistics", 0, "steps", value=-1),
        put("statistics", 0, "formula", value="another"),
        put("statistics", 0, "averages_from_zero", value=1),
        put("declares_normalisation", value="yes"),
        put("warnings", 0, "code", value="not a code"),
        put("warnings", 0, "text", value=""),
        put("lints", 0, "code", value="NO_LINT"),
        put("lints", value=None),
        put("extra", value=1),
        lambda found: found.pop("unchecked"),
    ],
)
def test_anything_else_is_junk(folder: Path, change: Callable[[Plain], None]) -> None:
    found = plain()
    change(found)

    with pytest.raises(Junk):
        read_product(found, folder)


@pytest.mark.parametrize("found", [None, [], "text", 3, {}])
def test_no_product_at_all_is_junk(folder: Path, found: Any) -> None:
    with pytest.raises(Junk, match="something else than a Product"):
        read_product(found, folder)


@pytest.mark.parametrize("name", [MODEL, "reference-0.npz", "statistics-0.npz"])
def test_a_file_that_is_a_link_is_none(folder: Path, name: str) -> None:
    """It could lead to a file of somebody else's."""
    (folder / name).unlink()
    (folder / name).symlink_to("/etc/hostname")

    with pytest.raises(Junk):
        read_product(plain(), folder)


def test_only_what_is_for_lints_may_be_without_a_model(folder: Path) -> None:
    """It says so by having no converter."""
    (folder / MODEL).unlink()
    for converter, for_lints in (("", False), ("tf2onnx 1", True)):
        with pytest.raises(Junk, match="no model"):
            read_product(plain() | {"converter": converter}, folder, for_lints=for_lints)

    assert read_product(plain() | {"converter": ""}, folder, for_lints=True).lints == PRODUCT.lints


def test_without_references_there_must_be_a_reason(folder: Path) -> None:
    found = plain() | {"references": [], "unchecked": "the framework cannot run it"}

    assert read_product(found, folder).unchecked == "the framework cannot run it"
