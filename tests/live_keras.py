"""Convert live models: run as ``python live_keras.py LIBRARY FOLDER``, which gets said.json."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from folding.conversion.job import Job, Kind
from folding.conversion.routes.keras import convert_model
from folding.errors import FoldError


def _job(folder: Path) -> Job:
    folder.mkdir()
    return Job(Path("live"), Kind.KERAS, folder)


def main(name: str, folder: Path) -> None:
    """Convert each, and say what came of it and of the model."""
    library = importlib.import_module(name)
    layers = library.layers

    class Own(library.Model):  # type: ignore[misc, name-defined]
        """Two layers in a class."""

        def __init__(self) -> None:
            super().__init__()
            self.dense, self.norm = layers.Dense(3), layers.BatchNormalization()

        def call(self, tensor: Any) -> Any:
            return self.norm(self.dense(tensor))

    class Two(Own):
        """The same, with a dictionary of outputs."""

        def call(self, tensor: Any) -> Any:
            hidden = self.dense(tensor)
            return {"p": self.norm(hidden), "q": hidden}

    class Keyed(Own):
        """Three inputs in a dictionary, one of them in a list in it, and outputs in another."""

        def call(self, inputs: Any) -> Any:
            first, second = inputs["pair"]
            return {"sums": [self.norm(self.dense(inputs["one"] + first)), first + second]}

    class Several(Own):
        """Two inputs as two arguments."""

        def call(self, one: Any, other: Any) -> Any:  # type: ignore[override]  # that is it
            return self.norm(self.dense(one + other))

    image = library.Input((4,), name="image")
    norm = layers.BatchNormalization()(layers.Dense(3)(image))
    learning = layers.BatchNormalization(momentum=0.5)(image, training=True)
    subclass, dictionary, nested, several = Own(), Two(), Keyed(), Several()
    keyed = {"one": library.Input((4,), name="a"), "pair": [image, library.Input((3,), name="b")]}
    joined = layers.Concatenate()([layers.Dense(3)(keyed["one"]), *keyed["pair"]])
    said: dict[str, Any] = {}
    subclass(np.ones((2, 4), np.float32))
    dictionary(np.ones((2, 4), np.float32))
    row = np.ones((1, 4), np.float32)
    nested({"one": row, "pair": [row, row]})
    several(row, row)
    models = {"functional": library.Model(image, norm), "subclass": subclass, "nested": nested}
    models |= {"keyed": library.Model(keyed, layers.BatchNormalization()(joined))}
    models |= {"built": _built(library), "augmented": _augmented(library, told=False)}
    for each, model in {**models, "dictionary": dictionary}.items():
        said[each] = asdict(convert_model(model, _job(folder / each)))
    said["learns"] = _learns(library.Model(image, learning), folder / "learns")
    said["several"] = list(_refusal(several, folder / "several"))
    said["stateful"] = list(_refusal(_stateful(library), folder / "stateful"))
    said["told"] = list(_refusal(_augmented(library, told=True), folder / "told"))
    said["uncalled"] = list(_refusal(Own(), folder / "uncalled"))
    (folder / "said.json").write_text(json.dumps(said))


def _built(library: Any) -> Any:
    """Layers that learn from data what they take."""
    layers = library.layers
    model = library.Sequential([layers.Dense(3), layers.BatchNormalization()])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4), np.float32), np.ones((8, 3), np.float32), batch_size=4, verbose=0)
    return model


def _stateful(library: Any) -> Any:
    """A recurrent layer that goes on where the batch before ended."""
    sequence = library.Input((5, 4), batch_size=2)
    return library.Model(sequence, library.layers.LSTM(3, stateful=True)(sequence))


def _augmented(library: Any, *, told: bool) -> Any:
    """Layers that train unless they are told not to, and one that may be told to."""
    layers = library.layers
    image = library.Input((4, 4, 3))
    turned = library.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    hidden = layers.BatchNormalization()(layers.Conv2D(2, 3)(turned(image)))
    more = {"training": True} if told else {}
    return library.Model(image, layers.Dropout(0.5)(hidden, **more))


def _refusal(model: Any, folder: Path) -> tuple[str, str, str]:
    try:
        convert_model(model, _job(folder))
    except FoldError as error:
        return type(error).__name__, str(error), error.hint
    return "", "", ""


def _learns(model: Any, folder: Path) -> list[str]:
    before = [variable.numpy().copy() for variable in model.variables]
    error, *_ = _refusal(model, folder)
    after = [variable.numpy() for variable in model.variables]
    same = all(map(np.array_equal, before, after))
    return [error, "unchanged" if same else "changed"]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
