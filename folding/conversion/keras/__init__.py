"""Keras models to ONNX: what their files say, how they are loaded, and each backend's exporter.

The ``library`` that functions are given is the module ``keras``, or ``tf_keras`` for Keras 2.
"""
