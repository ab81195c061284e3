"""Every hostile model, and what it is answered: a status code with its reason, or a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import grpc
from files import conv_net
from jobbing import bomb, endless

from attacks import models
from attacks.models import NASTY
from folding.v1 import folding_pb2 as pb

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that fails, and why."""

    reason: str
    code: grpc.StatusCode = _INVALID


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that is answered, and with which verdict."""

    verdict: pb.Verdict.ValueType


@dataclass(frozen=True, slots=True)
class Attack:
    """A model to be folded.

    Attributes:
        name: what it is.
        make: the bytes of its file, and of its data if there is any.
        right: what the server has to answer.
        options: fields of the header.
        is_long: whether it takes more than some seconds.
    """

    name: str
    make: Callable[[], bytes | tuple[bytes, bytes]]
    right: Refused | Answered
    options: dict[str, object] = field(default_factory=dict)
    is_long: bool = False


_MALFORMED = Refused("MALFORMED_MODEL")
_BAD = Refused("BAD_MODEL")
_ELSEWHERE = Refused("EXTERNAL_DATA_PATH")
_SIZES = Refused("TENSOR_SIZE_MISMATCH")
_DEEP = Refused("NESTING_TOO_DEEP")
_CYCLE = Refused("FUNCTION_CYCLE")
_EQUIVALENT = Answered(pb.VERDICT_EQUIVALENT)
_UNPROVEN = Answered(pb.VERDICT_UNPROVEN)
_NET = conv_net().SerializeToString()
_UNCHECKED: dict[str, object] = {"skip_verification": True}
_SKIPPED = Answered(pb.VERDICT_SKIPPED)


def _elsewhere(location: str, **more: str) -> Callable[[], tuple[bytes, bytes]]:
    return partial(models.located, location, **more)


ATTACKS: tuple[Attack, ...] = (
    Attack("functions that double", models.doubling, Refused("EXPANSION_TOO_LARGE", _EXHAUSTED)),
    Attack("a function that calls itself", partial(models.circle, 1), _CYCLE),
    Attack("functions in a circle", partial(models.circle, 7), _CYCLE),
    Attack("If in If, 60 deep", partial(models.nested, 60), _DEEP),
    Attack("If in If, 20,000 deep", partial(models.nested, 20_000), _DEEP),
    Attack("dims of 2**80 numbers", partial(models.sized, 1 << 40, 1 << 40), _SIZES),
    Attack("negative dims", partial(models.sized, -4), _BAD),
    Attack("data in the folder above", _elsewhere("../w.bin"), _ELSEWHERE),
    Attack("data far above", _elsewhere("../../../../../../etc/passwd"), _ELSEWHERE),
    Attack("data at an absolute path", _elsewhere("/etc/passwd"), _ELSEWHERE),
    Attack("data behind a link", _elsewhere("/proc/self/cwd/model/w.bin"), _ELSEWHERE),
    Attack("data in the model itself", _elsewhere("net.onnx"), _SIZES),
    Attack("data in a folder", _elsewhere("."), _ELSEWHERE),
    Attack("data at a path with NUL", _elsewhere("w.bin\0"), _ELSEWHERE),
    Attack("data of the runtime's memory", _elsewhere("*/_ORT_MEM_ADDR_/*"), _ELSEWHERE),
    Attack("data nobody sent", _elsewhere("other.bin"), _ELSEWHERE),
    Attack("data behind the end", _elsewhere("w.bin", offset="1"), _SIZES),
    Attack("data before the start", _elsewhere("w.bin", offset="-8"), _BAD),
    Attack("an offset of 2**63", _elsewhere("w.bin", offset=str(1 << 63)), _SIZES),
    Attack("an offset that is no number", _elsewhere("w.bin", offset="abc"), _BAD),
    Attack("a length of 2**62", _elsewhere("w.bin", length=str(1 << 62)), _SIZES),
    Attack("an unknown key", _elsewhere("w.bin", __class__="evil"), _EQUIVALENT),
    Attack("200,000 nodes", partial(models.row, 200_000), _SKIPPED, _UNCHECKED),
    Attack("1,000,000 tensors", partial(models.crowd, 1_000_000), _SKIPPED, _UNCHECKED, True),
    Attack("names of 10 MB", partial(models.renamed, "n" * 10_000_000), _EQUIVALENT),
    Attack("a tensor twice", partial(models.changed, models.doubled), _BAD),
    Attack("names that play with terminals", partial(models.renamed, NASTY), _EQUIVALENT),
    Attack("junk", lambda: bytes(range(256)) * 20, _MALFORMED),
    Attack("nothing", bytes, _MALFORMED),
    Attack("half a model", lambda: _NET[: len(_NET) // 2], _MALFORMED),
    Attack("a model and more", lambda: _NET + b"\0\0\0", _MALFORMED),
    Attack("a model without an end", lambda: _NET + b"\xff" * 20, _MALFORMED),
    Attack(
        "a loop without an end, in a job of 8 s",
        lambda: endless().SerializeToString(),
        _UNPROVEN,
        {"job": pb.JobOptions(time_limit_seconds=8)},
    ),
    Attack(
        "a loop without an end, run for 1 s",
        lambda: endless().SerializeToString(),
        _UNPROVEN,
        {"run": pb.RunOptions(time_limit_seconds=1)},
    ),
    Attack("a constant of 256 GB", lambda: bomb().SerializeToString(), _UNPROVEN),
    Attack("25 GB by Expand", models.expanded, _UNPROVEN),
)
