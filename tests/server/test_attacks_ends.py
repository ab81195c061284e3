"""Clients that go, jobs that die, servers that are killed: whatever ends, nothing is left of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from attacks import clients, models
from attacks.clients import STAGES, Caller
from attacks.scene import Scene, attacked
from serving import started, wait_until

from folding.v1 import folding_pb2 as pb
from folding.v1.folding_pb2_grpc import FoldingServiceStub

_MIB = 1 << 20
#: A client of its own process, which stays at a stage until it is killed.
_CLIENT = """
import sys, time, grpc
from attacks import clients
from folding.v1.folding_pb2_grpc import FoldingServiceStub
with grpc.insecure_channel(sys.argv[1]) as channel:
    caller = getattr(clients, sys.argv[2])(FoldingServiceStub(channel))
    print("there", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One server, which runs one job at a time."""
    with attacked(tmp_path_factory.mktemp("server"), "--jobs", "1") as scene:
        yield scene


Stage = Callable[[FoldingServiceStub], Caller]


@pytest.mark.parametrize("stage", STAGES)
def test_a_client_that_goes_at_any_stage_leaves_nothing(scene: Scene, stage: Stage) -> None:
    """Its job is dead within a second, its files are gone, and the next job has its turn."""
    with scene.server.stub() as stub:
        stage(stub).leave()
        scene.check()


@pytest.mark.parametrize("stage", [clients.mid_upload, clients.running, clients.mid_download])
def test_a_client_that_is_killed_leaves_nothing(scene: Scene, stage: Stage) -> None:
    """Its connection ends without a word of HTTP/2, and so does all that it wanted."""
    words = [sys.executable, "-c", _CLIENT, scene.server.target, stage.__name__]
    folder = Path(__file__).parents[1]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=folder) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"there\n"
        client.kill()
    scene.check()


def leader(scene: Scene) -> psutil.Process:
    """The process that the only job is; its others came later."""
    found = scene.server.process.children(recursive=True)
    own = [process for process in found if process.pid not in scene.family]
    return min(own, key=psutil.Process.create_time)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "WORKER_CRASHED"),
        (signal.SIGSEGV, "WORKER_CRASHED"),
        (signal.SIGABRT, "WORKER_CRASHED"),
        (signal.SIGSTOP, "JOB_TIME_LIMIT"),
    ],
)
def test_a_job_that_is_hit_by_a_signal_costs_nobody_else(
    scene: Scene, number: int, reason: str
) -> None:
    """Its client learns how it ended; all its processes are gone."""
    with scene.server.stub() as stub:
        caller = clients.running(stub, job=pb.JobOptions(time_limit_seconds=4))
        leader(scene).send_signal(number)
        assert caller.refusal().reason == reason
    scene.check()


def test_a_job_that_eats_memory_is_ended(tmp_path: Path) -> None:
    """A large model in a job of 150 MB is refused for that, not for something else."""
    with attacked(tmp_path, "--job-memory", "150") as scene:
        with scene.server.stub() as stub:
            caller = Caller(stub, models.row(200_000), skip_verification=True)
            caller.send()
            assert caller.refusal().reason == "JOB_MEMORY_LIMIT"
        scene.check()


def test_a_server_that_is_killed_mid_upload_starts_again(tmp_path: Path) -> None:
    """On the same spool, without what was half there; the same upload works then."""
    with started(tmp_path) as process:
        log = tmp_path / "log"
        wait_until(lambda: '"ready"' in log.read_text())
        target = log.read_text().splitlines()[0].split()[-1]
        family = process.children(recursive=True)
        with grpc.insecure_channel(target) as channel:
            caller = clients.mid_upload(FoldingServiceStub(channel))
            wait_until(lambda: any((tmp_path / "spool" / "uploads").iterdir()))
            process.kill()
            assert caller.refusal().code is grpc.StatusCode.UNAVAILABLE
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
    with attacked(tmp_path) as scene, scene.server.stub() as stub:
        assert scene.server.left() == []
        caller = Caller(stub, bytes(8 * _MIB))
        caller.send()
        assert caller.refusal().reason == "MALFORMED_MODEL"
        scene.check()


def a_small_disk(folder: Path, megabytes: int) -> list[str]:
    """A command within which the spool is a disk of its own that holds so much."""
    mount = f'mount -t tmpfs -o size={megabytes}m none "$0" && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", mount, str(folder)]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    return words


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """Before an upload, during one, and when a job writes; then there is room again."""
    (tmp_path / "spool").mkdir()
    within = a_small_disk(tmp_path / "spool", 16)
    with attacked(tmp_path, within=within) as scene, scene.server.stub() as stub:
        caller = Caller(stub, bytes(20 * _MIB))
        assert caller.refusal().reason == "STORAGE_FULL"
        scene.check()

        rivals = [Caller(stub, bytes([n]) * (12 * _MIB)) for n in range(2)]
        for rival in rivals:
            rival.send()
        assert "STORAGE_FULL" in [rival.refusal().reason for rival in rivals]
        scene.check()

        model = models.changed(lambda net: setattr(net, "doc_string", "x" * (12 * _MIB)))
        caller = Caller(stub, model, skip_verification=True)
        caller.send()
        assert caller.refusal().reason == "STORAGE_FULL"
        scene.check()
