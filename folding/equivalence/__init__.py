"""Is the folded model the same function? Proof from the files, and a run as an alarm.

The first two checks are the gate: ``frame`` (outside of the folded places nothing differs) and
``parameters`` (every folded number is the exact one, rounded once). They need no input and no run.
``outputs`` runs both models and would notice what both had missed.
"""
