"""A route that leaves dropout on, as a graph does whose rate is a constant."""

from __future__ import annotations

from fake_routes import batched, product
from onnx import helper

from folding.conversion.job import MODEL, Job, Product


def drops(job: Job) -> Product:
    """Half of what the last node makes, and it has an own draw for each run."""
    model = batched()
    last = model.graph.node[-1]
    last.output[0] = "whole"
    mask = helper.make_node("Bernoulli", ["half"], ["mask"], name="dropout/mask")
    half = helper.make_node("Sigmoid", ["zeros"], ["half"])
    zeros = helper.make_node("Sub", ["whole", "whole"], ["zeros"])
    dropped = helper.make_node("Mul", ["whole", "mask"], ["y"])
    model.graph.node.extend([zeros, half, mask, dropped])
    (job.folder / MODEL).write_bytes(model.SerializeToString())
    return product(unchecked="it computes with random numbers, so no two runs agree")
