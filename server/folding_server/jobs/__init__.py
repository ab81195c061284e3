"""Running jobs: one small seam (``runner``), and what stands behind it here (``local``).

Runner: what a job is, and what may be asked of one that runs; no process, no gRPC.
Local: a process for each job, watched and killed whole. Child: what runs in that process.
"""
