"""Is the folded model the same function? Proof from the files, and a run as an alarm.

``gate`` asks all checks. The proof needs no input and no run: ``frame`` (outside of the folded
places nothing differs) and ``parameters`` (every folded number is the exact one, rounded once), or
for a candidate that another tool made ``foreign``; ``sameness`` where the source was prepared
before. The runs would notice what the proof had missed: ``site_check`` (each folded place beside
the one it replaced) and ``outputs`` (both models end to end). They happen in a process of its own:
``worker`` is the caller's side of it, ``child`` its own, and ``runs`` what it does.
"""
