"""Frame and parameters for a candidate that another tool made: a match of values up to names."""

from folding.equivalence.foreign.check import check_foreign, lenient
from folding.equivalence.foreign.result import Different, Matched, NotEstablished

__all__ = ["Different", "Matched", "NotEstablished", "check_foreign", "lenient"]
