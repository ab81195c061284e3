"""Sessions: a model runs as it is in its files, without private copies of what is in them."""

# ruff: noqa: FBT001 - parameters of tests
from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from files import make, save, save_apart
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from folding.equivalence import runtime
from folding.equivalence.jobs import CPU, Engine
from folding.equivalence.runnable import check_engine
from folding.equivalence.runtime import NotLoaded, RuntimeRefused, Session
from folding.errors import BadCall
from folding.modelfile import in_memory, open_model

FLOAT = TensorProto.FLOAT
MEGABYTE = 1 << 20
RNG = np.random.default_rng(5)


def net(nodes: list[NodeProto], shape: list[Any], **weights: Any) -> ModelProto:
    """A model from x to y with some initializers."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()],
    )
    return make(graph)


def outcome(path: Path, x: Any, *, optimised: bool) -> Any:
    with open_model(path) as model, Session(model, optimised=optimised) as session:
        return session.run({"x": np.asarray(x, np.float32)})[0]


def matmul(*names: str) -> NodeProto:
    return helper.make_node("MatMul", names[:2], names[2:])


@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("padding", range(5))
@pytest.mark.parametrize("apart", [False, True])
def test_weights_are_found_wherever_they_begin(
    tmp_path: Path, apart: bool, padding: int, optimised: bool
) -> None:
    w, x = RNG.normal(size=(40, 30)), RNG.normal(size=(2, 40))
    model = net([matmul("x", "w", "y")], ["n", 40], w=w)
    model.producer_name = "p" * padding
    path = tmp_path / "m.onnx"
    (save_apart if apart else save)(model, path)

    found = outcome(path, x, optimised=optimised)

    np.testing.assert_allclose(found, x @ w, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("optimised", [False, True])
def test_a_constant_that_the_optimiser_turns_around_in_its_place_is_the_right_one(
    tmp_path: Path, optimised: bool
) -> None:
    w, k, x = RNG.normal(size=(30, 20)), RNG.normal(size=(20, 40)), RNG.normal(size=(2, 40, 30))
    nodes = [
        matmul("x", "w", "a"),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        helper.make_node("Add", ["b", "k"], ["c"]),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 1]),
    ]
    path = save(net(nodes, ["n", 40, 30], w=w, k=k), tmp_path / "m.onnx")

    found = outcome(path, x, optimised=optimised)

    np.testing.assert_allclose(found, x @ w + k.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("optimised", [False, True])
def test_a_body_reads_its_own_weight_of_the_same_name(tmp_path: Path, optimised: bool) -> None:
    outer, inner, x = (RNG.normal(size=(20, 20)) for _ in range(3))
    out = helper.make_tensor_value_info("r", FLOAT, None)
    weight = numpy_helper.from_array(inner.astype(np.float32), "w")
    body = helper.make_graph([matmul("x", "w", "r")], "body", [], [out], [weight])
    nodes = [
        helper.make_node("If", ["flag"], ["a"], then_branch=body, else_branch=body),
        matmul("x", "w", "b"),
        helper.make_node("Sub", ["a", "b"], ["y"]),
    ]
    model = net(nodes, [20, 20], w=outer)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    path = save(model, tmp_path / "m.onnx")

    found = outcome(path, x, optimised=optimised)

    np.testing.assert_allclose(found, x @ inner - x @ outer, rtol=1e-3, atol=1e-3)


def test_a_weight_that_is_an_output_too_is_put_out(tmp_path: Path) -> None:
    w = RNG.normal(size=(20, 20)).astype(np.float32)
    model = net([matmul("x", "w", "y")], [20, 20], w=w)
    model.graph.output.append(helper.make_tensor_value_info("w", FLOAT, [20, 20]))

    with open_model(save(model, tmp_path / "m.onnx")) as opened:
        found = Session(opened, optimised=True).run({"x": np.eye(20, dtype=np.float32)})

    np.testing.assert_allclose(found, [w, w], rtol=1e-4, atol=1e-4)


def test_a_weight_that_the_caller_gives_is_taken_instead_of_the_stored_one(tmp_path: Path) -> None:
    model = net([matmul("x", "w", "y")], [20, 20], w=RNG.normal(size=(20, 20)))
    model.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [20, 20]))
    x, w = (RNG.normal(size=(20, 20)).astype(np.float32) for _ in range(2))

    with open_model(save(model, tmp_path / "m.onnx")) as opened:
        (found,) = Session(opened, optimised=True).run({"x": x, "w": w})

    np.testing.assert_allclose(found, x @ w, rtol=1e-4, atol=1e-4)


def test_weights_that_a_link_leads_to_are_read_from_there(tmp_path: Path) -> None:
    w, x = RNG.normal(size=(40, 30)), RNG.normal(size=(2, 40))
    (tmp_path / "blobs").mkdir()
    (tmp_path / "models").mkdir()
    path = save_apart(net([matmul("x", "w", "y")], ["n", 40], w=w), tmp_path / "models/m.onnx")
    (tmp_path / "models/weights.bin").rename(tmp_path / "blobs/weights.bin")
    (tmp_path / "models/weights.bin").symlink_to("../blobs/weights.bin")

    with open_model(path, follow_links=True) as model:
        (found,) = Session(model, optimised=True).run({"x": x.astype(np.float32)})

    np.testing.assert_allclose(found, x @ w, rtol=1e-4, atol=1e-4)


def test_a_damaged_model_is_not_loaded_and_an_input_that_does_not_fit_not_run() -> None:
    model = in_memory(net([matmul("x", "w", "y")], ["n", "m"], w=np.ones((4, 4))))
    with Session(model, optimised=False) as session, pytest.raises(RuntimeRefused):
        session.run({"x": np.ones((2, 3), np.float32)})
    model.proto.graph.node[0].op_type = "Nothing"

    with pytest.raises(NotLoaded):
        Session(model, optimised=False)


NO_MEMORY = ["arena.cc Failed to allocate memory for requested buffer", "6 : FAIL: std::bad_alloc"]


@pytest.mark.parametrize("text", NO_MEMORY)
def test_a_runtime_without_memory_to_run_says_nothing_of_the_model(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    class Full:
        def run(self, *_: Any) -> None:
            raise RuntimeError(text)

        def get_inputs(self) -> list[Any]:
            return []

        get_overridable_initializers = get_inputs

    session = Session(in_memory(net([matmul("x", "x", "y")], [2, 2])), optimised=False)
    monkeypatch.setattr(session, "_session", Full())

    with pytest.raises(MemoryError):
        session.run({})


@pytest.mark.parametrize("text", NO_MEMORY)
def test_a_runtime_without_memory_to_load_says_nothing_of_the_model(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(onnxruntime, "InferenceSession", full)

    with pytest.raises(MemoryError):
        Session(in_memory(net([matmul("x", "x", "y")], [2, 2])), optimised=False)


def test_thousands_of_nodes_with_open_dimensions_load_as_fast_as_with_known_ones() -> None:
    def seconds(shape: list[Any]) -> float:
        pairs = pairwise(["x", *map(str, range(3000)), "y"])
        pools = [helper.make_node("MaxPool", [a], [b], kernel_shape=[1]) for a, b in pairs]
        model = in_memory(net(pools, shape))
        start = time.process_time()
        Session(model, optimised=False).close()
        return time.process_time() - start

    open_ones, known = (min(seconds(s) for _ in range(3)) for s in (["n", 1, "m"], [1, 1, 8]))

    assert open_ones < 5 * known


# --- memory --------------------------------------------------------------------------------------


def memory() -> dict[str, int]:
    """The private memory of this process, and what the system counts as its data, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    known = dict(line.split(":", 1) for line in lines)
    return {key: int(known[key].split()[0]) << 10 for key in ("RssAnon", "VmData")}


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A model of 72 MB: a convolution and a dense layer."""
    nodes = [
        helper.make_node("Conv", ["x", "c"], ["h"]),
        helper.make_node("Flatten", ["h"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["y"]),
    ]
    numbers = np.full((1024, 1024, 3, 3), 1e-3, np.float32), np.ones((1024, 9 * 1024), np.float32)
    model = net(nodes, [1, 1024, 3, 3], c=numbers[0], g=numbers[1])
    path = tmp_path / "large.onnx"
    onnx.save(model, path)
    yield path
    path.unlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("optimised", [False, True])
def test_a_large_model_runs_without_private_copies_of_its_weights(
    large: Path, optimised: bool
) -> None:
    x = np.ones((1, 1024, 3, 3), np.float32)
    with open_model(large) as model:
        Session(in_memory(net([matmul("x", "x", "y")], [2, 2])), optimised=optimised).close()
        before = memory()
        with Session(model, optimised=optimised) as session:
            session.run({"x": x})
            after = memory()

    assert after["RssAnon"] - before["RssAnon"] < 16 * MEGABYTE
    assert after["VmData"] - before["VmData"] < 32 * MEGABYTE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_closed_session_lets_go_of_the_files(large: Path) -> None:
    maps = Path("/proc/self/maps")
    with open_model(large) as model, Session(model, optimised=False) as session:
        session.run({"x": np.ones((1, 1024, 3, 3), np.float32)})
        open_then = str(large) in maps.read_text(encoding="utf-8")
        held = weakref.ref(session._session)

    assert open_then
    assert held() is None
    assert str(large) not in maps.read_text(encoding="utf-8")


def test_a_small_model_runs_with_the_runtime_s_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[dict[str, Any]] = []
    real = onnxruntime.InferenceSession

    def spied(skeleton: bytes, options: Any, **more: Any) -> Any:
        packing = options.get_session_config_entry("session.disable_prepacking")
        taken.append({"packing": packing, **more})
        return real(skeleton, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spied)
    path = save(net([matmul("x", "w", "y")], [2, 40], w=np.ones((40, 40))), tmp_path / "m.onnx")
    outcome(path, np.ones((2, 40)), optimised=True)
    monkeypatch.setattr(runtime, "_LARGE", 100)
    outcome(path, np.ones((2, 40)), optimised=True)

    assert [one["packing"] for one in taken] == ["0", "1"]
    assert [one["disabled_optimizers"] for one in taken] == [[], ["NchwcTransformer"]]


# --- engines, names and paths --------------------------------------------------------------------


def test_outputs_are_found_by_their_names() -> None:
    model = net([matmul("x", "w", "y"), helper.make_node("Neg", ["y"], ["z"])], [2, 3], w=np.eye(3))
    model.graph.output.append(helper.make_tensor_value_info("z", FLOAT, None))
    x = RNG.normal(size=(2, 3)).astype(np.float32)

    with Session(in_memory(model)) as session:
        found = session.run_named({"x": x})

    assert list(found) == ["y", "z"]
    np.testing.assert_allclose(found["z"], -x, rtol=1e-6)


def test_a_variant_runs_over_the_weights_of_the_model(tmp_path: Path) -> None:
    w, x = RNG.normal(size=(40, 30)), RNG.normal(size=(2, 40)).astype(np.float32)
    path = save_apart(net([matmul("x", "w", "y")], [2, 40], w=w), tmp_path / "m.onnx")

    with open_model(path) as model:
        variant = ModelProto()
        variant.CopyFrom(model.proto)
        variant.graph.node.append(helper.make_node("Neg", ["y"], ["z"]))
        variant.graph.output[0].name = "z"
        with Session(model, variant) as session:
            found = session.run_named({"x": x})
        unchanged = [value.name for value in model.proto.graph.output]

    np.testing.assert_allclose(found["z"], -(x @ w), rtol=1e-4, atol=1e-4)
    assert unchanged == ["y"]


def test_an_input_that_a_variant_has_no_use_for_is_left_out() -> None:
    """The same inputs are given to both models, whatever became of some."""
    model = in_memory(net([matmul("x", "w", "y")], [2, 3], w=np.eye(3)))

    with Session(model) as session:
        (found,) = session.run({"x": np.ones((2, 3), np.float32), "other": np.zeros(1)})

    np.testing.assert_array_equal(found, np.ones((2, 3)))


def test_only_a_provider_that_is_there_is_an_engine() -> None:
    check_engine(CPU)

    with pytest.raises(BadCall, match="no provider 'NoExecutionProvider'") as caught:
        check_engine(Engine("NoExecutionProvider"))
    assert "CPUExecutionProvider" in caught.value.hint


def test_the_provider_is_the_one_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = onnxruntime.InferenceSession

    def spied(skeleton: bytes, options: Any, *, providers: Any, **more: Any) -> Any:
        asked.append(providers)
        return real(skeleton, options, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spied)
    model = in_memory(net([matmul("x", "w", "y")], [2, 3], w=np.eye(3)))

    Session(model, engine=Engine("Own")).close()

    assert asked == [["Own"]]


def test_a_library_of_operators_is_loaded_or_the_model_is_not(tmp_path: Path) -> None:
    library = tmp_path / "ops.so"
    library.write_bytes(b"no library")
    model = in_memory(net([matmul("x", "w", "y")], [2, 3], w=np.eye(3)))

    with pytest.raises(BadCall, match=r"ops\.so' is no library of custom operators"):
        Session(model, engine=Engine(custom_ops=str(library)))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", ["m\u00e4\u4e2d.onnx", "m\udcfe.onnx"])
@pytest.mark.parametrize("operator", ["MatMul", "Add"])
def test_weights_are_read_whatever_the_path_is(
    tmp_path: Path, operator: str, name: str, apart: bool
) -> None:
    """By a layer, which maps them, and by another node, for which the runtime reads them."""
    w, x = RNG.normal(size=(40, 40)), RNG.normal(size=(40, 40))
    folder = tmp_path / name.removesuffix(".onnx")
    folder.mkdir()
    model = net([helper.make_node(operator, ["x", "w"], ["y"])], [40, 40], w=w)
    path = (save_apart if apart else save)(model, folder / name)

    found = outcome(path, x, optimised=True)

    expected = x @ w if operator == "MatMul" else x + w
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
