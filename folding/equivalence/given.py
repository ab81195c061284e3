"""The user's own inputs: they are taken only if they fit the model, and then as they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto

from folding.equivalence import input_files
from folding.equivalence.feeds import (
    Array,
    Feed,
    Inputs,
    dtype_of,
    fits,
    required,
    shown,
    tensor_type,
)
from folding.errors import BadCall

#: More sets of inputs than this are taken for an iterator that never ends.
MOST_FEEDS = 1024


def load(inputs: Inputs, model: ModelProto) -> list[Feed]:
    """The user's inputs, each set complete for the model.

    Args:
        inputs: arrays by input name; the path of an .npz file with them, of a folder of
            ``input_0.pb`` and so on, or of a folder of such folders; an iterable of several; or
            a function that returns any of these but a path.
        model: the model to be run.

    Raises:
        BadCall: one is missing, unknown, damaged, or of another type or shape.
        StorageFailed: a file cannot be read.
    """
    if isinstance(inputs, (str, os.PathLike)):
        read = input_files.read(Path(inputs), model)
        return [_complete(where, arrays, model) for where, arrays in read]
    if callable(inputs):
        with _users("the function for inputs failed"):
            inputs = inputs()
    if isinstance(inputs, Mapping):
        return [_complete("", inputs, model)]
    if isinstance(inputs, (str, bytes, np.ndarray)) or not isinstance(inputs, Iterable):
        raise BadCall(f"inputs are arrays by name, not a {type(inputs).__name__}")
    return list(_each(inputs, model))


def _each(several: Iterable[Any], model: ModelProto) -> Iterator[Feed]:
    """Copies, since iterators often fill the same array again."""
    with _users("the inputs cannot be gone through"):
        rest, number, end = iter(several), 0, object()
    while True:
        where = f"inputs[{number}]"
        with _users(f"{where} failed"):
            arrays = next(rest, end)
        if arrays is end:
            break
        if not isinstance(arrays, Mapping):
            raise BadCall(f"{where} is a {type(arrays).__name__}; give arrays by name")
        if number == MOST_FEEDS:
            raise BadCall(f"there are more than {MOST_FEEDS} sets of inputs; give fewer")
        yield {name: array.copy() for name, array in _complete(where, arrays, model).items()}
        number += 1
    if not number:
        raise BadCall("there are no inputs to run on; give at least one set")


@contextmanager
def _users(what: str) -> Iterator[None]:
    """Around the user's own code, which may raise anything."""
    try:
        yield
    except Exception as error:  # What users write has no common base; the BadCall names it.
        text = " ".join(str(error).split()) or type(error).__name__
        raise BadCall(f"{what}: {text}", hint="Correct what gives the inputs.") from error


def _complete(where: str, arrays: Mapping[str, Any], model: ModelProto) -> Feed:
    prefix = f"{where}: " if where else ""
    known = {value.name: value for value in model.graph.input}
    feed: Feed = {}
    with _users(f"{prefix}reading the inputs failed"):
        given = dict(arrays)
    for name, values in given.items():
        if name not in known:
            hint = f"Its inputs: {', '.join(known)}."
            raise BadCall(f"{prefix}the model has no input {name!r}", hint=hint)
        with _users(f"{prefix}input {name!r} is no array"):
            array = np.asarray(values)
        feed[name] = _fitting(prefix, known[name], array)
    for value in required(model):
        if value.name not in feed:
            hint = "Give an array for every input."
            raise BadCall(f"{prefix}the inputs lack {value.name!r}", hint=hint)
    return feed


def _fitting(prefix: str, value: ValueInfoProto, array: Array) -> Array:
    place, hint = f"{prefix}input {value.name!r}", "Give an array of the type and shape it has."
    tensor = tensor_type(value)
    if tensor is None:
        raise BadCall(f"{place} is no tensor; only tensors can be given", hint=hint)
    wanted = dtype_of(tensor)
    found = _strings(array) if tensor.elem_type == TensorProto.STRING else _plain(array, wanted)
    if found is None:
        name = "text" if tensor.elem_type == TensorProto.STRING else wanted
        given = "other objects" if array.dtype == object else array.dtype
        raise BadCall(f"{place} is {name}, the array given is {given}", hint=hint)
    if not fits(tensor, array.shape):
        text = f"{place} is {shown(tensor)}, the array given is {array.shape}"
        raise BadCall(text, hint=hint)
    return found


def _plain(array: Array, wanted: np.dtype[Any]) -> Array | None:
    """.npz files keep the types that numpy does not know as mere bytes."""
    is_foreign = wanted.isbuiltin != 1
    if is_foreign and array.dtype == np.dtype((np.void, wanted.itemsize)):
        return array.view(wanted)
    return array if array.dtype == wanted else None


def _strings(array: Array) -> Array | None:
    if array.dtype.kind == "U":
        return array.astype(object)
    is_text = array.dtype == object and all(isinstance(text, str) for text in array.flat)
    return array if is_text else None
