"""A process that runs what may loop, take all memory or crash, while its caller goes on."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import misbehaviour
import numpy as np
import pytest

import folding
from folding.equivalence import process
from folding.equivalence.limits import RunLimits
from folding.equivalence.worker import Worker, WorkerFailed
from folding.errors import BadCall, TensorSizeMismatch

MEGABYTE = 1 << 20
ROOT, TESTS = Path(folding.__file__).parent.parent, Path(misbehaviour.__file__).parent
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as Linux does it")

# The time limits here are those of the tests: long where nothing may reach them.
QUICK = RunLimits(seconds=60)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(QUICK, warm=()) as started:
        yield started


def call(name: str, *arguments: Any, limits: RunLimits = QUICK) -> Any:
    """What a function of ``misbehaviour`` comes to in a worker of its own."""
    with Worker(limits, warm=()) as worker:
        return worker.call(f"misbehaviour:{name}", *arguments)


def failure(name: str, *arguments: Any, limits: RunLimits = QUICK) -> WorkerFailed:
    with pytest.raises(WorkerFailed) as found:
        call(name, *arguments, limits=limits)
    return found.value


def is_alive(process: int) -> bool:
    """Whether there is such a process that has not ended."""
    with suppress(OSError):
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return False


def holds_within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# --- answers -------------------------------------------------------------------------------------


def test_a_result_comes_back_as_json_brings_it(worker: Worker) -> None:
    """Numbers that no JSON standard knows, and text that no encoding knows, come back as well."""
    values = [1, 0.1, float("inf"), "ä\udc80", None, True, {"a": [[]]}]

    assert worker.call("misbehaviour:echo", *values) == values


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=np.int8).reshape(3, 4)),
        np.arange(24.0, dtype=np.float16)[::2],
        np.zeros((0, 3), np.float32),
        np.array(3.0),
        np.ones(40 * MEGABYTE, np.uint8),
    ],
)
def test_arrays_arrive_whole_and_can_be_written_to(worker: Worker, array: Any) -> None:
    """An array of any layout and size is the child's own."""
    (found,) = worker.call("misbehaviour:total", array)

    assert found == [str(array.dtype), list(array.shape), float((array + 1).sum())]


def test_a_process_answers_one_call_after_the_other(worker: Worker) -> None:
    """All calls of a worker go to the same process, which is not this one."""
    processes = {worker.call("misbehaviour:about")["pid"] for _ in range(3)}

    assert len(processes) == 1
    assert os.getpid() not in processes


def test_errors_of_ours_arrive_as_they_were_raised(worker: Worker) -> None:
    """Class, message and hint are the same, and the worker goes on."""
    with pytest.raises(TensorSizeMismatch, match=r"^tensor 'w\udcff' has 3 bytes$") as found:
        worker.call("misbehaviour:ours")

    assert found.value.hint == "Look at it."
    assert worker.call("misbehaviour:echo", 1) == [1]


def test_an_error_of_a_class_that_only_the_child_knows_is_its_base(worker: Worker) -> None:
    """The nearest class that both know is raised."""
    with pytest.raises(BadCall, match="option 'x' is wrong") as found:
        worker.call("misbehaviour:theirs")

    assert type(found.value) is BadCall


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("fail", ["no kernel"], r"in misbehaviour\.py, line \d+ \(RuntimeError: no kernel\)"),
        ("fail", ["a\n" * 1000], r"\(RuntimeError:( a){100,150} ?$"),
        ("verdict", [], r"in misbehaviour\.py, line \d+ \(NotEquivalent: no\)"),
        ("nothing", [], r"AttributeError: .*'nothing'"),
        ("answer_no_json", [], "TypeError: Object of type object is not JSON"),
        ("answer_much", [1 << 24], "with an answer of 16777230 bytes"),
    ],
)
def test_any_other_error_is_a_failure_that_names_its_place(
    name: str, arguments: list[Any], why: str
) -> None:
    """What nobody expects is said as precisely as it is known."""
    found = failure(name, *arguments)

    assert found.kind == "crash"
    assert found.reason.startswith("the process that ran the models failed ")
    assert pytest.RaisesExc(WorkerFailed, match=why).matches(found)


