"""``fold-model``, also as ``python -m folding``: guards even the loading of the command."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """The entry point of the command."""
    # Nothing here multiplies matrices: numpy's threads would only cost time and memory to start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A process of one job: looking for cycles among a big graph's objects takes longer than it.
    gc.disable()
    try:
        from folding import cli

        cli.main()
    except KeyboardInterrupt:
        print("fold-model: interrupted; nothing was written.", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.freeze()  # The interpreter would look for cycles once more before it ends.


if __name__ == "__main__":
    main()
