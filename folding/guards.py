"""What a model may not do to the libraries that read it: asked first, and in linear time.

26 functions that call each other twice are 2 KB of file, and 134 million nodes to a checker, a
shape inference or a runtime that inlines them; graphs within graphs overflow their stacks. Here
every message is visited once, without recursion, and calls are counted instead of inlined:

    nodes(f) = own nodes + the sum of nodes(g) over its calls of g
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto

from folding.errors import BadModel, ExpansionTooLarge, NestingTooDeep, RecursiveFunction
from folding.model_limits import Limits
from folding.survey import Key, Survey, Surveyor, by_key

#: So many bytes of a node in a function cost as much as another node: each call copies them.
_BYTES_PER_NODE = 1 << 14


def check(proto: ModelProto, name: str, limits: Limits) -> None:
    """Refuse what would hang or crash a library, whatever else is wrong with the model.

    Raises:
        NestingTooDeep: graphs, calls of functions or types contain each other too often.
        RecursiveFunction: a function calls itself, directly or through others.
        ExpansionTooLarge: the calls of functions stand for too many nodes.
        BadModel: a function is there twice, or something has too many dimensions.
    """
    functions = by_key(proto.functions)
    if len(functions) < len(proto.functions):
        raise BadModel(f"{name!r} defines a function twice")
    surveyor = Surveyor(name, limits.nesting, functions.keys())
    main = surveyor.of_model(proto)
    surveys = {key: surveyor.of_function(function) for key, function in functions.items()}
    if surveys:
        _check_calls(main, surveys, name, limits)


def _check_calls(main: Survey, surveys: dict[Key, Survey], name: str, limits: Limits) -> None:
    """Add up what calls stand for, callees before their callers."""
    filling = max(survey.filling for survey in (main, *surveys.values()))
    for survey in (*_callees_first(surveys, name), main):
        own = 0 if survey is main else survey.weight + survey.size // _BYTES_PER_NODE
        survey.weight, depth = own, survey.depth
        for key, level, node in survey.calls:
            callee = surveys[key]
            survey.weight += callee.weight
            survey.references += callee.references
            depth = max(depth, level + callee.depth)
            if depth > limits.nesting:
                raise NestingTooDeep(
                    f"{survey.what} of {name!r} nests calls of functions and bodies deeper than "
                    f"{limits.nesting} levels, at node {node!r}"
                )
        survey.depth = depth
        if survey.weight + survey.references * filling // _BYTES_PER_NODE > limits.expanded_nodes:
            raise ExpansionTooLarge(
                f"{survey.what} of {name!r} calls functions that stand for more than "
                f"{limits.expanded_nodes:,} nodes"
            )


def _callees_first(surveys: dict[Key, Survey], name: str) -> Iterator[Survey]:
    """The functions in an order in which none calls a later one."""
    done: set[Key] = set()
    for start, survey in surveys.items():
        path = {start: iter(survey.calls)}
        while path:
            key = next(reversed(path))
            callee = next((call[0] for call in path[key] if call[0] not in done), None)
            if callee in path:
                raise RecursiveFunction(
                    f"{surveys[callee].what} of {name!r} calls itself, by way of {key[1]!r}"
                )
            if callee is not None:
                path[callee] = iter(surveys[callee].calls)
                continue
            del path[key]
            if key not in done:
                done.add(key)
                yield surveys[key]
