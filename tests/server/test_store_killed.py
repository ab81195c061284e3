"""A server that is killed at any moment leaves whole files and results, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import spool_killing


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What is in its place is whole after every kill, and what is not is gone at the next start."""
    words = [spool_killing.__file__, str(tmp_path / "spool"), "40", "6"]
    done = subprocess.run(
        [sys.executable, "-W", "error", *words], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    assert int(done.stdout) > 5, "the kills came while nothing was on its way"
