"""Some materials sent to a server, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from folding.equivalence.verdict import VerdictName
from folding.read_back import report_from
from folding.report import FileFacts, Report
from folding_server.client.agreement import fits_files, fits_message, fits_sent
from folding_server.client.answers import Names, Readable, bad_answer, read_report
from folding_server.client.headers import Materials
from folding_server.client.results import Results
from folding_server.client.transfer import Conversation, Header, Progress, Steps


@dataclass(frozen=True, slots=True)
class Exchange:
    """Materials, and the results that come back.

    ``renamed`` has what names in options were sent as, each with what it stands for.
    """

    server: str
    materials: Materials
    results: Results
    renamed: Mapping[str, str] = field(default_factory=dict)

    def steps(self, header: Header, progress: Progress | None) -> Steps[None]:
        """Send the materials, and receive the results."""
        files = self.materials.files
        talk = Conversation(self.server, header, files, self.results, self.names, progress)
        return talk.steps()

    @property
    def names(self) -> Names:
        """What the models, the inputs and the options' names are called here."""
        told = {model.outgoing[0].file.path: model.name for model in self.materials.models}
        inputs = self.materials.inputs
        given = {inputs.told: inputs.name} if inputs.outgoing else {}
        return Names({**told, **given, **self.renamed})

    @property
    def facts(self) -> list[FileFacts]:
        """What is to be said of the models."""
        return [
            FileFacts(model.name, model.size, model.outgoing[0].file.sha256)
            for model in self.materials.models
        ]

    def read(self, read: Callable[[Any], Readable], *, proves: bool = True) -> Readable:
        """The report; ``proves`` says whether it has a verdict.

        Raises:
            ServiceError: it is none that this version can read, or not what was announced.
        """
        found, known = read_report(self.results.report, self.server, self.names, read)
        if not fits_sent(known, self.facts):
            raise bad_answer(self.server, "read other models than it was sent")
        if not fits_message(known, self.results.message, proves=proves):
            raise bad_answer(self.server, "sent another report than it said")
        return found

    def folded(self, target: str) -> Report:
        """The report of a fold, with the files as they are here; raises as ``read``."""
        found = self.read(report_from)
        files, written = self.results.files, None
        if found.verification.name in (VerdictName.EQUIVALENT, VerdictName.SKIPPED):
            if len(files) == 1:
                raise bad_answer(self.server, "sent no model")
            written = FileFacts(target, sum(file.size for file in files[1:]), files[1].sha256)
            if not fits_files(found.target, written):
                raise bad_answer(self.server, "sent another model than its report is about")
        return replace(found, source=self.facts[0], target=written)
