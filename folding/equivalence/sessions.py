"""Sessions over one model and its variants, made when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from onnx import ModelProto

from folding.equivalence.jobs import CPU, Engine
from folding.equivalence.runtime import Session
from folding.modelfile import Model

#: Sessions of models of fewer bytes are kept for the next inputs.
_SMALL = 1 << 25


class Sessions(AbstractContextManager["Sessions"]):
    """The sessions of one model. Those of a large one are closed after each use."""

    def __init__(self, model: Model, engine: Engine = CPU) -> None:
        self.model, self._engine = model, engine
        self._kept: dict[Hashable, Session] = {}
        self._stack = ExitStack()

    def __exit__(self, *_: object) -> None:
        self._kept.clear()
        self._stack.close()

    def over(self, model: Model) -> Sessions:
        """Sessions of another model, run alike."""
        return Sessions(model, self._engine)

    @contextmanager
    def of(
        self,
        key: Hashable,
        variant: Callable[[], ModelProto] | None = None,
        *,
        optimised: bool = False,
    ) -> Iterator[Session]:
        """A session of the model, or of a variant of it, which ``key`` names.

        Raises:
            NotLoaded: the runtime does not take it.
            MemoryError: there is not enough memory for it.
        """
        session = self._kept.get(key)
        if session is None:
            proto = None if variant is None else variant()
            session = Session(self.model, proto, optimised=optimised, engine=self._engine)
            if self.model.size > _SMALL:
                with session:
                    yield session
                return
            self._kept[key] = self._stack.enter_context(session)
        yield session
