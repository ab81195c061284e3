"""What a Keras file says about itself, read without Keras: importing that fixes the backend."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from folding.errors import BadCall, BadModel

#: How long a description of layers may be.
_LONGEST = 1 << 28
_PARTS = ("metadata.json", "config.json", "model.weights.h5")
#: Classes that run what the file brings, and what stands for a function whose code is in it.
_RUNS_CODE = frozenset({"Lambda", "TFSMLayer", "__lambda__"})
#: What has a class, and is no layer.
_FUNCTIONS = frozenset({"__lambda__", "__tensor__", "function"})
#: Where classes come from that nobody else wrote; what a notebook defined is not there any more.
_OWN_PACKAGES = frozenset({"__main__", "builtins", "keras", "tf_keras"})
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
    read which other file.
    """

    path: Path
    version: str
    layers: tuple[Layer, ...]
    code: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

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
            raise BadCall(f"{self.code[0]} of {str(self.path)!r} holds code", hint=hint)
        for layer, file in self.files if not trust else ():
            raise BadCall(
                f"{layer} of {str(self.path)!r} reads the file {file!r}",
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
        imports = _is_legacy(version)
        code = tuple(_code(model, "the model", imports=imports))
        layers = tuple(_layers(model))
        files = (*_files(model), *(_linked(path) if is_hdf5 else ()))
        return KerasFile(path, version, layers, code, files)
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
            about, config = (_part(archive, part) for part in _PARTS[:2])
    # NotImplementedError is zipfile's for a compression or an encryption that it does not know.
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BadModel(f"{str(path)!r} is damaged: {error}", hint=_AGAIN) from None
    try:
        return str(json.loads(about)["keras_version"]), config
    except (ValueError, KeyError, TypeError):
        raise BadModel(f"{str(path)!r} does not say which Keras wrote it", hint=_AGAIN) from None


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


def _linked(path: Path) -> list[tuple[str, str]]:
    """What an HDF5 file takes from other files, by name."""
    import h5py

    found: list[tuple[str, str]] = []

    def look(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset):
            sources = part.virtual_sources() if part.is_virtual else ()
            virtual = [source.file_name for source in sources]
            found.extend((f"its part {name!r}", file) for file, *_ in part.external or ())
            found.extend((f"its part {name!r}", file) for file in virtual if file != ".")
            return
        for key in part:
            link = part.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                found.append((f"its part {key!r}", link.filename))

    with h5py.File(path, "r") as file:
        look("", file)
        file.visititems(look)
    return found


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


def _files(config: Any, within: str = "the model") -> Iterator[tuple[str, str]]:
    """Who has words, whatever else it has, and the file of words that stands where they should."""
    if isinstance(config, dict):
        own = config.get("config")
        if "class_name" in config and isinstance(own, dict):
            within = f"the {config['class_name']} layer {own.get('name', '')!r}"
        if isinstance(words := config.get("vocabulary"), str):
            yield within, words
    parts = config.values() if isinstance(config, dict) else config
    for part in parts if isinstance(config, dict | list) else ():
        yield from _files(part, within)


def _code(config: Any, within: str, *, imports: bool) -> Iterator[str]:
    """Whatever in a description would run code of the file, named after the layer it is in.

    It goes by what stands there, not by what a layer has to look like. ``imports`` is whether a
    class is looked for in whatever module it names, as Keras 2 does, which runs that.
    """
    if isinstance(config, dict):
        kind, own = str(config.get("class_name")), config.get("config")
        if isinstance(own, dict) and kind not in _FUNCTIONS:
            within = f"the {kind} layer {own.get('name', '')!r}"
        named = {
            name.rpartition(">")[2].strip() for name in (kind, str(config.get("registered_name")))
        }
        is_lambda = any(key.endswith("_type") and part == "lambda" for key, part in config.items())
        if named & _RUNS_CODE or is_lambda or (imports and _is_foreign(config.get("module"))):
            yield within
    parts = config.values() if isinstance(config, dict) else config
    for part in parts if isinstance(config, (dict, list)) else ():
        yield from _code(part, within, imports=imports)


def _is_foreign(module: Any) -> bool:
    """Whether a module that is not Keras' own could be imported."""
    package = str(module or "keras").partition(".")[0]
    return package not in _OWN_PACKAGES and find_spec(package or "keras") is not None
