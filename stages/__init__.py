"""The stages of dvc.yaml: `python -m stages.<stage>` from the repository root.

Importing this package, before anything else is imported, puts the checkout's own ``src`` first on the path: a
queued experiment runs in a temporary clone and must run that clone's code even where another copy of
genrepro is installed. It also fixes instruction sets and thread counts, which must be known before numpy is
loaded.
"""

import os
import sys
from collections.abc import Callable

sys.path.insert(0, f"{os.getcwd()}/src")  # noqa: PTH109 - the working directory, whatever __file__ is

from genrepro.errors import GenreproError
from genrepro.numerics import pin

pin()


def run(main: Callable[[], None]) -> None:
    """Run a stage: what a user can mend ends it with one sentence and exit code 1."""
    try:
        main()
    except GenreproError as error:
        sys.exit(f"genrepro: {error}")
