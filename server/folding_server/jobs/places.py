"""Where a job's files are in its folder, and what its client is told instead.

The folders in there are called after the job's folder, whose name nobody can guess: so nothing in a
model can look like one of these paths, and each can be told from the text around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from folding_server.jobs.runner import FileSpec, JobSpec, Kind

#: The first of the results.
REPORT = "report.json"

_ROLES = ("model", "candidate")


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one job, relative to its ``folder``."""

    spec: JobSpec
    folder: Path

    @property
    def models(self) -> list[str]:
        """The paths of the models."""
        return [
            self._path(role, model.file)
            for model, role in zip(self.spec.models, _ROLES, strict=False)
        ]

    @property
    def inputs(self) -> str | None:
        """The path of the inputs: one file, or a folder with input_*.pb."""
        if not self.spec.inputs:
            return None
        if len(self.spec.inputs) == 1 and not self.spec.inputs[0].path.endswith(".pb"):
            return self._path("inputs", self.spec.inputs[0])
        tops = {PurePosixPath(file.path).parts[0] for file in self.spec.inputs}
        is_folder = len(tops) == 1 and all("/" in file.path for file in self.spec.inputs)
        return "/".join([self._role("inputs"), *(tops if is_folder else ())])

    @property
    def out(self) -> str:
        """The folder of the results."""
        return self._role("out")

    @property
    def target(self) -> str:
        """The path of the folded model."""
        return f"{self.out}/{PurePosixPath(self._target_name).name}"

    def files(self) -> Iterator[tuple[str, FileSpec]]:
        """Each file that the job is given, with its path."""
        for model, role in zip(self.spec.models, _ROLES, strict=False):
            for file in model.files:
                yield self._path(role, file), file
        for file in self.spec.inputs:
            yield self._path("inputs", file), file

    def shown(self, found: Any) -> Any:
        """Anything that JSON has, with what the client knows for every path of this machine."""
        return _renamed(found, self._names())

    @property
    def _target_name(self) -> str:
        given = self.spec.options.get("target")
        return str(given or self.spec.models[0].folded_name)

    def _role(self, role: str) -> str:
        return f"{self.folder.name}-{role}"

    def _path(self, role: str, file: FileSpec) -> str:
        return f"{self._role(role)}/{file.path}"

    def _names(self) -> dict[str, str]:
        """What stands for what, in the order in which it is to be replaced."""
        names = {f"{self.folder.resolve()}/": "", f"{self.folder}/": ""}
        pairs = [*zip(self.models, (model.name for model in self.spec.models), strict=True)]
        if self.spec.kind is Kind.FOLD:
            pairs.append((self.target, self._target_name))
        for path, name in pairs:
            names |= {repr(path): repr(name), repr(path)[1:-1]: repr(name)[1:-1], path: name}
        names |= {f"{self._role(role)}/": "" for role in (*_ROLES, "inputs", "out")}
        names |= {self._role("inputs"): "inputs", self.folder.name: "job"}
        return names


def _renamed(found: Any, names: dict[str, str]) -> Any:
    if isinstance(found, str):
        for path, name in names.items():
            if path in found:
                found = found.replace(path, name)
        return found
    if isinstance(found, dict):
        return {key: _renamed(value, names) for key, value in found.items()}
    if isinstance(found, list):
        return [_renamed(value, names) for value in found]
    return found