def test_a_module_that_is_not_there_is_missed_only_when_it_is_needed() -> None:
    """What cannot be imported beforehand stops no call that does without."""
    with Worker(QUICK, warm=("no.such.module", "misbehaviour")) as worker:
        assert worker.call("misbehaviour:echo") == []
        with pytest.raises(WorkerFailed, match="No module named 'no'"):
            worker.call("no.such.module:function")


# --- crashes -------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
@pytest.mark.parametrize(
    ("name", "arguments", "how"),
    [
        ("crash", [signal.SIGSEGV], "ended with SIGSEGV"),
        ("crash", [7], f"ended with {signal.Signals(7).name}"),
        ("crash", [40], "ended with signal 40"),
        ("abort", ["corrupt\n\x1b[1m size!"], "ended with SIGABRT (?[1m size!)"),
        ("abort", [""], "ended with SIGABRT (it says nothing)"),
        ("leave", [0, True], "ended without an answer, with exit code 0"),
        ("leave", [3, True], "ended without an answer, with exit code 3"),
        ("leave", [4, False], "ended without an answer, with exit code 4"),
        ("have_child_and_crash", [], "ended with SIGSEGV"),
        ("close_all", [60], "closed its pipe"),
    ],
)
def test_a_crash_is_survived_and_told(name: str, arguments: list[Any], how: str) -> None:
    """The caller learns what became of the process, at once."""
    start = time.monotonic()

    found = failure(name, *arguments)

    assert (found.kind, found.reason) == ("crash", f"the process that ran the models {how}")
    assert time.monotonic() - start < 30


@pytest.mark.skipif(sys.platform == "win32", reason="writes to what Windows has not")
@pytest.mark.parametrize(
    "message",
    [
        "[[[",
        "\xff\xff",
        "{}",
        "[]",
        '{"memory": 1}',
        '{"fault": 1}',
        '{"error": "SystemExit", "message": "", "hint": ""}',
        '{"error": "NotEquivalent", "message": "", "hint": ""}',
        '{"error": "BadCall", "message": [], "hint": ""}',
        9999 * "9",
        200_000 * "[",
    ],
)
def test_an_answer_that_is_none_is_a_crash(message: str) -> None:
    """Nothing that a hostile process says can harm its caller."""
    found = failure("answer", len(message).to_bytes(8, "little").decode("latin-1") + message)

    assert found.kind == "crash"
    assert found.reason == "the process that ran the models answered with garbage"


@pytest.mark.skipif(sys.platform == "win32", reason="writes to what Windows has not")
def test_an_answer_without_end_is_not_waited_for() -> None:
    """What says to be longer than any answer is none."""
    assert failure("answer", "garbage of some bytes").reason.endswith("answered with garbage")


def test_after_a_failure_there_is_only_the_failure(worker: Worker) -> None:
    """A process that has crashed, or that nobody can rely on any more, is asked nothing."""
    for name in ("fail", "echo"):
        with pytest.raises(WorkerFailed, match="RuntimeError: once"):
            worker.call(f"misbehaviour:{name}", "once")


def test_a_closed_worker_is_not_called() -> None:
    """That is a mistake of the caller's."""
    with Worker(QUICK, warm=()) as worker:
        pass

    with pytest.raises(ValueError, match="closed"):
        worker.call("misbehaviour:echo")


def test_what_cannot_be_pickled_is_the_caller_s_mistake(worker: Worker) -> None:
    """Nothing was sent, so the worker goes on."""
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        worker.call("misbehaviour:echo", lambda: None)

    assert worker.call("misbehaviour:echo", 1) == [1]


