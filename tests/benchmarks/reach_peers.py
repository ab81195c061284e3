"""Tools that fold, one process each: ``Process`` calls a function of this module in another one.

A tool that crashes or does not come back costs its process, and nothing else.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import peers

#: After so many seconds a tool has failed.
LIMIT = 120


def fold_model(source: str, target: str) -> None:
    """As the command does it: with its proof, without which nothing is written."""
    import folding

    folding.fold(source, target)


def onnxruntime_extended(source: str, target: str) -> None:
    """Offline optimisation at the level above, whose result is for onnxruntime only."""
    _optimised(source, target, "ORT_ENABLE_EXTENDED")


def onnxruntime_all(source: str, target: str) -> None:
    """Offline optimisation at the level of its sessions, for one kind of processor."""
    _optimised(source, target, "ORT_ENABLE_ALL")


def _optimised(source: str, target: str, level: str) -> None:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = target
    runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def onnxscript(source: str, target: str) -> None:
    """Its optimizer and its default rewriting rules, among them those that fold."""
    import onnx

    # By name: it is in no extra, so a type checker need not find it.
    optimizer = importlib.import_module("onnxscript.optimizer")
    rewriter = importlib.import_module("onnxscript.rewriter")
    onnx.save(rewriter.rewrite(optimizer.optimize(onnx.load(source))), target)


@dataclass(frozen=True, slots=True)
class Tool:
    """Its name in the tables, what it does, and the module that it needs."""

    name: str
    fold: Callable[[str, str], None]
    module: str

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


TOOLS = (
    Tool("fold-model", fold_model, "folding"),
    Tool("onnxruntime basic", peers.onnxruntime, "onnxruntime"),
    Tool("onnxruntime extended", onnxruntime_extended, "onnxruntime"),
    Tool("onnxsim", peers.onnxsim, "onnxsim"),
    Tool("onnxslim", peers.onnxslim, "onnxslim"),
    Tool("onnxoptimizer", peers.onnxoptimizer, "onnxoptimizer"),
    Tool("onnxscript", onnxscript, "onnxscript"),
)


class Failed(Exception):
    """A call in another process did not return; why."""


@dataclass(slots=True)
class Process:
    """A function that is called elsewhere, as often as one likes."""

    function: Callable[..., Any]
    _pool: ProcessPoolExecutor | None = None

    def call(self, *arguments: object) -> Any:
        """What it returns.

        Raises:
            Failed: it raised something, crashed, or took too long.
        """
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), _silence)
        done = self._pool.submit(_limited, self.function, *arguments)
        error = done.exception()
        if isinstance(error, BrokenProcessPool):
            self.close()
            raise Failed(f"crashed, or was not done after {LIMIT} s")
        if error is not None:
            raise Failed(f"{type(error).__name__}: {error}")
        return done.result()

    def close(self) -> None:
        """No more calls; the next one starts anew."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None


def _silence() -> None:
    """The tools print much."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _limited(function: Callable[..., Any], *arguments: object) -> Any:
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    try:
        return function(*arguments)
    finally:
        faulthandler.cancel_dump_traceback_later()
