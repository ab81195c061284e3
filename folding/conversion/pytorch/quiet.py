"""PyTorch in somebody else's process: silent, and with its state as it was before."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from unittest import mock


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Let nothing be printed, logged or drawn from the caller's random numbers.

    Yields:
        What is warned of, filled in by and by.
    """
    import torch

    disabled = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.callback(logging.disable, disabled)
        logging.disable(logging.CRITICAL)
        # What it is asked to log it prints, past Python, and cannot be told not to.
        stack.enter_context(mock.patch("torch._C._jit_onnx_log"))
        warnings.simplefilter("always")
        yield caught
