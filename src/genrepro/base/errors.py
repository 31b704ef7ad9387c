"""The one exception that people see, and output that any file name can pass through.

Its message is a sentence that says what is wrong, where, and what to do.
"""

import io
import re
import sys

# Control characters, separators of lines, what turns the direction of writing round, and the surrogates that
# stand for bytes that are not UTF-8.
_NOT_FOR_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class GenreproError(Exception):
    """Something that a user can mend: a parameter, a file, a source.

    Programming errors keep their own types. Names of files may hold line feeds and bytes that are not UTF-8:
    the message spells those out, so that it is one line and every terminal can print it.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """``text`` on one line that every terminal can print: control characters are spelled out, as ``\\x1b``.

    A file's name may hold them, and a terminal would obey: it would move the cursor, or change its title.
    """
    return _NOT_FOR_A_LINE.sub(lambda match: ascii(match[0])[1:-1], text)


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
