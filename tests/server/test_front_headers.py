"""What a call's header asks for: taken over whole, or refused with the name of its field."""

from __future__ import annotations

from typing import Any

import pytest

from folding.v1 import folding_pb2 as pb
from folding_server.errors import ServiceError
from folding_server.headers import Terms, explain_job, fold_job, verify_job
from folding_server.jobs.runner import FileSpec, Kind
from folding_server.limits import ServerLimits

DIGEST = "0" * 64
TERMS = Terms("somebody", ServerLimits(max_model_bytes=1000, max_files=4))


def file(path: str = "m.onnx", size: int = 10, sha256: str = DIGEST) -> pb.File:
    return pb.File(path=path, size=size, sha256=sha256)


def model(*data: str, path: str = "m.onnx") -> pb.Model:
    return pb.Model(file=file(path), external_data=map(file, data))


def shape(name: str, rank: int) -> pb.InputShape:
    return pb.InputShape(name=name, dims=[1] * rank)


def header(**told: Any) -> pb.FoldHeader:
    return pb.FoldHeader(model=model(), **told)


def refused(asked: pb.FoldHeader, terms: Terms = TERMS) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        fold_job(asked, terms)
    return caught.value


def test_what_is_not_set_is_as_usual() -> None:
    """A header with nothing but a model asks for what the command does without options."""
    spec = fold_job(header(), TERMS)

    assert (spec.kind, spec.owner, spec.seconds) == (Kind.FOLD, "somebody", 600)
    assert spec.files == (FileSpec("m.onnx", 10, DIGEST),)
    assert spec.options == {
        "freeze": {},
        "keep": [],
        "allow_growth": False,
        "shapes": {},
        "tolerance": None,
        "provider": "CPUExecutionProvider",
        "run_seconds": None,
        "run_memory": None,
        "max_nesting": None,
        "max_expanded_nodes": None,
        "verify": True,
        "layout": "AS_SOURCE",
        "target": "m.folded.onnx",
    }


def test_every_field_arrives() -> None:
    """What is set in a header is in the job."""
    asked = header(
        target="out.onnx",
        options=pb.FoldOptions(freeze={"training": "false"}, keep=["n"], allow_growth=True),
        skip_verification=True,
        run=pb.RunOptions(
            inputs=[file("a.npz")],
            shapes=[pb.InputShape(name="x", dims=[1, 3])],
            tolerance=0.0,
            provider="CPUExecutionProvider",
            time_limit_seconds=5,
            memory_limit_bytes=7,
        ),
        layout=pb.LAYOUT_EXTERNAL_DATA,
        job=pb.JobOptions(time_limit_seconds=3, max_nesting=4, max_expanded_nodes=5),
    )

    spec = fold_job(asked, TERMS)

    assert spec.seconds == 3
    assert spec.inputs == (FileSpec("a.npz", 10, DIGEST),)
    assert spec.options == {
        "freeze": {"training": "false"},
        "keep": ["n"],
        "allow_growth": True,
        "shapes": {"x": [1, 3]},
        "tolerance": 0.0,
        "provider": "CPUExecutionProvider",
        "run_seconds": 5,
        "run_memory": 7,
        "max_nesting": 4,
        "max_expanded_nodes": 5,
        "verify": False,
        "layout": "EXTERNAL_DATA",
        "target": "out.onnx",
    }


def test_a_comparison_has_two_models_whose_files_are_counted_through() -> None:
    """The files of Verify are numbered as the contract says: model by model, then the inputs."""
    asked = pb.VerifyHeader(
        reference=model("w.bin"),
        candidate=model(path="sub/other.onnx"),
        run=pb.RunOptions(inputs=[file("a.npz")]),
    )

    spec = verify_job(asked, TERMS)

    assert [each.path for each in spec.files] == ["m.onnx", "w.bin", "other.onnx", "a.npz"]
    assert [each.name for each in spec.models] == ["m.onnx", "sub/other.onnx"]


