"""One file for each kind of source, with ``run(job: Job) -> Product``.

Only these files import a framework, and only inside of their functions.
"""
