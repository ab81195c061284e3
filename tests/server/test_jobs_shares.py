"""What one owner does to another one: next to nothing, however many jobs there are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from files import conv_net, save
from jobbing import bench, failure, removed, spec

from folding_server.errors import ServiceError
from folding_server.jobs import ending, local
from folding_server.jobs.local import LocalRunner
from folding_server.jobs.places import Places
from folding_server.jobs.runner import JobResult, JobSpec, Kind
from folding_server.store.faults import full


def test_owners_take_turns(tmp_path: Path) -> None:
    """Who comes after a hundred jobs of another one waits for one of them."""
    order: list[str] = []

    async def done(owner: str, runner: LocalRunner) -> None:
        await runner.submit(JobSpec(Kind.INFO, owner)).result()
        order.append(owner)

    async def run() -> None:
        async with bench(tmp_path, jobs=1) as made:
            owners = [*["greedy"] * 20, "modest", *["greedy"] * 5]
            await asyncio.gather(*(done(owner, made.runner) for owner in owners))

    asyncio.run(run())
    assert order.index("modest") <= 2
    assert len(order) == 26


def test_a_full_queue_has_room_for_who_has_little_in_it(tmp_path: Path) -> None:
    """The last job of whoever has most gives way, and may come again later."""

    async def run() -> None:
        async with bench(tmp_path, jobs=1, queue=3) as made:
            greedy, modest = JobSpec(Kind.INFO, "greedy"), JobSpec(Kind.INFO, "modest")
            jobs = [made.runner.submit(greedy) for _ in range(4)]
            first = made.runner.submit(modest)
            assert made.runner.waiting == 3
            for owner in (greedy, modest):
                with pytest.raises(ServiceError, match="are waiting already") as caught:
                    made.runner.submit(owner)
                assert caught.value.reason == "QUEUE_FULL"
            error = await failure(jobs.pop())
            assert (error.reason, bool(error.retry_after)) == ("QUEUE_FULL", True)
            await asyncio.gather(*(job.result() for job in (*jobs, first)))

    asyncio.run(run())


@pytest.mark.parametrize("times", [1, 2])
def test_a_job_without_room_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """When what is only kept for later calls has made room for it."""
    source, left, made_room = save(conv_net(), tmp_path / "net.onnx"), [times], list[int]()

    def result_of(places: Places, code: int) -> JobResult:
        left[0] -= 1
        if left[0] >= 0:
            raise full()
        return ending.result_of(places, code)

    def make_room(most: int) -> bool:
        made_room.append(most)
        return True

    monkeypatch.setattr(local, "result_of", result_of)

    async def run() -> None:
        async with bench(tmp_path) as made:
            monkeypatch.setattr(made.shelf, "make_room", make_room)
            job = made.runner.submit(spec(Kind.EXPLAIN, made.shelf.model(source)))
            if times == 1:
                assert (await removed(job)).files
            else:
                assert (await failure(job)).reason == "STORAGE_FULL"

    asyncio.run(run())
    assert len(made_room) == 1
    assert made_room[0] > source.stat().st_size
