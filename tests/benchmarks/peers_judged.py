"""What ``fold-model verify`` says of the files that other tools make.

    python -m pip install '.[bench]' onnxscript && python tests/benchmarks/peers_judged.py

lets each tool that is installed fold the models and networks of ``reach.py``, and judges every file
beside its source. What is known of a file is said by runs in onnxruntime without optimisation
(``reach_judge.py``), which is neither proof nor part of fold-model; verify must call no file
equivalent that computes something else there, and none different that does not.

    equivalent, unproven, different     the verdict
    no file                             the tool failed, or what it wrote is no model

The exit code is 1 if a verdict is wrong. Every file that computes something else is listed with
what verify says of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from comparison import markdown
from reach import made
from reach_judge import deviation
from reach_peers import TOOLS, Failed, Process, Tool, onnxruntime_all
from reach_tables import SUBJECTS
from reach_trials import Subject

_ALL = Tool("onnxruntime all", onnxruntime_all, "onnxruntime")
_PEERS = (*TOOLS[1:3], _ALL, *TOOLS[3:])
_NO_FILE = "no file"
_VERDICTS = ("equivalent", "unproven", "different", _NO_FILE)


@dataclass(frozen=True, slots=True)
class Judged:
    """One file: the verdict, what it rests on, and what runs say of it: None if they cannot."""

    tool: str
    model: str
    verdict: str
    why: str = ""
    is_right: bool | None = None

    @property
    def is_misjudged(self) -> bool:
        """Whether the runs show that the verdict is wrong."""
        false = {True: "different", False: "equivalent"}
        return self.is_right is not None and self.verdict == false[self.is_right]


def verdict(source: str, target: str) -> tuple[str, str]:
    """What verify says of a file, and of which check that comes."""
    import folding

    found = folding.verify(source, target)
    failure = found.failure
    why = "" if failure is None else f"{failure.name}: {failure.why}"
    return str(found.name), why


def _files(tool: Tool, subjects: Sequence[Subject], folder: Path) -> Iterator[Judged]:
    """A tool with one model after the other."""
    results = folder / tool.name.replace(" ", "_")
    results.mkdir()
    with ExitStack() as stack:
        functions = (tool.fold, verdict, deviation)
        folds, verdicts, judges = (stack.enter_context(closing(Process(f))) for f in functions)
        for model, subject in zip(SUBJECTS, subjects, strict=True):
            source, target = str(subject.path), str(results / subject.path.name)
            try:
                folds.call(source, target)
                found, why = verdicts.call(source, target)
            except Failed as error:
                yield Judged(tool.name, model.name, _NO_FILE, str(error))
                continue
            yield Judged(tool.name, model.name, found, why, _is_right(judges, subject, target))


def _is_right(judges: Process, subject: Subject, target: str) -> bool | None:
    """What runs say of a file; one that does not run is not right."""
    try:
        apart: float = judges.call(str(subject.path), target, subject.spread)
    except Failed:
        return False
    return apart <= 1


def _counts(found: Sequence[Judged], tools: Sequence[Tool]) -> str:
    lines = [markdown("files of", *_VERDICTS, "wrong by runs", "misjudged")]
    lines.append("|---|" + "--:|" * (len(_VERDICTS) + 2))
    for tool in tools:
        own = [one for one in found if one.tool == tool.name]
        counts = Counter(one.verdict for one in own)
        wrong = sum(one.is_right is False for one in own)
        judged = (str(counts[name]) for name in _VERDICTS)
        misjudged = sum(one.is_misjudged for one in own)
        lines.append(markdown(tool.name, *judged, str(wrong), str(misjudged)))
    return "\n".join(lines)


def _listed(found: Sequence[Judged]) -> str:
    lines = [markdown("tool", "model", "verdict", "why"), "|---|---|---|---|"]
    lines += [markdown(one.tool, one.model, one.verdict, one.why) for one in found]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Judge the files of fold-model's peers.")
    names = [tool.name for tool in _PEERS]
    parser.add_argument("--peer", choices=names, action="append", help="this one; repeatable")
    parser.add_argument("--all", action="store_true", help="list every file that is not proved")
    return parser.parse_args()


def main() -> int:
    """Print the tables; 1 if a file is judged wrongly."""
    options = _options()
    chosen = [t for t in _PEERS if not options.peer or t.name in options.peer]
    tools = [tool for tool in chosen if tool.is_installed]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subjects = made(folder / "sources")
        found = [one for tool in tools for one in _files(tool, subjects, folder)]
    modules = dict.fromkeys(["onnx", *(tool.module for tool in tools)])
    print(", ".join(f"{module} {metadata.version(module)}" for module in modules))
    print(f"\n{len(SUBJECTS)} models\n\n{_counts(found, tools)}")
    wrong = [one for one in found if one.is_right is False]
    print(f"\nFiles that compute something else\n\n{_listed(wrong)}")
    if options.all:
        rest = [one for one in found if one.is_right and one.verdict != "equivalent"]
        print(f"\nOther files that are not proved\n\n{_listed(rest)}")
    misjudged = [one for one in found if one.is_misjudged]
    print(f"\n{_listed(misjudged) if misjudged else '- met: no file is judged wrongly'}")
    return bool(misjudged)


if __name__ == "__main__":
    sys.exit(main())