def test_what_libraries_print_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """However much it is, nobody waits for it to be read, and the answer is found."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)

    assert call("speak", 4 * MEGABYTE) == 4 * MEGABYTE
    assert capfd.readouterr() == ("", "")


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["loop", "loop_alone", "close_and_loop"])
def test_no_run_takes_longer_than_its_limit(name: str) -> None:
    """Even one that never lets another thread run, and none that cannot answer any more."""
    start = time.monotonic()

    found = failure(name, limits=RunLimits(seconds=1.5))

    assert found.kind == "time"
    assert found.reason == "the process that ran the models took longer than 1.5 s"
    assert time.monotonic() - start < 30


def test_all_calls_share_the_time(worker: Worker) -> None:
    """The limit is that of a verification, which may call several times."""
    worker.call("misbehaviour:sleep", 0.3)
    assert worker._left < QUICK.seconds - 0.3
    worker._left = 0.2

    with pytest.raises(WorkerFailed, match="longer than 60 s"):
        worker.call("misbehaviour:sleep", 60)


def test_the_time_between_calls_is_the_caller_s(worker: Worker) -> None:
    """Only who waits for a model loses time."""
    worker.call("misbehaviour:echo")
    left = worker._left
    time.sleep(0.2)
    worker.call("misbehaviour:echo")

    assert left - worker._left < 0.2


def test_time_may_be_endless() -> None:
    """An infinite limit is none."""
    assert call("echo", 1, limits=RunLimits(seconds=float("inf"))) == [1]


# --- memory --------------------------------------------------------------------------------------


@LINUX
def test_no_run_takes_more_memory_than_its_limit() -> None:
    """Who allocates without end is stopped where the limit is."""
    limits = RunLimits(60, 600 * MEGABYTE)

    found = failure("allocate", 1200 * MEGABYTE, limits=limits)

    assert found.kind == "memory"
    assert found.reason == "the process that ran the models needed more memory than 629 MB"
    assert call("allocate", 300 * MEGABYTE, limits=limits) == 300 * MEGABYTE


@LINUX
def test_inputs_that_are_larger_than_the_limit_are_too_much_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is sent counts as well, even while modules are still imported."""
    (tmp_path / "slow.py").write_text("import time; time.sleep(1)", encoding="ascii")
    monkeypatch.syspath_prepend(str(tmp_path))
    large = np.ones(300 * MEGABYTE, np.uint8)
    with Worker(RunLimits(60, 200 * MEGABYTE), warm=("slow",)) as worker:
        with pytest.raises(WorkerFailed) as found:
            worker.call("misbehaviour:echo", large)

        assert found.value.kind == "memory"


@LINUX
def test_maps_that_can_only_be_read_do_not_count(tmp_path: Path) -> None:
    """Weights may be larger than the limit: they are the files' own pages."""
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.truncate(2000 * MEGABYTE)

    assert call("read_map", str(path), limits=RunLimits(60, 300 * MEGABYTE)) == 2000 * MEGABYTE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fail", "[ONNXRuntimeError] : 6 : std::bad_alloc"),
        ("fail", "arena.cc Failed to allocate memory for requested buffer"),
        ("abort", "terminate called after throwing an instance of 'std::bad_alloc'\n"),
    ],
)
def test_what_a_library_says_without_memory_is_understood(name: str, text: str) -> None:
    """Not each of them raises a MemoryError."""
    found = failure(name, text, limits=RunLimits(60, 2_000_000_000))

    assert found.kind == "memory"
    assert found.reason == "the process that ran the models needed more memory than 2.0 GB"


@LINUX
def test_a_process_that_is_killed_was_most_likely_too_large() -> None:
    """Nobody but the system, for want of memory, is known to kill it."""
    found = failure("crash", signal.SIGKILL)

    assert found.kind == "memory"
    assert found.reason.endswith("was killed, as the system does when memory runs out")


