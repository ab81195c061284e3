"""Answers that are given again: by the digests of the files, the options and the versions."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict
from errno import EEXIST, ENOTEMPTY
from importlib import metadata
from pathlib import Path
from stat import S_ISREG
from typing import Any

from folding._version import __version__
from folding_server.jobs.runner import FileSpec, JobResult, JobSpec
from folding_server.store.blobs import folder_of
from folding_server.store.faults import storage
from folding_server.store.keeping import Keeper, discard, room_in

_OUTCOME = "outcome.json"
_FILES = "files"
#: What results depend on besides fold-model; onnxruntime goes by several names.
_DEPENDENCIES = ("onnx", "numpy", "onnxruntime", "onnxruntime-gpu")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


class Results:
    """The results of jobs, complete or not there at all. Its methods are safe among threads."""

    def __init__(self, folder: Path, keeper: Keeper) -> None:
        self._folder = folder
        self._keeper = keeper
        self._versions = (__version__, *map(_version, _DEPENDENCIES))

    def key(self, spec: JobSpec) -> str:
        """The same for an owner's jobs that have the same result, however long they may run.

        Another owner's job has another key: whether somebody else sent the same is nobody's
        business.
        """
        told = {
            "kind": spec.kind,
            "models": [asdict(model) for model in spec.models],
            "inputs": [asdict(file) for file in spec.inputs],
            "options": dict(spec.options),
            "versions": self._versions,
        }
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return f"{folder_of(spec.owner)}-{hashlib.sha256(text.encode()).hexdigest()}"

    @staticmethod
    def keeps(result: JobResult) -> bool:
        """Whether the next run would find the same: not so if a limit ended the proof."""
        return bool(result.files) and result.facts.get("verdict") != "unproven"

    def pin(self, key: str) -> AbstractContextManager[None]:
        """Keep a result, there or still to come, for the time of the block."""
        return self._keeper.pinned({self._folder / key})

    def get(self, key: str) -> JobResult | None:
        """A result that is kept, if it is complete. It counts as used now. Pin it before."""
        folder = self._folder / key
        try:
            told = json.loads((folder / _OUTCOME).read_bytes())
            result = JobResult(
                told["facts"], folder / _FILES, tuple(FileSpec(**file) for file in told["files"])
            )
            if not all(_is_there(result.folder, file) for file in result.files):
                return None
            os.utime(folder)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return result

    def forget(self, key: str) -> None:
        """Have a result no longer, whoever uses it."""
        self._keeper.remove(self._folder / key, in_use=True)

    def put(self, key: str, result: JobResult) -> JobResult:
        """Keep a result by moving its folder; where it is from now on. Pin it before.

        Raises:
            ServiceError: STORAGE_FULL; the result is where it was.
            StorageFailed: the disk fails; the result is where it was.
        """
        staged = self._keeper.fresh_name()
        with storage("keep a result"):
            try:
                self._stage(staged, result)
                kept = self._place(staged, key)
            except OSError:
                _back(staged, result.folder)
                raise
            finally:
                discard(staged)
        return kept or JobResult(result.facts, self._folder / key / _FILES, result.files)

    def _stage(self, staged: Path, result: JobResult) -> None:
        told: dict[str, Any] = {
            "facts": dict(result.facts),
            "files": [asdict(file) for file in result.files],
        }
        staged.mkdir(mode=0o700)
        (staged / _OUTCOME).write_text(json.dumps(told), encoding="ascii")
        result.folder.rename(staged / _FILES)

    def _place(self, staged: Path, key: str) -> JobResult | None:
        """Rename it into its place; what was there already, if it is as good."""
        target = self._folder / key
        while True:
            try:
                staged.rename(target)
            except OSError as error:
                if error.errno not in {ENOTEMPTY, EEXIST}:
                    raise
                if kept := self.get(key):
                    return kept
                self._keeper.remove(target, in_use=True)
            else:
                self._keeper.added(room_in(target))
                return None


def _is_there(folder: Path, file: FileSpec) -> bool:
    status = (folder / file.path).lstat()
    return S_ISREG(status.st_mode) and status.st_size == file.size


def _back(staged: Path, folder: Path) -> None:
    files = staged / _FILES
    if files.exists():
        files.rename(folder)
