"""What the routes for PyTorch share: programs, modules and archives, and how they become ONNX.

A ``torch.export`` program is translated operator by operator. Where there is none, or where that
fails, the calls of the module are traced. Neither fuses a normalisation.
"""