@LINUX
def test_the_process_has_the_limits_of_one_that_may_be_lost() -> None:
    """It leaves no core, has its memory and no more, and may open what it is allowed to."""
    import resource  # noqa: PLC0415 - there is none on Windows

    found = call("limits", limits=RunLimits(60, 700 * MEGABYTE))

    assert found["RLIMIT_CORE"] == [0, 0]
    assert found["RLIMIT_DATA"] == [700 * MEGABYTE] * 2
    assert found["RLIMIT_NOFILE"] == [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2
    assert found["oom_score_adj"] == 1000


# --- where it runs -------------------------------------------------------------------------------


def test_it_has_the_path_and_the_environment_of_its_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What can be imported here can be imported there, and what the user has set holds there."""
    (tmp_path / "only_here.py").write_text("def found():\n    return 'it'\n", encoding="utf-8")
    path = [str(tmp_path), *sys.path]
    monkeypatch.setattr(sys, "path", [*path, tmp_path])  # No import looks at the last one.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    with Worker(QUICK, warm=()) as worker:
        found = worker.call("misbehaviour:about")

        assert worker.call("only_here:found") == "it"
    assert found["path"] == path
    assert found["environment"]["CUDA_VISIBLE_DEVICES"] == "7"
    assert found["environment"]["OPENBLAS_NUM_THREADS"] == "3"
    assert found["environment"]["ORT_DISABLE_TELEMETRY"] == "1"


def test_numpy_starts_no_threads_there_unless_the_user_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They cost time to start, and nothing there multiplies matrices."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)

    assert call("about")["environment"]["OPENBLAS_NUM_THREADS"] == "1"


def test_what_is_printed_while_it_starts_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A site may greet each interpreter; the answers begin behind that."""
    (tmp_path / "sitecustomize.py").write_text("print('hello', flush=True)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), os.pathsep)

    assert call("echo", 1) == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="commands of Unix")
@pytest.mark.parametrize("executable", [None, "", "/no/such/python", "/", "/bin/true", "/bin/sh\0"])
def test_without_an_interpreter_the_caller_learns_so(
    monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    """A program that embeds Python may have none."""
    monkeypatch.setattr(sys, "executable", executable)

    found = failure("echo")

    assert found.kind == "start"
    assert found.reason.startswith("no process can be started for it (")


def test_a_frozen_program_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called its executable is the user's program."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert failure("echo").kind == "start"


def test_a_process_that_cannot_import_us_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last that it says is the reason."""
    ours = {str(ROOT), str(TESTS)}
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ours])
    monkeypatch.setattr(process, "_options", lambda: ["-I", "-S"])  # No editable install either.

    assert "(ModuleNotFoundError: No module named 'folding')" in failure("echo").reason


@LINUX
def test_without_files_to_open_the_caller_learns_so() -> None:
    """A process needs pipes."""
    import resource  # noqa: PLC0415 - there is none on Windows

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files(), before[1]))
    try:
        found = failure("echo")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert (found.kind, "Too many open files" in found.reason) == ("start", True)


def test_without_a_thread_the_caller_learns_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread needs memory."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    found = failure("echo")

    assert found.kind == "start"
    assert "can't start new thread" in found.reason


#: A user's program; it says what a worker of its own answers.
PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {tests!r}, *{more!r}]
from folding.equivalence.worker import Worker
from folding.equivalence.limits import RunLimits
{before}
with Worker(RunLimits(60), warm=()) as worker:
    found = worker.call("misbehaviour:about")
{after}
assert found["main"] is None, found["main"]
open({out!r}, "w").write(str(found["isolated"] * 10 + found["optimize"]))
"""


def program(tmp_path: Path, before: str = "", after: str = "", root: Path = ROOT) -> str:
    more = [entry for entry in sys.path if entry.endswith("-packages")]
    values = {"root": str(root), "tests": str(TESTS), "more": more, "out": str(tmp_path / "out")}
    return PROGRAM.format(before=before, after=after, **values)


def outcome(tmp_path: Path, *words: str, **options: Any) -> str:
    """What a user's program has written to its file."""
    subprocess.run([sys.executable, *words], check=True, timeout=60, **options)
    return (tmp_path / "out").read_text(encoding="ascii")


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "0"), (("-I",), "10"), (("-I", "-S", "-B"), "10"), (("-OO",), "2"), (("-E", "-s"), "0")],
)
def test_the_interpreter_s_options_are_those_of_the_caller(
    tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    """It imports what its caller can, runs nothing of the caller's program, and says so."""
    path = tmp_path / "program.py"
    path.write_text(program(tmp_path), encoding="utf-8")

    assert outcome(tmp_path, *options, str(path)) == expected


def test_a_program_in_a_zip_file_has_a_worker(tmp_path: Path) -> None:
    """This package may be in there as well."""
    path = tmp_path / "program.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("__main__.py", program(tmp_path, root=path))
        for source in (ROOT / "folding").rglob("*.py"):
            file.write(source, source.relative_to(ROOT))

    assert outcome(tmp_path, "-I", str(path)) == "10"


@pytest.mark.skipif(sys.platform == "win32", reason="keeps folders that are in use")
def test_a_folder_that_is_gone_stops_no_worker(tmp_path: Path) -> None:
    """The caller may stand in one that somebody has removed."""
    gone = tmp_path / "gone"
    gone.mkdir()

    text = program(tmp_path, "import os; os.rmdir(os.getcwd())")

    assert outcome(tmp_path, "-c", text, cwd=gone) == "0"


@pytest.mark.skipif(sys.platform == "win32", reason="as Unix does it")
def test_modules_in_the_folder_of_the_caller_are_not_taken_for_others(tmp_path: Path) -> None:
    """Who stands among a stranger's files runs none of them."""
    (tmp_path / "json.py").write_text("raise SystemExit", encoding="utf-8")
    text = program(tmp_path)

    assert outcome(tmp_path, "-P", "-c", text, cwd=tmp_path) == "0"


@pytest.mark.skipif(sys.platform == "win32", reason="as Unix does it")
def test_closed_streams_of_the_caller_stop_no_worker(tmp_path: Path) -> None:
    """Its pipes may get their numbers."""
    text = program(tmp_path, "import os; os.closerange(0, 3)")

    assert outcome(tmp_path, "-c", text) == "0"


@LINUX
def test_few_files_of_the_caller_are_enough(tmp_path: Path) -> None:
    """The process takes all that it is allowed."""
    before = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (16, 64))"

    assert outcome(tmp_path, "-c", program(tmp_path, before)) == "0"


