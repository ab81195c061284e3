"""``python -m folding_server``: the same as ``fold-model serve``."""

import sys

from folding.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "serve")
    main()
