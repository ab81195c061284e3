"""Whether a tool's result is the source's function, by onnxruntime without any optimisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as runtime

Array = npt.NDArray[Any]
Feed = dict[str, Array]

#: How far apart results of one function may be, relative to their root mean square.
TOLERANCES = {"float32": 1e-4, "float16": 2e-2}
_SEEDS = (1, 2, 3)


def deviation(source: str, target: str, spread: float) -> float:
    """How many times the tolerance the outputs are apart, at worst; infinite for a lost output.

    Parameters that a caller may override are overridden on the last of the inputs. What onnxruntime
    raises where it cannot load or run the target is passed on.
    """
    reference, candidate = _session(source), _session(target)
    return max(_apart(reference, candidate, feed) for feed in _feeds(reference, spread))


def _session(path: str) -> Any:
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _feeds(session: Any, spread: float) -> list[Feed]:
    feeds = [_feed(session.get_inputs(), seed, spread) for seed in _SEEDS]
    overridden = _feed(session.get_overridable_initializers(), 0, 1.0)
    return [*feeds[:-1], feeds[-1] | overridden]


def _feed(values: Any, seed: int, spread: float) -> Feed:
    random = np.random.default_rng(seed)
    feed = {}
    for value in values:
        shape = [dim if isinstance(dim, int) else seed for dim in value.shape]
        if value.type == "tensor(bool)":
            feed[value.name] = np.full(shape, seed % 2 == 0)
        elif value.type == "tensor(int64)":
            feed[value.name] = random.integers(0, 9, shape)
        else:
            kind = np.float16 if value.type == "tensor(float16)" else np.float32
            feed[value.name] = (spread * random.standard_normal(shape)).astype(kind)
    return feed


def _apart(reference: Any, candidate: Any, feed: Feed) -> float:
    names = [output.name for output in reference.get_outputs()]
    if names != [output.name for output in candidate.get_outputs()]:
        return np.inf
    pairs = zip(reference.run(None, feed), candidate.run(None, feed), strict=True)
    return max(_distance(one, other) for one, other in pairs)


def _distance(one: Array, other: Array) -> float:
    if one.shape != other.shape or one.dtype != other.dtype:
        return np.inf
    a, b = one.astype(np.float64), other.astype(np.float64)
    if not np.isfinite(a).all():
        raise AssertionError("the source itself is not finite")
    rms = float(np.sqrt(np.mean(a**2))) or 1.0
    worst = float(np.abs(a - b).max(initial=0.0))
    return worst / rms / TOLERANCES[str(one.dtype)] if np.isfinite(worst) else np.inf
