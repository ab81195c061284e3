"""The fold-model service: folds and verifies models for others, each job in a process of its own.

    fold-model serve --listen 127.0.0.1:50051
    folding_server.client.Client("127.0.0.1:50051").fold("model.onnx")

The front (``app``, ``service``) never imports onnx; what does runs in job processes (``jobs``).
"""
