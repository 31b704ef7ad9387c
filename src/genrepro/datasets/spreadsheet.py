"""A table that somebody made, in any of the forms in which spreadsheets save text.

UTF-8 with and without a byte order mark, UTF-16 (Excel's "Unicode text"), Windows' cp1252; separated by
commas, semicolons, tabs or bars; with Excel's line ``sep=;``; with empty rows and columns.
"""

import csv
import difflib
import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from genrepro.base.errors import GenreproError
from genrepro.exact.identity import name_key, text

_SEPARATORS = ",;\t|"
_log = logging.getLogger(__name__)


def read(path: Path, *, name: str, columns: Sequence[str]) -> list[dict[str, str | None]]:
    """The rows of a table with the wanted columns; a blank field is None, and so is a column that it lacks.

    Parameters
    ----------
    path : Path
    name : str
        Of the table, for errors.
    columns : sequence of str
        The first is required, and filled in every row. Case, spaces and underscores in a name do not matter.

    Raises
    ------
    GenreproError
        If it cannot be read, lacks the first column, has one twice, or one that looks misspelt: with the
        columns that it has.
    """
    separator, content = _separator(_decoded(path.read_bytes(), name=name), columns[0])
    rows = _rows(content, separator, name=name)
    if not rows:
        raise GenreproError(f"{name} cannot be read as a table: it is empty.")
    (_, header), *rows = rows
    found = _columns(header, columns, name=name)
    table = []
    for line, row in rows:
        if any(row[len(header) :]):
            raise GenreproError(
                f"{name} cannot be read as a table: line {line} has {len(row)} fields and not {len(header)}."
            )
        row += [None] * (len(header) - len(row))
        table.append({column: row[found[column]] if column in found else None for column in columns})
        if table[-1][columns[0]] is None:
            raise GenreproError(
                f"{name} needs a column `{columns[0]}` that is filled in every row; line {line} has none."
            )
    return table


def _rows(content: str, separator: str, *, name: str) -> list[tuple[int, list[str | None]]]:
    """Line number and fields of each row that is not blank."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, [text(field) for field in row]) for row in reader]
    except csv.Error as error:
        raise GenreproError(f"{name} cannot be read as a table: line {reader.line_num}: {error}.") from error
    return [(line, row) for line, row in rows if any(row)]


def _decoded(content: bytes, *, name: str) -> str:
    encodings = ["utf-8-sig", "cp1252"]
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif content[:200].count(0) > len(content[:200]) // 3:  # every other byte of English in UTF-16 is zero
        encodings = ["utf-16-le" if content[1:2] == b"\0" else "utf-16-be"]
    for encoding in encodings:
        try:
            decoded = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252":
            _log.warning("%s is not UTF-8: read as cp1252; save it as UTF-8 if names look wrong", name)
        if "\0" not in decoded:
            return decoded.replace("\r\n", "\n").replace("\r", "\n")
    raise GenreproError(f"{name} is not text in UTF-8, UTF-16 or cp1252: save it as CSV in UTF-8.")


def _separator(content: str, required: str) -> tuple[str, str]:
    """The character that separates the fields, and the table without Excel's line that names it."""
    if named := re.match(r'"?sep=(.)"?\n', content, re.IGNORECASE):
        return named[1], content[named.end() :]
    first = content.lstrip().partition("\n")[0]

    def fields(separator: str) -> list[str]:
        return [_plain(title) for title in next(csv.reader([first], delimiter=separator), [])]

    return max(_SEPARATORS, key=lambda each: (required in fields(each), len(fields(each)))), content


def _columns(header: Sequence[str | None], wanted: Sequence[str], *, name: str) -> dict[str, int]:
    """Where each wanted column stands."""
    known = {_plain(column): column for column in wanted}
    titles = [title for title in header if title]
    has = f"it has {', '.join(titles) or 'none'}"
    found: dict[str, int] = {}
    unused = []
    for position, title in enumerate(header):
        column = known.get(_plain(title or ""))
        if column is None:
            unused += [title] if title else []
        elif column in found:
            raise GenreproError(f"{name} has the column `{column}` twice ({has}): keep one.")
        else:
            found[column] = position
    if wanted[0] not in found:
        raise GenreproError(f"{name} needs a column `{wanted[0]}` that is filled in every row; {has}.")
    for title in unused:
        near = difflib.get_close_matches(_plain(title), set(known) - set(found), n=1, cutoff=0.75)
        if near:
            raise GenreproError(
                f"{name} has a column {title!r}, much like `{near[0]}`: write it so, or rename it; {has}."
            )
    if unused:
        _log.warning("%s: columns that are not used: %s", name, ", ".join(unused))
    return found


def _plain(title: str) -> str:
    """A column's name as it is compared."""
    return name_key(title).replace(" ", "").replace("_", "")
