"""Model-local functions that contain an affine give way to their nodes; all others stay.

    y = Block(x, w)            h = Conv(x, w);  y = BatchNormalization(h, ...)

A function may be called with other constants, shapes and layers around it each time, so what its
affines can be folded into is only known where it is called. Whether it has any is therefore asked
of a trial, in which all functions are inlined.

(``onnx.inliner`` forgets the defaults of attributes, and the outputs that are inputs.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from onnx import FunctionProto, ModelProto, NodeProto

from folding.calls import Calls, within
from folding.chains import chains
from folding.constants import Constants
from folding.graph import index
from folding.modelfile import Model
from folding.plan import Kind, Warned
from folding.preparation import Inlined
from folding.protos import graphs
from folding.recognise import Recogniser
from folding.survey import Key, by_key, key_of
from folding.sweeping import called, forget

#: By how much inlining may make a model larger: each call has its own copy of a Constant.
_MOST_GROWTH = 0.01


def inline(source: Model) -> tuple[Model, list[Inlined], list[Warned]]:
    """The model without the functions that contain an affine, these functions, and any warnings.

    It is the source itself if there are none, or if they cannot be inlined.
    """
    reached = called(source.proto) if len(source.proto.functions) else set()
    if not reached:
        return source, [], []
    functions = {k: f for k, f in by_key(source.proto.functions).items() if k in reached}
    trial, origin = _inlined(source, functions)
    chosen = _callers(functions, _with_affines(source, functions) | _found(trial, origin))
    if not chosen:
        return source, [], []
    inlined, _ = _inlined(source, {key: functions[key] for key in chosen})
    if _size(inlined) > _size(source) + _MOST_GROWTH * source.size:
        text = "functions are not inlined: the model would grow with each call of them"
        return source, [], [Warned("NOT_INLINED", "", text)]
    left = called(inlined.proto)
    warnings = [_left(functions[key]) for key in functions if key in chosen & left]
    calls = Counter(key for node in _nodes(source.proto, functions) if (key := key_of(node)))
    gone = [Inlined(_title(f), calls[k]) for k, f in functions.items() if k in chosen - left]
    return (inlined if gone else source), gone, warnings


def _inlined(source: Model, functions: Mapping[Key, FunctionProto]) -> tuple[Model, dict[str, Key]]:
    """The model without some functions, and which function the values come from that they made."""
    copy = ModelProto()
    copy.CopyFrom(source.proto)
    calls = Calls(copy, functions)
    calls.replace(copy.graph)
    forget(copy, functions.keys() - called(copy))
    model = Model(copy, list(source.contents), source.path, source.files, source.data)
    return model, calls.origin


def _with_affines(source: Model, functions: Mapping[Key, FunctionProto]) -> set[Key]:
    """The functions that contain an affine whatever they are called with."""
    scopes, _ = index(source)
    bodies = scopes[len(graphs(source.proto)) :]
    found: set[Key] = set()
    for scope, function in zip(bodies, source.proto.functions, strict=True):
        steps = Recogniser(scope, Constants(source, scope, None))
        if any(chain.kind is not Kind.SCALAR for chain in chains(steps)):
            found |= by_key([function]).keys()
    return found & functions.keys()


def _found(trial: Model, origin: Mapping[str, Key]) -> set[Key]:
    """The functions that the affines of a model come from."""
    scopes, _ = index(trial)
    known: dict[int, Constants] = {}
    found: set[Key] = set()
    for scope in scopes[: len(graphs(trial.proto))]:
        outer = known[id(scope.parent)] if scope.parent else None
        known[id(scope)] = Constants(trial, scope, outer)
        for chain in chains(Recogniser(scope, known[id(scope)])):
            if chain.kind is not Kind.SCALAR:
                made = (name for node in chain.nodes for name in scope.makes[node])
                found.update(origin[name] for name in made if name in origin)
    return found


def _callers(functions: Mapping[Key, FunctionProto], found: set[Key]) -> set[Key]:
    """Those functions and all that call them, be it through others."""
    callers: dict[Key, list[Key]] = {key: [] for key in functions}
    for caller, function in functions.items():
        for node in within(function.node):
            if key_of(node) in callers:
                callers[key_of(node)].append(caller)
    waiting, chosen = list(found), set(found)
    while waiting:
        new = [key for key in callers[waiting.pop()] if key not in chosen]
        chosen.update(new)
        waiting += new
    return chosen


def _nodes(proto: ModelProto, functions: Mapping[Key, FunctionProto]) -> Iterator[NodeProto]:
    yield from within(proto.graph.node)
    for function in functions.values():
        yield from within(function.node)


def _size(model: Model) -> int:
    return sum(model.contents[token].size for token in model.tokens())


def _title(function: FunctionProto) -> str:
    return f"{function.domain}.{function.name}" if function.domain else str(function.name)


def _left(function: FunctionProto) -> Warned:
    text = (
        f"function {_title(function)!r} is not inlined everywhere: its operators are of other "
        "operator sets than the model's, or it is called with more than it takes"
    )
    return Warned("NOT_INLINED", _title(function), text)
