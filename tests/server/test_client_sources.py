"""Which files a client sends: the model's own, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_service import Call, Fake, faked
from files import conv_net, initializer, put_apart, refer, save, save_apart
from serving import serving

import folding
from folding.errors import ExternalDataPath, Malformed
from folding_server.client import Client, ServiceError


def refusing(call: Call) -> Iterator[dict[str, Any]]:
    """Takes everything, and then has enough."""
    yield call.accepted()
    call.take()
    call.refuse(ServiceError("JOB_TIME_LIMIT", "enough"))


@pytest.fixture
def fake() -> Iterator[Fake]:
    with faked(refusing) as server:
        yield server


def sent(fake: Fake, source: Path, **more: Any) -> Call:
    """The call that a client makes of a model."""
    with Client(fake.target) as client, pytest.raises(ServiceError, match="enough"):
        client.explain(source, **more)
    return fake.calls[-1]


def test_a_file_is_sent_once_however_many_tensors_are_in_it(fake: Fake, tmp_path: Path) -> None:
    """And under one name, however they write it."""
    model = conv_net()
    put_apart(initializer(model, "w"), tmp_path, "d/w.bin")
    put_apart(initializer(model, "b"), tmp_path, "./d//w.bin")
    source = save(model, tmp_path / "m.onnx")

    call = sent(fake, source)

    assert [file.path for file in call.files[1:]] == ["d/w.bin"]
    assert call.received[1] == (tmp_path / "d" / "w.bin").read_bytes()


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w.bin", "", "a\0b"])
def test_what_is_not_in_the_folder_of_the_model_is_never_sent(
    fake: Fake, tmp_path: Path, location: str
) -> None:
    """It is refused before the call, as a fold here refuses it."""
    (tmp_path / "w.bin").write_bytes(bytes(1000))
    (tmp_path / "in").mkdir()
    model = conv_net()
    refer(initializer(model, "w"), location=location)
    source = save(model, tmp_path / "in" / "m.onnx")

    with Client(fake.target) as client, pytest.raises(ExternalDataPath) as there:
        client.fold(source)
    with pytest.raises(ExternalDataPath) as here:
        folding.fold(source)

    assert str(there.value) == str(here.value)
    assert fake.calls == []


def test_a_link_out_of_the_folder_is_followed_only_if_it_may(fake: Fake, tmp_path: Path) -> None:
    """As here."""
    (tmp_path / "in").mkdir()
    source = save_apart(conv_net(), tmp_path / "in" / "m.onnx", "w.bin")
    (tmp_path / "in" / "w.bin").rename(tmp_path / "elsewhere.bin")
    (tmp_path / "in" / "w.bin").symlink_to(tmp_path / "elsewhere.bin")

    with Client(fake.target) as client, pytest.raises(ExternalDataPath, match="a link that leaves"):
        client.fold(source)
    call = sent(fake, source, follow_links=True)

    assert call.received[1] == (tmp_path / "elsewhere.bin").read_bytes()


def test_no_data_is_sent_from_the_first_on_that_is_missing(fake: Fake, tmp_path: Path) -> None:
    """The server has no use for it, whatever it finds wrong with the model."""
    model = conv_net()
    for tensor, location in zip(model.graph.initializer, ("1.bin", "2.bin", "3.bin"), strict=False):
        put_apart(tensor, tmp_path, location)
    (tmp_path / "2.bin").unlink()

    call = sent(fake, save(model, tmp_path / "m.onnx"))

    assert [file.path for file in call.files[1:]] == ["1.bin"]


@pytest.mark.parametrize("rest", [b"", b"\x3a\x00"])
def test_a_model_whose_data_is_missing_is_judged_as_here(tmp_path: Path, rest: bytes) -> None:
    """That may be the least that is wrong with it: this one has another graph."""
    source = save_apart(conv_net(), tmp_path / "m.onnx")
    source.write_bytes(rest + source.read_bytes())
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(folding.BadModel) as here:
        folding.explain(source)
    (tmp_path / "server").mkdir()
    with (
        serving(tmp_path / "server") as server,
        Client(server.target) as client,
        pytest.raises(type(here.value)) as there,
    ):
        client.explain(source)

    assert (str(there.value), there.value.hint) == (str(here.value), here.value.hint)
    assert type(here.value) is (Malformed if rest else ExternalDataPath)


@pytest.mark.parametrize("data", [b"\x0b", b"\x3a\xff", b"junk" * 100, b"\x3a\x00"])
def test_a_model_that_cannot_be_read_is_sent_alone_for_the_server_to_judge(
    fake: Fake, tmp_path: Path, data: bytes
) -> None:
    """Whatever is wrong with it."""
    source = tmp_path / "m.onnx"
    source.write_bytes(data)

    call = sent(fake, source)

    assert call.received == {0: data}
    assert len(call.files) == 1


def test_what_is_no_file_is_refused_as_here(fake: Fake, tmp_path: Path) -> None:
    """Nothing there, a folder, an empty file."""
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "folder").mkdir()
    for name in ("nowhere.onnx", "folder", "empty.onnx"):
        with pytest.raises(folding.FoldError) as here:
            folding.fold(tmp_path / name)
        with Client(fake.target) as client, pytest.raises(type(here.value)) as there:
            client.fold(tmp_path / name)
        assert (str(there.value), there.value.hint) == (str(here.value), here.value.hint)

    assert fake.calls == []


def test_no_path_of_this_machine_is_told(fake: Fake, tmp_path: Path) -> None:
    """Only base names, and digests of what is sent anyway."""
    call = sent(fake, save(conv_net(), tmp_path / "my model.onnx"))

    (file,) = call.files
    assert re.fullmatch(r"source-[0-9a-f]{16}/my model\.onnx", file.path)
    assert file.path[7:23] == file.sha256[:16]


def test_a_model_may_be_called_as_no_server_can_call_it(fake: Fake, tmp_path: Path) -> None:
    """It is called something else there."""
    call = sent(fake, save(conv_net(), tmp_path / "\udcff.onnx"))

    assert call.files[0].path.endswith("/model.onnx")


@pytest.mark.parametrize("location", ["model.onnx", "model.onnx/w.bin"])
def test_what_a_model_is_called_there_is_no_name_of_its_data(
    fake: Fake, tmp_path: Path, location: str
) -> None:
    """Else it would be read in place of the data."""
    call = sent(fake, save_apart(conv_net(), tmp_path / "\udcff.onnx", location))

    assert call.files[0].path.endswith("/model-1.onnx")
    assert call.files[1].path == location
    assert call.received[1] == (tmp_path / location).read_bytes()


def test_data_in_the_file_of_the_model_is_not_sent_twice(fake: Fake, tmp_path: Path) -> None:
    """A model may keep data in itself."""
    model = conv_net()
    refer(initializer(model, "w"), location="m.onnx")

    call = sent(fake, save(model, tmp_path / "m.onnx"))

    assert len(call.files) == 1


def test_where_reports_and_models_may_not_go_nothing_is_sent(fake: Fake, tmp_path: Path) -> None:
    """The source, the inputs, a folder; as here, before anything else."""
    source = save(conv_net(), tmp_path / "m.onnx")
    (tmp_path / "x.npz").write_bytes(b"x")

    with Client(fake.target) as client:
        for target, note in ((source, None), (tmp_path, None), (None, source)):
            with pytest.raises(folding.BadCall):
                client.fold(source, target, report_to=note)
        with pytest.raises(folding.BadCall, match="inputs"):
            client.fold(source, tmp_path / "x.npz", inputs=tmp_path / "x.npz")
        with pytest.raises(folding.BadCall, match="belongs to a model"):
            client.verify(source, source, report_to=source)
        with pytest.raises(folding.BadCall, match="cannot be both"):
            client.verify("-", "-")
        with pytest.raises(folding.BadCall, match="names no file"):
            client.fold("")

    assert fake.calls == []


def test_an_empty_model_is_malformed_without_a_call(fake: Fake, tmp_path: Path) -> None:
    """There is nothing to send."""
    (tmp_path / "m.onnx").touch()

    with Client(fake.target) as client, pytest.raises(Malformed, match="is empty"):
        client.explain(tmp_path / "m.onnx")

    assert fake.calls == []
