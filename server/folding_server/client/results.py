"""What comes back: files in the order that the report says, each checked by size and digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from folding.beside import write_all
from folding.interrupts import held_back
from folding.superseded import OWN_DATA
from folding.target import Target, storage
from folding.v1.folding_pb2 import Chunk, File, Report
from folding.waiting import Waiting
from folding_server.client.answers import bad_answer

#: A report of a million decisions has less.
_MOST_REPORT_BYTES = 1 << 30
_MOST_FILES = 3


class Results:
    """The files of one answer: the report, and if there is a target, the model and its data."""

    def __init__(self, server: str, target: Target | None = None) -> None:
        self.server, self.target = server, target
        self.report = bytearray()
        self.message = Report()
        self.files: Sequence[File] = ()
        self._place, self._received = -1, 0
        self._digest = hashlib.sha256()
        self._waiting: Waiting | None = None

    @property
    def has_begun(self) -> bool:
        return bool(self.files)

    @property
    def fraction(self) -> float:
        """How much has arrived, from 0 to 1."""
        whole = sum(file.size for file in self.files)
        before = sum(file.size for file in self.files[: max(self._place, 0)])
        return (before + self._received) / whole if whole else 1.0

    def begin(self, message: Report) -> None:
        """Get ready for the files that this announces.

        Raises:
            ServiceError: they are others than an answer may have.
        """
        files = message.files
        most = 1 if self.target is None else _MOST_FILES
        if self.files or not 1 <= len(files) <= most:
            raise bad_answer(self.server, f"sent {len(files)} files")
        if files[0].size > _MOST_REPORT_BYTES:
            raise bad_answer(self.server, "sent a report of more than 1 GiB")
        if len(files) == _MOST_FILES and not OWN_DATA.fullmatch(files[2].path):
            raise bad_answer(self.server, f"called external data {files[2].path!r}")
        self.message, self.files = message, tuple(files)
        self._next()

    def take(self, chunk: Chunk) -> None:
        """The next bytes.

        Raises:
            ServiceError: they are not those that were said to come.
            StorageFailed: they cannot be written.
        """
        if self.has_begun and self._is_complete and chunk.file == self._place + 1:
            self._end_file()
            self._next()
        size = self.files[self._place].size if self.has_begun else 0
        if chunk.file != self._place or self._received + len(chunk.data) > size:
            raise bad_answer(self.server, "sent other bytes than it said")
        self._digest.update(chunk.data)
        self._received += len(chunk.data)
        if self._waiting is None:
            self.report += chunk.data
            return
        assert self.target is not None
        with storage(self.target.path):
            write_all(self._waiting.descriptor, chunk.data)

    def end(self) -> None:
        """No more comes.

        Raises:
            ServiceError: it is not all there.
        """
        if not self.has_begun:
            raise bad_answer(self.server, "sent no report")
        self._end_file()
        while self._place + 1 < len(self.files):
            self._next()
            self._end_file()

    @property
    def _is_complete(self) -> bool:
        return self._received == self.files[self._place].size

    def _next(self) -> None:
        self._place += 1
        self._received, self._digest = 0, hashlib.sha256()
        if self._place and self.target is not None:
            self._waiting = self._wait(self.target, is_data=self._place > 1)

    def _wait(self, target: Target, *, is_data: bool) -> Waiting:
        with storage(target.path), held_back():
            waiting = Waiting(target.path)
            if is_data:
                target.data = waiting
                target.data_path = target.path.with_name(self.files[self._place].path)
            else:
                target.model = waiting
        return waiting

    def _end_file(self) -> None:
        file = self.files[self._place]
        if not self._is_complete:
            what = f"sent {self._received} bytes of {file.path!r}, which has {file.size}"
            raise bad_answer(self.server, what)
        if self._digest.hexdigest() != file.sha256:
            raise bad_answer(self.server, f"sent {file.path!r} with another digest than it said")
        if self._waiting is not None and self.target is not None:
            with storage(self.target.path):
                os.fsync(self._waiting.descriptor)
            self.target.bytes += file.size
