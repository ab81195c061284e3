"""Other tools that fold, called as their documentation says: ``peers.py TOOL SOURCE TARGET``.

Nothing is imported but the tool itself, so that its process pays for nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

#: Where a process of one tool begins.
Peer = Callable[[str, str], None]


def parse(source: str, target: str) -> None:
    """No folding: what it costs to read a whole model into memory and to write it again."""
    import onnx

    onnx.save(onnx.load(source), target)


def onnxruntime(source: str, target: str) -> None:
    """Offline optimisation at the basic level, whose result other runtimes can read too."""
    _optimised(source, target, {})


def onnxruntime_external(source: str, target: str) -> None:
    """The same with the weights in a file of their own, without which 2 GB are the limit."""
    key = "session.optimized_model_external_initializers_file_name"
    _optimised(source, target, {key: "weights.data"})


def _optimised(source: str, target: str, entries: dict[str, str]) -> None:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = target
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def onnxslim(source: str, target: str) -> None:
    """Everything it does by default; a comparison of outputs is no part of that."""
    import onnxslim as slimmer

    slimmer.slim(source, target)


def onnxoptimizer(source: str, target: str) -> None:
    """All fuse and eliminate passes, which are its default."""
    import onnx
    import onnxoptimizer as optimizer

    onnx.save(optimizer.optimize(onnx.load(source)), target)


def onnxsim(source: str, target: str) -> None:
    """From file to file, its quickest way; a comparison of outputs is no part of that."""
    import onnxsim as simplifier

    simplifier.simplify(source, output_path=target)


def onnxsim_command(source: str, target: str) -> None:
    """What its command does, which is more than a call of its function."""
    import onnxsim as simplifier

    sys.argv = ["onnxsim", source, target]
    simplifier.main()


PEERS: tuple[Peer, ...] = (
    parse,
    onnxruntime,
    onnxruntime_external,
    onnxslim,
    onnxoptimizer,
    onnxsim,
    onnxsim_command,
)

if __name__ == "__main__":
    {peer.__name__: peer for peer in PEERS}[sys.argv[1]](sys.argv[2], sys.argv[3])