@pytest.mark.skipif(sys.platform == "win32", reason="has no broken pipes")
def test_a_broken_pipe_does_not_end_a_caller_that_has_it_so(tmp_path: Path) -> None:
    """Many programs let the system end them when their reader is gone."""
    (tmp_path / "leaving.py").write_text("import os; os._exit(0)", encoding="utf-8")
    before = "import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)"
    after = f"""
sys.path.append({str(tmp_path)!r})
import time
worker = Worker(warm=("leaving",))
time.sleep(1)
try:
    worker.call("misbehaviour:echo", bytes(1 << 24))
except Exception as error:
    assert "exit code 0" in str(error), error
else:
    raise SystemExit("it answers")
"""

    assert outcome(tmp_path, "-c", program(tmp_path, before, after)) == "0"


# --- its end -------------------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize("name", ["echo", "fail", "crash", "close_all", "have_child"])
def test_nothing_is_left_of_a_worker(name: str) -> None:
    """No open file, no thread, no process, not even a dead one."""
    needed: dict[str, list[Any]] = {"fail": ["x"], "crash": [signal.SIGSEGV], "close_all": [60]}
    arguments = needed.get(name, [])
    call("echo")
    files, threads = open_files(), threading.active_count()
    with suppress(WorkerFailed):
        grandchild = call(name, *arguments)

    assert open_files() == files
    assert threading.active_count() == threads
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    assert not children.read_text(encoding="ascii")
    if name == "have_child":
        assert holds_within(1, lambda: not is_alive(grandchild))


