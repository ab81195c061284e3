"""Running jobs: one small seam (``runner``), and what stands behind it here (``local``).

Runner: what a job is, and what may be asked of one that runs; no process, no gRPC.
Local: a queue, and a process for each job (``forkserver``), watched and killed whole (``watch``,
``tree``) in a folder of its own (``materials``, ``places``).
Child: what that process is (``confinement``), does (``work``) and tells (``outcome``); none of its
modules imports gRPC, and no module of the server's imports onnx. ``ending`` is what became of it.
"""
