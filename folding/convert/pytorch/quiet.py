"""PyTorch in somebody else's process: silent, and with its state as it was before."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

#: What a trace says when it records one run of what may run otherwise.
TRACE = "TracerWarning"


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Let nothing be printed, logged or drawn from the caller's random numbers.

    Yields:
        What tracing warns of, filled in by and by.
    """
    import torch

    said: list[str] = []

    def hear(message: Warning | str, category: type[Warning], *rest: object) -> None:
        if category.__name__ == TRACE:
            said.append(str(message).partition(". ")[0])

    disabled = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.callback(logging.disable, disabled)
        logging.disable(logging.CRITICAL)
        stack.callback(torch._C._jit_set_onnx_log_enabled, True)
        torch._C._jit_set_onnx_log_enabled(False)
        warnings.simplefilter("always")
        warnings.showwarning = hear
        yield said
