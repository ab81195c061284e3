"""Why a job has no result, in words that tell its client all and nothing of the server."""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from files import conv_net, initializer, refer, save, save_apart
from jobbing import Bench, bench, endless, spec

from folding.errors import (
    BadCall,
    ExternalDataPath,
    FoldError,
    Malformed,
    NestingTooDeep,
    StorageFailed,
    TensorSizeMismatch,
)
from folding_server.errors import ServiceError
from folding_server.jobs.child import lack
from folding_server.jobs.outcome import NO_MEMORY, NO_SPACE, TOLD
from folding_server.jobs.runner import FileSpec, JobSpec, Kind, ModelSpec


def refused(folder: Path, make: Callable[[Bench], JobSpec]) -> FoldError:
    """What a job is refused with; nothing in it is of the server."""

    async def run() -> FoldError:
        async with bench(folder) as made:
            with pytest.raises(FoldError) as caught:
                await made.done(make(made))
            return caught.value

    error = asyncio.run(run())
    text = f"{error} {error.hint}"
    assert str(folder) not in text
    assert not re.search("[0-9a-f]{32}", text)
    assert "Traceback" not in text
    return error


def test_junk_is_malformed_by_the_name_of_its_client(tmp_path: Path) -> None:
    """The class of an error passes, and so does the name that the client has for its model."""
    source = tmp_path / "net.onnx"
    source.write_bytes(b"junk" * 100)
    name = "far/away/it's a net.onnx"

    error = refused(tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source, name)))

    assert type(error) is Malformed
    assert repr(name) in str(error)


@pytest.mark.parametrize("kind", [Kind.FOLD, Kind.EXPLAIN])
def test_missing_data_is_named(tmp_path: Path, kind: Kind) -> None:
    """A model that refers to a file which was not sent is told which."""
    source = save_apart(conv_net(), tmp_path / "net.onnx")

    error = refused(tmp_path, lambda made: spec(kind, made.shelf.model(source)))

    assert type(error) is ExternalDataPath
    assert "'weights.bin'" in str(error)


@pytest.mark.parametrize("location", ["../../../etc/passwd", "/etc/passwd", "/proc/self/environ"])
def test_data_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    """A model cannot have a file of the server read."""
    model = conv_net()
    refer(initializer(model, "w"), location=location)
    source = save(model, tmp_path / "net.onnx")

    error = refused(tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source)))

    assert type(error) is ExternalDataPath
    assert repr(location) in str(error)


def test_a_bad_candidate_is_refused(tmp_path: Path) -> None:
    """Of two models, the second one is looked at as closely as the first."""
    good = save(conv_net(), tmp_path / "good.onnx")
    model = conv_net()
    initializer(model, "w").dims[0] = 1 << 40
    bad = save(model, tmp_path / "bad.onnx")

    error = refused(
        tmp_path,
        lambda made: spec(Kind.VERIFY, made.shelf.model(good), made.shelf.model(bad)),
    )

    assert type(error) is TensorSizeMismatch
    assert "'w'" in str(error)


def test_a_choice_that_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    """An input to freeze has to be there."""
    source = save(conv_net(), tmp_path / "net.onnx")
    options = {"freeze": {"nothing": "true"}}

    error = refused(
        tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source), options=options)
    )

    assert type(error) is BadCall
    assert "'nothing'" in str(error)


def test_a_limit_of_the_client_holds(tmp_path: Path) -> None:
    """A client may ask for a lower limit than the usual one."""
    source = save(endless(), tmp_path / "net.onnx")
    options = {"max_nesting": 1}

    error = refused(
        tmp_path, lambda made: spec(Kind.EXPLAIN, made.shelf.model(source), options=options)
    )

    assert type(error) is NestingTooDeep


def test_a_blob_that_is_gone_is_a_fault_of_the_server(tmp_path: Path) -> None:
    """A job without its files does not begin, and leaves no folder."""
    file = FileSpec("net.onnx", 1, "0" * 64)

    error = refused(tmp_path, lambda _: spec(Kind.FOLD, ModelSpec("net.onnx", file)))

    assert type(error) is StorageFailed


def test_a_fault_of_ours_tells_the_client_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody expected goes to the operator's log, trace and all."""
    source = save(conv_net(), tmp_path / "net.onnx")
    options = {"layout": "NONE_THAT_EXISTS"}

    error = refused(
        tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source), options=options)
    )

    assert isinstance(error, ServiceError)
    assert error.reason == "INTERNAL"
    assert "NONE_THAT_EXISTS" not in str(error)
    assert "KeyError: 'NONE_THAT_EXISTS'" in caplog.text


def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path: Path) -> None:
    """What a job writes is limited; it says so, and leaves nothing."""
    source = save(conv_net(), tmp_path / "net.onnx")

    def job(made: Bench) -> JobSpec:
        model = made.shelf.model(source)
        # So few bytes are given, it seems, that one of the results is too large.
        file = replace(model.file, size=-((256 << 20) - 400) // 4)
        return spec(Kind.FOLD, replace(model, file=file), options={"verify": False})

    error = refused(tmp_path, job)

    assert isinstance(error, ServiceError)
    assert error.reason == "STORAGE_FULL"


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (OSError(errno.ENOSPC, "full"), NO_SPACE),
        (OSError(errno.EDQUOT, "full"), NO_SPACE),
        (OSError(errno.EFBIG, "full"), NO_SPACE),
        (OSError(errno.ENOMEM, "no memory"), NO_MEMORY),
        (MemoryError(), NO_MEMORY),
        (OSError(errno.EIO, "broken"), TOLD),
    ],
)
def test_what_a_job_lacks_is_seen_behind_its_error(cause: Exception, code: int) -> None:
    """An error that comes of a full disk or of no memory is told from any other."""
    error = StorageFailed("cannot write")
    error.__cause__ = cause
    assert lack(error) == code


def test_a_name_that_leaves_none_for_the_fold_is_the_clients_fault(tmp_path: Path) -> None:
    """The field is named in which another one could have been given."""
    source = save(conv_net(), tmp_path / "net.onnx")
    error = refused(
        tmp_path, lambda made: spec(Kind.FOLD, made.shelf.model(source, "x" * 250 + ".onnx"))
    )
    assert isinstance(error, ServiceError)
    assert (error.reason, error.field) == ("BAD_REQUEST", "header.target")
