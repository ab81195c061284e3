"""The wheel: what is in it, what it says of itself, and that nothing else gets installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy, so that no build leaves anything in the checkout."""
    work = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "models", "*.npz", "dist")
    shutil.copytree(ROOT, work / "source", ignore=skip)
    words = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(work / "dist")]
    subprocess.run(
        [sys.executable, *words, str(work / "source")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (path,) = (work / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_its_top_level_is_the_two_packages_and_its_metadata(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}

    packages = {name for name in top if not name.endswith(".dist-info")}
    assert packages == {"folding", "folding_server"}
    assert len(top) == 3


@pytest.mark.parametrize("name", ["__init__.py", "py.typed", "report.schema.json", "cli.py"])
def test_it_has_what_the_package_needs(wheel: zipfile.ZipFile, name: str) -> None:
    assert f"folding/{name}" in wheel.namelist()


@pytest.mark.parametrize("package", ["folding", "server/folding_server"])
def test_it_has_every_file_of_the_package(wheel: zipfile.ZipFile, package: str) -> None:
    folder = ROOT / package
    sources = {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if name.startswith(f"{folder.name}/")}

    assert packed == sources


def test_it_installs_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))

    assert "fold-model = folding.__main__:main" in wheel.read(name).decode()


def test_it_says_what_it_is(wheel: zipfile.ZipFile, metadata: Message) -> None:
    versions: dict[str, str] = {}
    exec(wheel.read("folding/_version.py"), versions)  # noqa: S102 - our own file

    assert metadata["Name"] == "fold-model"
    assert metadata["Version"] == versions["__version__"]
    assert metadata["License-Expression"] == "Apache-2.0"


def test_it_has_the_licence(wheel: zipfile.ZipFile) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_it_runs_from_the_wheel_alone(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code = "import folding, sys; print(folding.__file__); import folding.cli"

    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert found.stdout.startswith(str(tmp_path))


@pytest.mark.parametrize("name", ["tests", "models", "proto", "server"])
def test_nothing_else_of_the_checkout_can_be_imported(tmp_path: Path, name: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        env={},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert found.returncode == 1
