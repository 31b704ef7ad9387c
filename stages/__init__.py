"""The stages of dvc.yaml: `python -m stages.<stage>` from the repository root.

Importing this package, before anything else is imported, puts the checkout's own ``src`` first on the path: a
queued experiment runs in a temporary clone and must run that clone's code even where another copy of
genrepro is installed. It also fixes instruction sets and thread counts, which must be known before numpy is
loaded.
"""

import errno
import os
import sys
from collections.abc import Callable

sys.path.insert(0, f"{os.getcwd()}/src")  # noqa: PTH109 - the working directory, whatever __file__ is

from genrepro.base import process
from genrepro.base.errors import GenreproError, print_any_name
from genrepro.exact.numerics import pin

pin()

# No room on the disk, in the user's share or in a file; a read-only disk; a file where a folder must be.
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


def run(main: Callable[[], None]) -> None:
    """Run a stage: what a user can mend ends it with one sentence and exit code 1."""
    print_any_name()
    try:
        main()
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        reason = os.strerror(error.errno).lower()
        sys.exit(
            f"genrepro: {error.filename or 'an output'} cannot be written, {reason}: mend that and run again."
        )
    process.leave()
