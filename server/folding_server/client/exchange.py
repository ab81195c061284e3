"""Some materials sent to a server, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from folding.report import FileFacts
from folding_server.client.answers import Names, read_report
from folding_server.client.headers import Materials
from folding_server.client.results import Results
from folding_server.client.transfer import Conversation, Header, Progress, Steps

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Materials, and the results that come back."""

    server: str
    materials: Materials
    results: Results

    def steps(self, header: Header, progress: Progress | None) -> Steps[None]:
        """Send the materials, and receive the results."""
        files = self.materials.files
        talk = Conversation(self.server, header, files, self.results, self.names, progress)
        return talk.steps()

    @property
    def names(self) -> Names:
        """What the models are called here."""
        return Names({model.outgoing[0].file.path: model.name for model in self.materials.models})

    @property
    def facts(self) -> list[FileFacts]:
        """What is to be said of the models."""
        return [
            FileFacts(model.name, model.size, model.outgoing[0].file.sha256)
            for model in self.materials.models
        ]

    def read(self, read: Callable[[Any], T]) -> T:
        """The report.

        Raises:
            ServiceError: it is none that this version can read.
        """
        return read_report(self.results.report, self.server, self.names, read)
