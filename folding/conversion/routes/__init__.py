"""One module for each way from a framework to ONNX: ``run(job)`` answers with a ``Product``.

Frameworks are imported inside of functions only: none may be imported before the environment is
set that decides how it behaves, and none that is not needed.
"""
