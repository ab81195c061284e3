"""The tables of ``reach.py``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from comparison import markdown
from reach_left import Left
from reach_models import Pattern
from reach_nets import NETS, Net
from reach_patterns import PATTERNS
from reach_traps import TRAPS
from reach_trials import Trial, Verdict

#: What each tool did, in the order of the models and then of the networks.
Found = dict[str, list[Trial]]

MODELS = (*PATTERNS, *TRAPS)
SUBJECTS: tuple[Pattern | Net, ...] = (*MODELS, *NETS)
_CELLS = {Verdict.LEAVES: "-", Verdict.WRONG: "**WRONG**", Verdict.INVALID: "**INVALID**"}


def _cell(trial: Trial) -> str:
    return _CELLS.get(trial.verdict, trial.verdict.value)


def _head(first: str, names: Sequence[str]) -> list[str]:
    return [markdown(first, *names), "|---|" + ":-:|" * len(names)]


def patterns(found: Found) -> str:
    """Every pattern, by its group."""
    lines = []
    for group, members in groupby(enumerate(MODELS), key=lambda item: item[1].group):
        lines += ["", *_head(group, list(found))]
        for place, pattern in members:
            cells = (_cell(results[place]) for results in found.values())
            lines.append(markdown(pattern.name, *cells))
    return "\n".join(lines[1:])


def summary(found: Found) -> str:
    """For each group, in how many models a tool does all that can be done."""
    lines = _head("all that can be done", list(found))
    for group in dict.fromkeys(pattern.group for pattern in MODELS):
        places = [place for place, pattern in enumerate(MODELS) if pattern.group == group]
        cells = (_share(results, places) for results in found.values())
        lines.append(markdown(f"{group} ({len(places)})", *cells))
    places = list(range(len(MODELS)))
    lines.append(markdown(f"**all** ({len(MODELS)})", *(_share(r, places) for r in found.values())))
    broken = (str(sum(t.verdict.is_broken for t in results)) for results in found.values())
    return "\n".join(
        [*lines, markdown(f"wrong or invalid ({len(SUBJECTS)} with networks)", *broken)]
    )


def _share(results: list[Trial], places: list[int]) -> str:
    return str(sum(results[place].verdict == MODELS[place].best for place in places))


def nets(found: Found, before: Sequence[Left]) -> str:
    """How many normalisations are left of each network."""
    lines = _head("normalisations left", ["before", *found])
    for place, (net, count) in enumerate(zip(NETS, before, strict=True), start=len(MODELS)):
        cells = (_left(results[place]) for results in found.values())
        lines.append(markdown(net.name, str(count), *cells))
    return "\n".join(lines)


def _left(trial: Trial) -> str:
    return str(trial.left) if _is_right(trial) else _cell(trial)


def _is_right(trial: Trial) -> bool:
    return not trial.verdict.is_broken and trial.verdict is not Verdict.FAILS


def missed(found: Found) -> list[str]:
    """Where the first tool breaks something, or does less than can be done or than another does."""
    lines = []
    for model, (ours, *others) in zip(SUBJECTS, zip(*found.values(), strict=True), strict=True):
        if isinstance(model, Pattern):
            is_best = ours.verdict == model.best
        else:
            is_best = all(ours.left.weight <= one.left.weight for one in others if _is_right(one))
        if not (is_best and _is_right(ours)):
            lines.append(f"- NOT met: {model.name}: {ours.verdict} {ours.note}".rstrip())
    return lines
