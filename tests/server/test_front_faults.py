"""What nobody expects: told to the log in full, to clients not at all, and it ends no server."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import json
import logging
import subprocess
import sys
from typing import Any

import grpc
import psutil
import pytest
from serving import wait_until
from wire import Refusal, refusal

from folding.errors import BadCall
from folding_server.interceptors import Front
from folding_server.logs import JsonLines
from folding_server.metrics import Metrics
from folding_server.serve import check_installed

SECRET = "the file /srv/spool/jobs/1 is mine"  # noqa: S105 - a text


async def _refusal_by(error: Exception) -> Refusal:
    async def fail(request: bytes, context: Any) -> bytes:
        raise error

    handler: Any = grpc.unary_unary_rpc_method_handler(fail)
    server = grpc.aio.server(interceptors=[Front(None, Metrics())])
    service = grpc.method_handlers_generic_handler("broken.Service", {"Call": handler})
    server.add_generic_rpc_handlers([service])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        return await asyncio.to_thread(_call, port)
    finally:
        await server.stop(0)


def _call(port: int) -> Refusal:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_unary("/broken.Service/Call")
        with pytest.raises(grpc.RpcError) as caught:
            method(b"", timeout=10)
    return refusal(caught.value)


def refusal_by(error: Exception) -> Refusal:
    return asyncio.run(_refusal_by(error))


def test_a_fault_of_the_server_tells_clients_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """They get the number of their call; the log has it with the trace."""
    found = refusal_by(RuntimeError(SECRET))

    (record,) = (r for r in caplog.records if r.exc_info)
    line = json.loads(JsonLines().format(record))
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "srv" not in f"{found.message} {found.hint}"
    assert line["request_id"] in found.message
    assert SECRET in line["trace"]


def test_a_full_disk_is_told_with_the_time_of_another_try() -> None:
    """Whatever met it."""
    found = refusal_by(OSError(errno.ENOSPC, "no space", "/srv/spool"))

    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
    assert found.retry_after == 60
    assert "srv" not in found.message


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "grpc" else there(name)
    )

    with pytest.raises(BadCall, match="needs 'grpc', which is not installed") as caught:
        check_installed()

    assert caught.value.hint == "Run pip install 'fold-model[server]'."


def test_nothing_that_may_be_missing_is_loaded_before_it_is_looked_for() -> None:
    """Up to then the service is no more than folding itself."""
    code = "import folding_server.serve, sys; print(sorted(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert not any(f"'{name}'" in found for name in ("grpc", "psutil", "prometheus_client", "onnx"))


def test_a_line_of_the_log_is_one_object() -> None:
    """Whatever is in it; long texts are cut."""
    message = "a\n\x1b[31m\u202e\udc80" + "b" * 10_000
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO"})
    record.fields = {"owner": "x" * 10_000, "sent": 5}

    text = JsonLines().format(record)

    assert text.isascii()
    assert text.isprintable()
    found = json.loads(text)
    assert (found["level"], len(found["owner"]), found["sent"]) == ("info", 200, 5)
    assert len(found["message"].encode()) == 4096


def test_a_server_that_does_not_end_is_killed() -> None:
    """With its processes, whatever its threads wait for."""
    code = (
        "import subprocess, sys, threading, time; from folding_server.watchdog import end_within;"
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True);"
        "threading.Thread(target=time.sleep, args=[60]).start(); end_within(0.2)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )

    assert found.returncode == 1
    assert "did not end within 0.2 seconds" in found.stderr
    left = int(found.stdout)
    wait_until(lambda: not psutil.pid_exists(left) or is_dead(left), 5)


def is_dead(number: int) -> bool:
    return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
