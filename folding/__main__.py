"""``python -m folding`` is ``fold-model``."""

from folding.cli import main

main()
