"""``fold-model``, also as ``python -m folding``: guards even the loading of the command."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the command."""
    try:
        from folding import cli

        cli.main()
    except KeyboardInterrupt:
        print("fold-model: interrupted; nothing was written.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
