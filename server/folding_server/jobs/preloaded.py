"""What the fork server imports last, and nothing else does: it makes itself ready to fork jobs."""

from __future__ import annotations

import gc
import signal
import warnings

from folding_server.jobs.confinement import adopt_orphans

adopt_orphans()  # What jobs leave behind comes here, which is how it is found.
warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")
# Whoever asks the whole group to end asks the server, which waits for its jobs.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
gc.collect()
gc.freeze()  # No search for cycles in a job writes to memory that all jobs share.
