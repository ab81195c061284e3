"""What a Keras file says about itself, read without Keras: importing that fixes the backend."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folding.conversion.keras import reach
from folding.errors import BadCall, BadModel

#: How long a description of layers may be.
_LONGEST = 1 << 28
#: How many times larger than the file all of its parts may be: what models hold is mostly noise.
_MOST_PACKED = 100
#: The part of a .keras file that holds the arrays.
WEIGHTS = "model.weights.h5"
_PARTS = ("metadata.json", "config.json", WEIGHTS)
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: HDF5 begins at the beginning, or behind what is not its own: at a power of two from here on.
_FIRST_OFFSET = 512
#: What to do about a file that is damaged.
_AGAIN = "Copy or save it again."


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as its file describes it; ``own`` is how it is set."""

    kind: str
    name: str
    own: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KerasFile:
    """A file of either format: the Keras that wrote it, and its layers.

    ``code`` says what of it would run code of the file or import some, ``files`` what of it would
    read which other file; ``operators`` are layers that are one of TensorFlow's, as its NodeDef.
    """

    path: Path
    version: str
    layers: tuple[Layer, ...]
    code: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    operators: tuple[tuple[str, dict[str, Any]], ...] = ()

    @property
    def is_legacy(self) -> bool:
        """Whether Keras 2 wrote it, and so tf_keras has to read it."""
        return _is_legacy(self.version)

    def require_contained(self, *, trust: bool) -> None:
        """Refuse a file that brings code or names other files, unless it is trusted."""
        if self.code and not trust:
            hint = (
                "Converting it runs that code, which can do anything that you can: give"
                " --trust if you know where the file comes from."
            )
            text = f"{self.code[0]} of {str(self.path)!r} holds code, or calls what may be any"
            raise BadCall(text, hint=hint)
        if self.files and not trust:
            raise self.reads(*self.files[0])

    def reads(self, part: str, other: str) -> BadCall:
        """What to say of a part that lies in another file."""
        return BadCall(
            f"{part} of {str(self.path)!r} reads the file {other!r}",
            hint="Give --trust if it may, or save the model once that is a part of it.",
        )


def _is_legacy(version: str) -> bool:
    return version.partition(".")[0] in {"1", "2"}


def read_keras_file(path: Path) -> KerasFile:
    """What a .keras or .h5 file says.

    Raises:
        BadModel: it is damaged, or not the file of a whole model.
    """
    is_hdf5 = _is_hdf5(path)
    if is_hdf5 and zipfile.is_zipfile(path):
        text = f"{str(path)!r} is two files in one, of which each reader sees another"
        raise BadModel(text, hint="Save the model again.")
    version, config = _from_hdf5(path) if is_hdf5 else _from_zip(path)
    try:
        model = json.loads(config)
        code = tuple(reach.code(model, is_legacy=_is_legacy(version)))
        files, operators = tuple(reach.files(model)), tuple(reach.operators(model))
        return KerasFile(path, version, tuple(_layers(model)), code, files, operators)
    except (ValueError, RecursionError) as error:
        raise BadModel(
            f"the description of the layers in {str(path)!r} cannot be read: {error}", hint=_AGAIN
        ) from None


def _is_hdf5(path: Path) -> bool:
    """Whether HDF5 begins anywhere that its readers look."""
    offset, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            if file.read(len(_HDF5)) == _HDF5:
                return True
            offset = 2 * offset or _FIRST_OFFSET
    return False


def _from_zip(path: Path) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [part for part in _PARTS if part not in archive.namelist()]
            if missing:
                raise BadModel(
                    f"{str(path)!r} is no .keras file: it has no {missing[0]!r}", hint=_AGAIN
                )
            _require_bounded(archive, path)
            about, config = (_part(archive, part) for part in _PARTS[:2])
    # NotImplementedError is zipfile's for a compression or an encryption that it does not know.
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BadModel(f"{str(path)!r} is damaged: {error}", hint=_AGAIN) from None
    try:
        return str(json.loads(about)["keras_version"]), config
    except (ValueError, KeyError, TypeError):
        raise BadModel(f"{str(path)!r} does not say which Keras wrote it", hint=_AGAIN) from None


def _require_bounded(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse what would fill the disk: Keras unpacks all that is in it, wherever that has more."""
    unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > max(_LONGEST, _MOST_PACKED * path.stat().st_size):
        text = f"{str(path)!r} would be {unpacked} bytes once it is unpacked"
        raise BadModel(f"{text}, over {_MOST_PACKED} times its size", hint="Save the model again.")


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        content = part.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise BadModel(
            f"{name!r} of {str(archive.filename)!r} has over {_LONGEST} bytes", hint=_AGAIN
        )
    return content


def _from_hdf5(path: Path) -> tuple[str, bytes]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            version, config = (_text(file.attrs.get(k)) for k in ("keras_version", "model_config"))
    except OSError as error:
        raise BadModel(
            f"{str(path)!r} is damaged, or no Keras file: {error}", hint=_AGAIN
        ) from None
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