@LINUX
def test_what_a_crashed_process_has_started_ends_too(tmp_path: Path) -> None:
    """Nobody else would end it."""
    path = tmp_path / "grandchild"
    failure("have_child_and_crash", str(path))

    assert holds_within(1, lambda: not is_alive(int(path.read_text(encoding="ascii"))))


def test_a_process_that_runs_is_ended_with_the_context() -> None:
    """An error of the caller's, or another interrupt, does not wait for it."""
    start = time.monotonic()
    with Worker(QUICK, warm=()) as worker, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(worker.call, "misbehaviour:loop")
        time.sleep(0.5)
        worker.close()

        assert isinstance(waiting.exception(), WorkerFailed)
    assert time.monotonic() - start < 30


@contextmanager
def started(script: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A caller in a session of its own, and the process that it has started."""
    text = f"import sys\nsys.path[:0] = {[str(ROOT), str(TESTS)]!r}\n{script}"
    caller = subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with caller:
        assert caller.stdout is not None
        try:
            yield caller, int(caller.stdout.readline())
        finally:
            caller.kill()


LOOPING = """
from folding.equivalence.worker import Worker
with Worker(warm=()) as worker:
    print(worker.call("misbehaviour:about")["pid"], flush=True)
    try:
        worker.call("misbehaviour:loop_alone")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@LINUX
def test_a_caller_that_is_killed_takes_the_process_along() -> None:
    """Within a second, even while a library keeps the interpreter to itself."""
    with started(LOOPING) as (caller, process):
        time.sleep(0.5)
        assert is_alive(process)

        caller.kill()
        caller.wait(10)

        assert holds_within(1, lambda: not is_alive(process))


@LINUX
def test_an_interrupt_of_the_caller_ends_the_process_at_once() -> None:
    """A terminal's Ctrl-C reaches the caller alone, which ends the process."""
    with started(LOOPING) as (caller, process):
        time.sleep(0.5)
        assert os.getpgid(process) != os.getpgid(caller.pid)
        start = time.monotonic()

        os.killpg(caller.pid, signal.SIGINT)
        said, _ = caller.communicate(timeout=10)

        assert said == "interrupted\n"
        assert caller.returncode == 0
        assert time.monotonic() - start < 5
        assert not is_alive(process)


@LINUX
def test_an_interrupted_call_has_ended_the_process(worker: Worker) -> None:
    """Before anything else the caller does, and nothing else can be asked."""
    process = worker.call("misbehaviour:about")["pid"]
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()

    with pytest.raises(KeyboardInterrupt):
        worker.call("misbehaviour:loop")

    assert holds_within(1, lambda: not is_alive(process))
    with pytest.raises(ValueError, match="closed"):
        worker.call("misbehaviour:echo")
    interrupt.join()


# --- threads -------------------------------------------------------------------------------------


def test_a_worker_outlives_the_thread_that_made_it() -> None:
    """The system ties a process to the thread that started it, which must not be the caller's."""
    made: list[Worker] = []
    maker = threading.Thread(target=lambda: made.append(Worker(QUICK, warm=())))
    maker.start()
    maker.join()
    with made[0] as worker:
        worker.call("misbehaviour:sleep", 0.5)

        assert worker.call("misbehaviour:echo", 1) == [1]


def test_several_workers_work_at_once() -> None:
    """A crash of one is none of the others."""
    limits = RunLimits(seconds=60, memory=1000 * MEGABYTE)
    with ThreadPoolExecutor(4) as pool:
        crashes = [pool.submit(failure, "abort", "", limits=limits) for _ in range(3)]
        answers = [pool.submit(call, "echo", number, limits=limits) for number in range(5)]

        assert [found.result() for found in answers] == [[number] for number in range(5)]
        assert {found.result().kind for found in crashes} == {"crash"}


def test_threads_that_share_a_worker_get_their_own_answers(worker: Worker) -> None:
    """One call waits for the other."""
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda number: worker.call("misbehaviour:echo", number), range(40))

        assert list(found) == [[number] for number in range(40)]
