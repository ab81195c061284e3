"""What a .keras file says of itself is read without Keras, whatever it is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from folding.conversion.keras.file import read_keras_file
from folding.errors import BadCall, BadModel

PARTS = ("metadata.json", "config.json", "model.weights.h5")
DENSE = {"class_name": "Dense", "config": {"name": "d", "activation": "relu"}}
LAMBDA = {"class_name": "Lambda", "config": {"name": "twice"}}
CODED = {
    "class_name": "Dense",
    "config": {"name": "coded", "activation": {"class_name": "__lambda__", "config": {}}},
}
NAMELESS = {"class_name": "Lambda", "config": {"function": ["code"], "function_type": "lambda"}}
REGISTERED = {"class_name": "Kind", "registered_name": "keras>Lambda", "config": {"name": "r"}}
IMPORTED = {"class_name": "function", "config": "system", "module": "os"}
CALLS = {"class_name": "Dense", "config": {"name": "calls", "activation": IMPORTED}}
WRAPPED = {"class_name": "TimeDistributed", "config": {"name": "each", "layer": LAMBDA}}


def _file(path: Path, *layers: Any, version: str = "3.15.1", leave_out: str = "") -> Path:
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    parts = (json.dumps({"keras_version": version}), json.dumps(model), "")
    with zipfile.ZipFile(path / "m.keras", "w") as archive:
        for name, text in zip(PARTS, parts, strict=True):
            if name != leave_out:
                archive.writestr(name, text)
    return path / "m.keras"


@pytest.mark.parametrize(("version", "legacy"), [("2.15.0", True), ("3.0.0", False)])
def test_the_version_decides_who_reads_it(tmp_path: Path, version: str, legacy: bool) -> None:  # noqa: FBT001
    """Keras 2 wrote what says 2."""
    file = read_keras_file(_file(tmp_path, DENSE, version=version))
    assert file.version == version
    assert file.is_legacy is legacy


def test_layers_are_found_in_order(tmp_path: Path) -> None:
    """Those within layers too; what is no layer, such as an initializer, is none."""
    file = read_keras_file(_file(tmp_path, DENSE, WRAPPED))
    assert [layer.name for layer in file.layers] == ["s", "d", "each", "twice"]


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (LAMBDA, "'twice'"),
        (CODED, "'coded'"),
        (WRAPPED, "'twice'"),
        (NAMELESS, "the Lambda layer"),
        (REGISTERED, "'r'"),
        (CALLS, "'calls'"),
    ],
)
def test_code_needs_trust(tmp_path: Path, layer: Any, name: str) -> None:
    """Whatever stands for a Lambda, or is imported for it, is refused, or trusted."""
    file = read_keras_file(_file(tmp_path, DENSE, layer, version="2.15.0"))
    with pytest.raises(BadCall, match=name) as error:
        file.require_contained(trust=False)
    assert "--trust" in error.value.hint
    file.require_contained(trust=True)


def test_what_cannot_be_imported_is_no_code(tmp_path: Path) -> None:
    """It is a layer that is unknown here, which is said when it is loaded."""
    for module in ("__main__", "somebodys_layers.norms", "keras.layers"):
        layer = {"class_name": "Own", "module": module, "config": {"name": "own"}}
        read_keras_file(_file(tmp_path, layer, version="2.15.0")).require_contained(trust=False)


def test_a_file_of_both_formats_is_refused(tmp_path: Path) -> None:
    """Who looks at its end finds other layers than who looks at its beginning."""
    path = _file(tmp_path, DENSE)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + path.read_bytes())
    with pytest.raises(BadModel, match="two files in one"):
        read_keras_file(path)


def test_a_zip_before_an_hdf5_is_refused_too(tmp_path: Path) -> None:
    """HDF5 may begin behind something else, and tf_keras goes by the name of the file."""
    path = tmp_path / "m.keras"
    for offset in (512, 2048):
        with zipfile.ZipFile(path, "w") as archive:
            header = 30 + len("first")
            archive.writestr("first", bytes(offset - header) + b"\x89HDF\r\n\x1a\n")
        with pytest.raises(BadModel, match="two files in one"):
            read_keras_file(path)


def test_a_file_that_a_layer_names_needs_trust(tmp_path: Path) -> None:
    """A lookup reads its words from wherever it says; words of its own need nothing."""
    own, other = (
        {"class_name": "StringLookup", "config": {"name": "words", "vocabulary": words}}
        for words in (["a", "b"], "/etc/hostname")
    )
    read_keras_file(_file(tmp_path, own, version="2.15.0")).require_contained(trust=False)
    file = read_keras_file(_file(tmp_path, DENSE, other, version="2.15.0"))
    file.require_contained(trust=True)
    with pytest.raises(BadCall, match=r"'words' of .* reads the file '/etc/hostname'") as raised:
        file.require_contained(trust=False)
    assert "--trust" in raised.value.hint
    unnamed = {"class_name": "StringLookup", "config": {"vocabulary": "/etc/hostname"}}
    file = read_keras_file(_file(tmp_path, unnamed, version="2.15.0"))
    with pytest.raises(BadCall, match="reads the file '/etc/hostname'"):
        file.require_contained(trust=False)


def test_layers_without_code_need_no_trust(tmp_path: Path) -> None:
    """Names of Keras' own functions are no code."""
    read_keras_file(_file(tmp_path, DENSE)).require_contained(trust=False)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    """A zip without one of the three parts is no .keras file."""
    with pytest.raises(BadModel, match=part):
        read_keras_file(_file(tmp_path, DENSE, leave_out=part))


@pytest.mark.parametrize(("part", "text"), [("metadata.json", "{}"), ("config.json", "{")])
def test_nonsense_is_refused(tmp_path: Path, part: str, text: str) -> None:
    """Parts that are there and say nothing are refused."""
    path = _file(tmp_path, DENSE, leave_out=part)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(part, text)
    with pytest.raises(BadModel, match=str(path)):
        read_keras_file(path)


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    """A part whose checksum is wrong is damage, not a traceback."""
    path = _file(tmp_path, DENSE)
    content = bytearray(path.read_bytes())
    content[content.index(b"Sequential")] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadModel, match="damaged"):
        read_keras_file(path)


def test_what_unpacks_to_far_more_than_it_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras unpacks all of it; what is small anyway may be."""
    path = _file(tmp_path, DENSE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(1 << 20))
    read_keras_file(path)

    monkeypatch.setattr("folding.conversion.keras.file._LONGEST", 1 << 18)
    with pytest.raises(BadModel, match="over 100 times its size"):
        read_keras_file(path)
