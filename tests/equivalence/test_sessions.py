"""Sessions: made when they are needed, kept while they are small, closed in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from files import conv_net, save
from graphs import feed_for
from onnx import ModelProto

from folding.equivalence import sessions as module
from folding.equivalence.jobs import Engine
from folding.equivalence.runtime import NotLoaded, Session
from folding.equivalence.sessions import Sessions
from folding.modelfile import Model, open_model


class Spied(Session):
    """A session that is counted."""

    made: ClassVar[list[Spied]]
    engines: ClassVar[list[Engine]]

    def __init__(self, *models: Any, engine: Engine, **more: Any) -> None:
        Spied.made.append(self)
        Spied.engines.append(engine)
        super().__init__(*models, engine=engine, **more)
        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        super().close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Spied]:
    Spied.made, Spied.engines = [], []
    monkeypatch.setattr(module, "Session", Spied)
    return Spied.made


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    with open_model(save(conv_net(), tmp_path / "m.onnx")) as opened:
        yield opened


def renamed() -> ModelProto:
    """A variant, to be told from the model."""
    proto = conv_net()
    proto.graph.node[-1].output[0] = proto.graph.output[0].name = "z"
    return proto


def test_a_session_of_a_small_model_is_kept_for_the_next_inputs(
    model: Model, made: list[Spied]
) -> None:
    calls: list[int] = []

    def variant() -> ModelProto:
        calls.append(1)
        return renamed()

    with Sessions(model) as sessions:
        for _ in range(3):
            with sessions.of("z", variant) as session:
                assert list(session.run_named(feed_for(conv_net()))) == ["z"]
        assert [session.is_open for session in made] == [True]

    assert len(calls) == 1
    assert [session.is_open for session in made] == [False]


def test_a_session_of_a_large_model_is_closed_after_each_use(
    model: Model, made: list[Spied], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is never more than one."""
    monkeypatch.setattr(module, "_SMALL", 100)
    with Sessions(model) as sessions:
        for _ in range(2):
            with sessions.of("plain"):
                assert sum(session.is_open for session in made) == 1
            assert not any(session.is_open for session in made)

    assert len(made) == 2


def test_a_session_of_a_large_model_is_closed_after_an_error(
    model: Model, made: list[Spied], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SMALL", 100)

    with Sessions(model) as sessions, pytest.raises(KeyError), sessions.of("plain"):
        raise KeyError

    assert [session.is_open for session in made] == [False]


def test_each_key_has_a_session_of_its_own(model: Model, made: list[Spied]) -> None:
    with (
        Sessions(model) as sessions,
        sessions.of("plain") as one,
        sessions.of("z", renamed) as other,
    ):
        assert (one.outputs, other.outputs) == (["y"], ["z"])

    assert len(made) == 2


def test_what_does_not_load_is_not_kept(model: Model) -> None:
    model.proto.graph.node[0].op_type = "Nothing"

    with Sessions(model) as sessions:
        for _ in range(2):
            with pytest.raises(NotLoaded), sessions.of("plain"):
                pass


def test_all_sessions_have_the_same_engine(model: Model, made: list[Spied]) -> None:
    engine = Engine("CPUExecutionProvider")

    with (
        Sessions(model, engine) as sessions,
        sessions.of("plain"),
        sessions.of("fast", optimised=True),
    ):
        pass

    assert [given is engine for given in made[0].engines] == [True, True]
