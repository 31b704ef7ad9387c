"""Claims about the exception that people see."""

import pytest

from genrepro.base.errors import GenreproError


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("caf\u00e9 \u4e2d \U0001f3b8", "caf\u00e9 \u4e2d \U0001f3b8"),
        ("a\nb\tc\x1b[31m", "a\\nb\\tc\\x1b[31m"),
        ("caf\udce9", "caf\\udce9"),  # Latin-1 on a disk, as Python reads it
        ("\u202egpj.exe", "\\u202egpj.exe"),  # a terminal would show it backwards
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
    ],
)
def test_a_message_is_one_line_that_every_terminal_prints(name: str, shown: str) -> None:
    message = str(GenreproError(f"{name} is missing."))
    assert message == f"{shown} is missing."
    assert len(message.splitlines()) == 1
    message.encode("utf-8")
