"""What the process of a job is, and may take."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
from files import conv_net, save
from jobbing import bench, endless, spec

from folding_server.jobs.runner import Kind
from folding_server.store.keeping import discard

_GIB = 1 << 30


def test_a_job_is_confined(tmp_path: Path) -> None:
    """It leads a session, works in a folder of its own that nobody else can read, and has limits.

    So does the process that runs its models.
    """
    source = save(endless(), tmp_path / "endless.onnx")
    size = source.stat().st_size

    async def run() -> None:
        async with bench(tmp_path, job_memory=_GIB) as made:
            job = made.runner.submit(spec(Kind.FOLD, made.shelf.model(source), seconds=30))
            leader, runs = await made.runs(2)
            (folder,) = made.jobs.iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700
            assert Path(leader.cwd()) == Path(runs.cwd()) == folder.resolve()
            assert _session(leader) == leader.pid
            for process in (leader, runs):
                assert _gains_nothing(process)
                assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
                assert process.rlimit(psutil.RLIMIT_AS)[1] == 3 * _GIB + 4 * size
                assert process.rlimit(psutil.RLIMIT_FSIZE)[1] == _GIB // 4 + 4 * size
                assert process.rlimit(psutil.RLIMIT_CPU)[1] == 30 * (os.cpu_count() or 1) + 5
                assert process.rlimit(psutil.RLIMIT_NOFILE)[1] <= 4096
            null = Path("/dev/null")
            assert _held(leader).count("/dev/null") == 2
            assert _streams(leader) == [null, null, folder.resolve() / "stderr"]
            await job.cancel()

    asyncio.run(run())


def _gains_nothing(process: psutil.Process) -> bool:
    """Whether no program that it starts gets more privileges than it has."""
    return "NoNewPrivs:\t1\n" in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")


def _held(process: psutil.Process) -> list[str]:
    """What a process has open."""
    return [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]


def _streams(process: psutil.Process) -> list[Path]:
    """What the standard streams of a process are."""
    return [Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)]


def _session(process: psutil.Process) -> int:
    """The number of the session that a process is in."""
    text = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    return int(text.rpartition(")")[2].split()[3])


def test_a_job_imports_nothing_from_its_folder(tmp_path: Path) -> None:
    """Its files are a client's, and Python looks first where it was started."""
    code = """
import sys
from pathlib import Path
from folding_server.jobs.confinement import Bounds, confine
sys.path[:0] = ["", "model"]
confine(Path(sys.argv[1]), Bounds(30.0, 1 << 30, 0), 1)
Path("found").write_text("\\n".join(sys.path))
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)
    found = (tmp_path / "found").read_text().splitlines()
    assert found
    assert all(Path(entry).is_absolute() for entry in found)


def test_a_job_gets_links_and_not_copies(tmp_path: Path) -> None:
    """The files of a model are not copied for each job, and are those that only can be read."""
    source = save(endless(), tmp_path / "endless.onnx")

    async def run() -> None:
        async with bench(tmp_path) as made:
            model = made.shelf.model(source)
            job = made.runner.submit(spec(Kind.FOLD, model))
            await made.runs()
            (linked,) = made.jobs.rglob("endless.onnx")
            assert linked.samefile(made.shelf.path("somebody", model.file.sha256))
            await job.cancel()
            assert made.shelf.path("somebody", model.file.sha256).exists()

    asyncio.run(run())


def test_data_may_lie_deep(tmp_path: Path) -> None:
    """A path as long as any that a client may give is no trouble."""
    source = save(conv_net(), tmp_path / "net.onnx")
    deep = "/".join("d" * 511) + "/x"

    async def run() -> None:
        async with bench(tmp_path) as made:
            model = made.shelf.model(source)
            file = made.shelf.add(b"data", deep)
            job = spec(Kind.EXPLAIN, type(model)("net.onnx", model.file, (file,)))
            discard((await made.done(job)).folder)

    asyncio.run(run())


def test_the_server_imports_nothing_of_what_its_jobs_do() -> None:
    """Whoever runs jobs has no onnx, no runtime and no numpy in it."""
    program = (
        "import sys\n"
        "import folding_server.jobs.local\n"
        "print([name for name in ('onnx', 'onnxruntime', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_a_server_that_hides_tells_its_jobs_no_secrets() -> None:
    """Its environment is what jobs need, and nobody without privileges reads its memory."""
    program = (
        "import os, ctypes\n"
        "from folding_server.jobs.confinement import hide\n"
        "hide()\n"
        "print(sorted(os.environ), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    kept |= {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    told = {**kept, "FOLD_MODEL_TOKEN": "secret", "AWS_SECRET": "secret"}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=told, capture_output=True, text=True, check=True)
    assert done.stdout == f"{sorted(kept)} 0\n"
