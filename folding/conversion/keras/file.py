"""What a Keras file says about itself, read without Keras: importing that fixes the backend."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folding.errors import BadCall, BadModel

#: How long a description of layers may be.
_LONGEST = 1 << 28
_PARTS = ("metadata.json", "config.json", "model.weights.h5")
#: What stands for a Python function whose code is in the file.
_CODE = "__lambda__"
#: Layers that run what the file brings.
_RUNS_CODE = ("Lambda", "TFSMLayer")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as its file describes it; ``own`` is how it is set."""

    kind: str
    name: str
    own: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KerasFile:
    """A file of either format: the Keras that wrote it, and its layers."""

    path: Path
    version: str
    layers: tuple[Layer, ...]

    @property
    def is_legacy(self) -> bool:
        """Whether Keras 2 wrote it, and so tf_keras has to read it."""
        return self.version.split(".")[0] in {"1", "2"}

    def require_no_code(self, *, trust: bool) -> None:
        """Refuse a file that brings code, unless it is trusted."""
        for layer in self.layers:
            if not trust and (layer.kind in _RUNS_CODE or _CODE in _kinds(layer.own)):
                text = f"the {layer.kind} layer {layer.name!r} of {str(self.path)!r} holds code"
                hint = (
                    "Converting it runs that code, which can do anything that you can: give"
                    " --trust if you know where the file comes from."
                )
                raise BadCall(text, hint=hint)


def read_keras_file(path: Path) -> KerasFile:
    """What a .keras or .h5 file says.

    Raises:
        BadModel: it is damaged, or not the file of a whole model.
    """
    version, config = _from_zip(path) if zipfile.is_zipfile(path) else _from_hdf5(path)
    try:
        return KerasFile(path, version, tuple(_layers(json.loads(config))))
    except (ValueError, RecursionError) as error:
        raise BadModel(
            f"the description of the layers in {str(path)!r} cannot be read: {error}"
        ) from None


def _from_zip(path: Path) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [part for part in _PARTS if part not in archive.namelist()]
            if missing:
                raise BadModel(f"{str(path)!r} is no .keras file: it has no {missing[0]!r}")
            about, config = (_part(archive, part) for part in _PARTS[:2])
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BadModel(f"{str(path)!r} is damaged: {error}") from None
    try:
        return str(json.loads(about)["keras_version"]), config
    except (ValueError, KeyError, TypeError):
        raise BadModel(f"{str(path)!r} does not say which Keras wrote it") from None


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        content = part.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise BadModel(f"{name!r} of {str(archive.filename)!r} has over {_LONGEST} bytes")
    return content


def _from_hdf5(path: Path) -> tuple[str, bytes]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            version, config = (_text(file.attrs.get(k)) for k in ("keras_version", "model_config"))
    except OSError as error:
        raise BadModel(f"{str(path)!r} is damaged, or no Keras file: {error}") from None
    if not config:
        text = f"{str(path)!r} holds weights, and not the layers that they belong to"
        raise BadModel(text, hint="Save the whole model with model.save, not its weights alone.")
    # Keras 1 did not say its version.
    return version.decode() or "1", config


def _text(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else bytes(value)


def _layers(config: Any) -> Iterator[Layer]:
    """Each layer in a description, models within models included, in order."""
    if isinstance(config, dict):
        own = config.get("config")
        if "class_name" in config and isinstance(own, dict) and "name" in own:
            yield Layer(str(config["class_name"]), str(own["name"]), own)
        for part in config.values():
            yield from _layers(part)
    elif isinstance(config, list):
        for part in config:
            yield from _layers(part)


def _kinds(own: Mapping[str, Any]) -> list[str]:
    """The class of everything that a layer is set to and that has one."""
    parts = [part for part in own.values() if isinstance(part, Mapping)]
    return [str(part.get("class_name")) for part in parts]
