"""The one exception that people see, and output that any file name can pass through.

Its message is a sentence that says what is wrong, where, and what to do.
"""

import io
import sys


class GenreproError(Exception):
    """Something that a user can mend: a parameter, a file, a source.

    Programming errors keep their own types.
    """


def print_any_name() -> None:
    """Print names of files that are not UTF-8, as old music libraries have them: ``caf\\udce9.wav``.

    Linux takes any bytes for a name. Python's output would end in an error at the first one that is no text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """``text`` as `print_any_name` would show it, for what must be valid Unicode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
