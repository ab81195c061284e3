"""What frameworks save, as sound ONNX files: converted, checked against the framework, folded.

``converting.convert`` is the whole story. A route is one file of ``routes/``: it runs in a process
of its own, is given a ``Job`` and answers with a ``Product``.
"""
