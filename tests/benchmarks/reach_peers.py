"""Tools that fold, one process each: ``Process`` calls a function of this module in another one.

A tool that crashes or does not come back costs its process, and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import peers

#: After so many seconds a tool has failed.
LIMIT = 120

_SPAWN = multiprocessing.get_context("spawn")


def fold_model(source: str, target: str) -> None:
    """As the command does it: with its proof, without which nothing is written."""
    import folding

    folding.fold(source, target)


def onnxruntime_extended(source: str, target: str) -> None:
    """Offline optimisation at the level above, whose result is for onnxruntime only."""
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = target
    runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def onnxscript(source: str, target: str) -> None:
    """Its optimizer and its default rewriting rules, among them those that fold."""
    import onnx

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
    _process: BaseProcess | None = None
    _pipe: Connection | None = field(default=None)

    def call(self, *arguments: object) -> Any:
        """What it returns.

        Raises:
            Failed: it raised something, crashed, or took too long.
        """
        if self._pipe is None:
            self._pipe, theirs = _SPAWN.Pipe()
            self._process = _SPAWN.Process(target=_serve, args=(theirs, self.function))
            self._process.start()
            theirs.close()
        self._pipe.send(arguments)
        try:
            if not self._pipe.poll(LIMIT):
                self.close()
                raise Failed(f"not done after {LIMIT} s")
            is_done, value = self._pipe.recv()
        except EOFError:
            self.close()
            raise Failed("crashed") from None
        if not is_done:
            raise Failed(value)
        return value

    def close(self) -> None:
        """No more calls; the next one starts anew."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _serve(pipe: Connection, function: Callable[..., Any]) -> None:
    """Answer calls, silently: the tools print much."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    while True:
        try:
            arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, function(*arguments)))
        except Exception as error:  # noqa: BLE001  # A tool may raise anything.
            pipe.send((False, f"{type(error).__name__}: {error}"))
