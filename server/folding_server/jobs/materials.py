"""The private folders of jobs, made of blobs."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from folding_server.errors import ServiceError
from folding_server.jobs.places import Places
from folding_server.jobs.runner import FileSpec, JobSpec, Kind
from folding_server.paths import LONGEST_NAME
from folding_server.store.keeping import discard


class Blobs(Protocol):
    """Where the files of clients are."""

    def path(self, owner: str, sha256: str) -> Path:
        """The file with this digest, which is there as long as its job is asked for."""
        ...

    def make_room(self, most: int) -> bool:
        """Remove of what no call uses as much as this, or all; whether there was any."""
        ...

    def forget(self, owner: str, files: Iterable[FileSpec]) -> None:
        """Have these files no longer: they are not what they were."""
        ...


def make_folder(spec: JobSpec, blobs: Blobs, parent: Path) -> Places:
    """A new folder with everything that a job needs.

    Raises:
        OSError: the system refuses; nothing is left.
        ServiceError: BAD_REQUEST, if no file can be called as the folded model would be.
    """
    places = Places(spec, parent / secrets.token_hex(16))
    if spec.kind is Kind.FOLD and len(Path(places.target).name.encode()) > LONGEST_NAME:
        text = f"header.target would have more than {LONGEST_NAME} bytes, made of the model's name"
        raise ServiceError("BAD_REQUEST", text, hint="Give a shorter one.", field="header.target")
    places.folder.mkdir(mode=0o700)
    try:
        for path, file in places.files():
            _put(blobs.path(spec.owner, file.sha256), places.folder / path)
    except BaseException:
        discard(places.folder)
        raise
    return places


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Another file system, or too many links.
        shutil.copyfile(source, target)
