"""Spools of the service for tests: files to send, sending them, what is left."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from folding_server.jobs.runner import FileSpec, JobResult, JobSpec, Kind, ModelSpec
from folding_server.limits import ServerLimits
from folding_server.store import Spool

OWNER = "somebody"


def file_of(data: bytes, path: str = "m.onnx") -> FileSpec:
    """What a client declares for these bytes."""
    return FileSpec(path, len(data), hashlib.sha256(data).hexdigest())


def spool_at(folder: Path, **limits: Any) -> Spool:
    """A spool that is not open yet."""
    return Spool(folder, ServerLimits(**limits))


async def send(spool: Spool, files: Sequence[FileSpec], *chunks: tuple[int, bytes]) -> None:
    """One call's upload of all files."""
    async with spool.upload(OWNER, files, range(len(files))) as upload:
        for number, data in chunks:
            await upload.write(number, data)
        await upload.finish()


def keep(spool: Spool, data: bytes) -> FileSpec:
    """Send one file as it should be."""
    file = file_of(data)
    asyncio.run(send(spool, [file], *([(0, data)] if data else [])))
    return file


def finished(spool: Spool, text: str = "{}", **facts: Any) -> JobResult:
    """What a job left in its folder: a report, and data of a model in a folder below."""
    folder = spool.jobs / f"job{len(list(spool.jobs.iterdir()))}" / "out"
    (folder / "data").mkdir(parents=True)
    files = []
    for path, data in (("report.json", text.encode()), ("data/weights", bytes(100))):
        (folder / path).write_bytes(data)
        files.append(file_of(data, path))
    return JobResult({"verdict": "equivalent", **facts}, folder, tuple(files))


def a_job(**changed: Any) -> JobSpec:
    """A job, as a header becomes one."""
    model = ModelSpec("m.onnx", file_of(b"model"), (file_of(b"weights", "m.data"),))
    told = {"kind": Kind.FOLD, "owner": OWNER, "models": (model,), "options": {"verify": True}}
    return JobSpec(**{**told, **changed})


def left_in(folder: Path) -> list[str]:
    """The files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
