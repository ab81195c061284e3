"""What the server keeps on disk: files on their way, files of clients, results.

    <spool>/lock                             one server at a time
            uploads/<random>                 what arrives, and what is about to go
            blobs/<owner>/<sha256>           whole files; each owner has its own
            jobs/<random>/                   the private folders of jobs
            results/<key>/outcome.json       answers to be given again,
                          files/             and their files

Everything is made under uploads and renamed into its place, so that a process that is killed leaves
nothing half-made in sight: the next server empties uploads and jobs before anything else.
"""

from folding_server.store.blobs import Blobs
from folding_server.store.results import Results
from folding_server.store.spool import Spool
from folding_server.store.uploads import Upload

__all__ = ["Blobs", "Results", "Spool", "Upload"]
