"""The one exception that people see.

Its message is a sentence that says what is wrong, where, and what to do.
"""

import re

# Control characters, separators of lines, and the surrogates that stand for bytes that are not UTF-8.
_NOT_FOR_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class GenreproError(Exception):
    """Something that a user can mend: a parameter, a file, a source.

    Programming errors keep their own types. Names of files may hold line feeds and bytes that are not UTF-8:
    the message spells those out, so that it is one line and every terminal can print it.
    """

    def __str__(self) -> str:
        return _NOT_FOR_A_LINE.sub(lambda match: ascii(match[0])[1:-1], super().__str__())