def test_an_explanation_has_no_runs() -> None:
    """Explain knows what to fold, and nothing of runs or targets."""
    spec = explain_job(pb.ExplainHeader(model=model()), TERMS)

    assert spec.kind is Kind.EXPLAIN
    assert set(spec.options) == {
        "freeze",
        "keep",
        "allow_growth",
        "max_nesting",
        "max_expanded_nodes",
    }


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 64 + "\n"])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    """A SHA-256 has 64 lower-case hexadecimal digits."""
    error = refused(pb.FoldHeader(model=pb.Model(file=file(sha256=digest))))

    assert (error.reason, error.field) == ("BAD_REQUEST", "header.model.file.sha256")


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"target": "../x"}, "header.target"),
        ({"target": "a/report.json"}, "header.target"),
        ({"layout": 9}, "header.layout"),
        ({"options": pb.FoldOptions(freeze={"": "1"})}, "header.options.freeze"),
        ({"options": pb.FoldOptions(keep=map(str, range(10_001)))}, "header.options.keep"),
        ({"run": pb.RunOptions(provider="no")}, "header.run.provider"),
        ({"run": pb.RunOptions(tolerance=-1)}, "header.run.tolerance"),
        ({"run": pb.RunOptions(tolerance=float("nan"))}, "header.run.tolerance"),
        ({"run": pb.RunOptions(time_limit_seconds=-1)}, "header.run.time_limit_seconds"),
        ({"run": pb.RunOptions(time_limit_seconds=3601)}, "header.run.time_limit_seconds"),
        ({"run": pb.RunOptions(time_limit_seconds=float("nan"))}, "header.run.time_limit_seconds"),
        ({"run": pb.RunOptions(inputs=[file(".")])}, "header.run.inputs[0].path"),
        ({"run": pb.RunOptions(shapes=[pb.InputShape(name="")])}, "header.run.shapes"),
        (
            {"run": pb.RunOptions(shapes=[pb.InputShape(name="x", dims=[2, -4])])},
            "header.run.shapes[0].dims",
        ),
        (
            {"run": pb.RunOptions(shapes=[pb.InputShape(name="x", dims=[1] * 65)])},
            "header.run.shapes[0].dims",
        ),
        (
            {"run": pb.RunOptions(shapes=[shape(f"x{n}", 63) for n in range(159)])},
            "header.run.shapes",
        ),
        (
            {"job": pb.JobOptions(time_limit_seconds=float("inf"))},
            "header.job.time_limit_seconds",
        ),
        ({"job": pb.JobOptions(max_nesting=1001)}, "header.job.max_nesting"),
        ({"job": pb.JobOptions(max_expanded_nodes=1 << 63)}, "header.job.max_expanded_nodes"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_field(told: dict[str, Any], field: str) -> None:
    """Nothing is put right in silence: the client is told which field is bad."""
    error = refused(header(**told))

    assert (error.reason, error.field) == ("BAD_REQUEST", field)


@pytest.mark.parametrize("size", [1001, 10 * 10**12, (1 << 64) - 1])
def test_too_many_bytes_are_refused_before_one_is_sent(size: int) -> None:
    """The declared sizes count together, however large they are."""
    error = refused(pb.FoldHeader(model=pb.Model(file=file(size=size))))

    assert error.reason == "UPLOAD_TOO_LARGE"


def test_sizes_count_together() -> None:
    """Two files of which each alone would do may be too many bytes."""
    both = pb.Model(file=file(size=600), external_data=[file("w", size=600)])

    assert refused(pb.FoldHeader(model=both)).reason == "UPLOAD_TOO_LARGE"


def test_too_many_files_are_refused() -> None:
    """A call has a limit of files."""
    assert refused(pb.FoldHeader(model=model("a", "b", "c", "d"))).reason == "UPLOAD_TOO_LARGE"
    inputs = pb.RunOptions(inputs=map(file, "abcd"))
    assert refused(header(run=inputs)).reason == "UPLOAD_TOO_LARGE"


def test_what_is_too_much_is_counted_before_it_is_looked_at() -> None:
    """It is refused for its number, whatever else is wrong with it."""
    assert refused(pb.FoldHeader(model=model(*[""] * 4))).reason == "UPLOAD_TOO_LARGE"
    error = refused(header(options=pb.FoldOptions(keep=[""] * 10_001)))
    assert "has more than 10000 entries" in str(error)


@pytest.mark.parametrize(
    ("asked", "left", "given"),
    [(0, None, 600), (5, None, 5), (9999, None, 3600), (9999, 7.5, 7.5), (0, -1, 0)],
)
def test_a_job_never_runs_longer_than_somebody_waits(
    asked: float, left: float | None, given: float
) -> None:
    """Its seconds are what was asked for, within the server's limit and the call's deadline."""
    terms = Terms("somebody", ServerLimits(), seconds=left)

    spec = fold_job(header(job=pb.JobOptions(time_limit_seconds=asked)), terms)

    assert spec.seconds == given


def test_a_header_without_a_model_is_refused() -> None:
    """There is nothing to fold without one."""
    assert refused(pb.FoldHeader()).field == "header.model.file.path"
