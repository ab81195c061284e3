"""What the frameworks have saved, made once, and what the routes say of it, asked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from route_answers import Answer, answers, run

TESTS = Path(__file__).parents[2]


@dataclass(frozen=True)
class Way:
    """A route as a session asks it: for sources of one library, in one environment."""

    library: str
    suffixes: Sequence[str]
    environment: Mapping[str, str]


_LEGACY = {"TF_USE_LEGACY_KERAS": "1"}
WAYS = {
    "tensorflow": Way("keras", (".keras", ".h5"), {"KERAS_BACKEND": "tensorflow"}),
    "torch": Way("keras", (".keras", ".h5"), {"KERAS_BACKEND": "torch"}),
    "jax": Way("keras", (".keras",), {"KERAS_BACKEND": "jax"}),
    "keras2": Way("tf_keras", (".keras", ".h5"), _LEGACY),
    "saved_model": Way("keras", ("",), {}),
    "saved_model2": Way("tf_keras", ("",), {}),
    "tflite": Way("keras", (".tflite",), {}),
}

#: A library to the folder of what it has saved.
Saved = Callable[[str], Path]
#: A way, and jobs with at least a source, to what the route says.
Ask = Callable[[str, Sequence[Mapping[str, Any]]], list[Answer]]
#: A way and the name of a file to what the route says of it.
Converted = Callable[[str, str], Answer]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Programs trained and saved, when they are wanted for the first time."""
    found: dict[str, Path] = {}

    def trained(library: str) -> Path:
        if library not in found:
            found[library] = tmp_path_factory.mktemp(library)
            run([str(TESTS / "keras_saving.py"), library, str(found[library])], {})
        return found[library]

    return trained


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Ask a route of jobs, all in one new process."""

    def asked(way: str, jobs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        return answers(jobs, tmp_path_factory.mktemp("route"), WAYS[way].environment)

    return asked


@pytest.fixture(scope="session")
def converted(saved: Saved, ask: Ask) -> Converted:
    """What a route says of a file, asked together with all that go the same way."""
    found: dict[str, dict[str, Answer]] = {}

    def of(way: str, name: str) -> Answer:
        if way not in found:
            library, suffixes = WAYS[way].library, WAYS[way].suffixes
            sources = [
                path
                for path in sorted(saved(library).iterdir())
                if (path.suffix in suffixes if path.is_file() else "" in suffixes)
            ]
            said = ask(way, [{"source": path} for path in sources])
            found[way] = {path.name: each for path, each in zip(sources, said, strict=True)}
        return found[way][name]

    return of
