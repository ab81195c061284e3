"""Products as plain data: what a process answers is taken apart as if it meant harm."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from folding.conversion.job import MODEL, Port, Product, Statistics
from folding.lint.finding import Code
from folding.plan import Warned

Part = TypeVar("Part")

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}\.npz")
_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_FORMULAS = ("", "variance_squared", "epsilon_outside_root")


class Junk(Exception):
    """What was answered is no product; the message says what is wrong, as a clause."""


def as_plain(product: Product) -> dict[str, Any]:
    """A product as JSON has it."""
    return asdict(product)


def read_product(found: Any, folder: Path, *, for_lints: bool = False) -> Product:
    """A product out of what ``as_plain`` gave, if it is one and its files are there.

    Raises:
        Junk: it is not, or they are not.
    """
    fields = _fields(found, Product)
    product = Product(
        framework=_text(fields["framework"]),
        converter=_text(fields["converter"]),
        inputs=_all(fields["inputs"], _port),
        outputs=_all(fields["outputs"], _port),
        references=_all(fields["references"], _file_name),
        unchecked=_text(fields["unchecked"]),
        statistics=_all(fields["statistics"], _statistics),
        declares_normalisation=_flag(fields["declares_normalisation"]),
        warnings=_all(fields["warnings"], _warned),
        lints=_all(fields["lints"], _lint),
    )
    if product.converter or not for_lints:
        _check_file(folder / MODEL, "no model")
    for name in (*product.references, *(one.arrays for one in product.statistics)):
        _check_file(folder / name, f"no {name}")
    if not product.references and not product.unchecked:
        raise Junk("without outputs of the framework, and without a reason for that")
    return product


def _fields(found: Any, kind: type[Any]) -> dict[str, Any]:
    """The fields of a data class, all of them and no others."""
    if not isinstance(found, dict) or set(found) != set(kind.__slots__):
        raise Junk(f"with something else than a {kind.__name__}")
    return found


def _all(found: Any, read: Callable[[Any], Part]) -> Sequence[Part]:
    if not isinstance(found, list):
        raise Junk("with something else than a list")
    return tuple(map(read, found))


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise Junk("with something else than a text")
    return found


def _flag(found: Any) -> bool:
    if not isinstance(found, bool):
        raise Junk("with something else than a truth value")
    return found


def _number(found: Any) -> float | None:
    if found is not None and (isinstance(found, bool) or not isinstance(found, (int, float))):
        raise Junk("with something else than a number")
    return found


def _count(found: Any) -> int | None:
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < 0):
        raise Junk("with something else than a count")
    return found


def _port(found: Any) -> Port:
    fields = _fields(found, Port)
    return Port(_text(fields["source"]), _text(fields["graph"]))


def _warned(found: Any) -> Warned:
    fields = _fields(found, Warned)
    code, at, text = (_text(fields[name]) for name in ("code", "at", "text"))
    if not _CODE.fullmatch(code) or not text:
        raise Junk("with a warning that says nothing")
    return Warned(code, at, text)


def _lint(found: Any) -> Warned:
    warned = _warned(found)
    if warned.code not in Code.__members__:
        raise Junk("with an unknown lint")
    return warned


def _file_name(found: Any) -> str:
    """Nothing but a file of the job's folder."""
    name = _text(found)
    if not _FILE.fullmatch(name):
        raise Junk("with the name of a file that is none of its own")
    return name


def _statistics(found: Any) -> Statistics:
    fields = _fields(found, Statistics)
    formula = _text(fields["formula"])
    if formula not in _FORMULAS:
        raise Junk("with an unknown formula")
    return Statistics(
        name=_text(fields["name"]),
        arrays=_file_name(fields["arrays"]),
        epsilon=_number(fields["epsilon"]),
        momentum=_number(fields["momentum"]),
        formula=formula,
        averages_from_zero=_flag(fields["averages_from_zero"]),
        steps=_count(fields["steps"]),
        correctable=_flag(fields["correctable"]),
    )


def _check_file(path: Path, lack: str) -> None:
    if path.is_symlink() or not path.is_file():
        raise Junk(f"with {lack}")
