"""What others may import: all of it is there, documented, and quick to import."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import folding

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(folding.__path__, "folding.")
    if module.name != "folding.__main__"
)


def public(module: ModuleType) -> list[tuple[str, Any]]:
    """The functions and classes that a module defines and does not call its own."""
    return [
        (name, value)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def test_the_public_names_are_those_of_the_contract() -> None:
    assert {"fold", "fold_model", "explain", "FoldError", "NotEquivalent", "Unproven"} <= set(
        folding.__all__
    )


@pytest.mark.parametrize("name", folding.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(folding, name) is not None


def test_the_public_names_are_sorted_and_each_is_there_once() -> None:
    assert folding.__all__ == sorted(set(folding.__all__))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        folding.nonsense  # noqa: B018 - asking is what is tested


def test_a_star_import_gives_exactly_the_public_names() -> None:
    names: dict[str, Any] = {}

    exec("from folding import *", names)  # noqa: S102 - nothing else does a star import

    assert set(names) - {"__builtins__"} == set(folding.__all__)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("fold", ["source", "target", "verify", "inputs"]),
        ("fold_model", ["model", "verify", "inputs"]),
        ("explain", ["source"]),
    ],
)
def test_the_functions_take_what_the_contract_says(name: str, signature: list[str]) -> None:
    parameters = inspect.signature(getattr(folding, name)).parameters

    assert list(parameters)[: len(signature)] == signature
    for parameter in ("verify", "inputs"):
        assert parameter not in parameters or parameters[parameter].kind.name == "KEYWORD_ONLY"


@pytest.mark.parametrize("name", folding.__all__)
def test_everything_public_has_a_docstring(name: str) -> None:
    value = getattr(folding, name)

    assert isinstance(value, str) or (value.__doc__ or "").strip()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_and_what_it_defines_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    is_rule = name.startswith(("folding.absorbers.", "folding.carriers."))

    assert module.__doc__
    for found, value in public(module):
        if not is_rule or inspect.isclass(value):
            own = value.__doc__ or ""
            assert own, f"{name}.{found}"
            assert not own.startswith(f"{found}("), f"{name}.{found}"


def test_every_error_is_a_fold_error() -> None:
    errors = [v for n in folding.__all__ if inspect.isclass(v := getattr(folding, n))]
    errors = [error for error in errors if issubclass(error, Exception)]

    assert len(errors) >= 7
    assert all(issubclass(error, folding.FoldError) for error in errors)


HEAVY = ("onnx", "numpy", "onnxruntime", "google.protobuf", "rich", "click", "ml_dtypes")


def modules_after(statement: str) -> set[str]:
    """What a new interpreter has imported after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(found.stdout.split())


def test_importing_folding_imports_nothing_heavy() -> None:
    assert modules_after("import folding").isdisjoint(HEAVY)


def test_the_help_of_the_command_needs_no_onnx() -> None:
    assert modules_after("import folding.cli").isdisjoint({"onnx", "numpy", "onnxruntime"})


def test_nothing_is_printed_or_warned_of_on_import() -> None:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import folding; folding.fold"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
