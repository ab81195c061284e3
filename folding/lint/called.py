"""A model with its functions in the place of their calls, where shapes are known."""

from __future__ import annotations

from onnx import ModelProto

from folding.calls import Calls
from folding.modelfile import Model
from folding.survey import by_key
from folding.sweeping import called, forget


def without_calls(model: Model) -> Model:
    """A copy in which nodes stand for calls; what no call reaches is left out."""
    copy = ModelProto()
    copy.CopyFrom(model.proto)
    functions = by_key(model.proto.functions)
    Calls(copy, functions).replace(copy.graph)
    forget(copy, functions.keys() - called(copy))
    return Model(copy, list(model.contents), model.path, model.files, model.data)
