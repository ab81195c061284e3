"""How far off a number of another tool may be, from which all other limits follow.

An expression of k operations is within ``k * u * A`` of its value to first order, where u is the
unit roundoff of its type and A is the same expression with absolute values and plus signs (Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1). A fold has fewer than eight.

So what a candidate computes beside may cost no more than that either. A term of size c that is
added to a value of size S, to be taken away again, costs ``u * c`` each time: together no more than
``8 * u * S`` if all such terms together are no larger than ``8 * S``. That is the same in every
type: u is all that differs.
"""

from __future__ import annotations

#: What a float32 tool that computes carefully never reaches: 3.3 was measured.
ROUNDINGS = 8.0
