"""Which function converts what: ``module:function`` for each kind of source."""

from __future__ import annotations

from folding.conversion.job import Kind

_ROUTES = "folding.conversion.routes"

#: The child imports the module, and calls the function with the job.
ROUTES: dict[Kind, str] = {
    Kind.KERAS: f"{_ROUTES}.keras:run",
    Kind.KERAS_H5: f"{_ROUTES}.keras:run",
    Kind.SAVED_MODEL: f"{_ROUTES}.saved_model:run",
    Kind.FROZEN_GRAPH: f"{_ROUTES}.graph_def:run",
    Kind.META_GRAPH: f"{_ROUTES}.graph_def:run",
    Kind.EXPORTED_PROGRAM: f"{_ROUTES}.exported_program:run",
    Kind.TORCHSCRIPT: f"{_ROUTES}.torchscript:run",
    Kind.TFLITE: f"{_ROUTES}.tflite:run",
}

#: What converts a live model, given it and a job.
LIVE: dict[Kind, str] = {
    Kind.KERAS: f"{_ROUTES}.keras:convert_model",
    Kind.EXPORTED_PROGRAM: f"{_ROUTES}.torch:convert_module",
}
