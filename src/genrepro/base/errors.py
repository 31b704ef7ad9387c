"""The one exception that people see.

Its message is a sentence that says what is wrong, where, and what to do.
"""


class GenreproError(Exception):
    """Something that a user can mend: a parameter, a file, a source.

    Programming errors keep their own types.
    """
