"""Names that users gave, drawn as they are: no mathtext, and no box where the font has no letter.

Matplotlib brings one font for text. What it lacks (Chinese, Japanese, Korean, emoji) is drawn in whichever
font of this machine has it. What no font has is written as an escape, such as ``\\u65e5``.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def literal(figure: "Figure") -> None:
    """Make every text of a figure literal; for ticks that have names, use `drawable` too."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        content = text.get_text()
        text.set_parse_math(False)
        # Families are set only where needed: the bytes of all other pictures stay as they are.
        if families := _families(frozenset(content) - {"\n"}):
            text.set_fontfamily([*text.get_fontfamily(), *families])
        if (changed := drawable(content)) != content:
            text.set_text(changed)


def drawable(content: str) -> str:
    """``content`` with escapes in place of characters that no font here has; line feeds stay."""
    return "".join(
        character if character == "\n" or _font_of(character) is not None else _escaped(character)
        for character in content
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _families(characters: frozenset[str]) -> list[str]:
    """The fonts beside matplotlib's own that these characters need."""
    return sorted({name for character in characters if (name := _font_of(character))})


@cache
def _font_of(character: str) -> str | None:
    """The family that draws a character, empty for matplotlib's own; None if no font does."""
    from matplotlib import font_manager

    if ord(character) in _characters(font_manager.findfont(font_manager.FontProperties())):
        return ""
    for name, path in _installed():
        if ord(character) in _characters(path):
            return name
    return None


@cache
def _characters(path: str) -> frozenset[int]:
    """The code points that a font has; of one that matplotlib cannot draw with, none."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _installed() -> list[tuple[str, str]]:
    """Upright fonts of normal weight that are installed on this machine, by family and file.

    Matplotlib's own others are left out: one of them has a box for every character.
    """
    import matplotlib
    from matplotlib import font_manager

    own = Path(matplotlib.get_data_path())
    return sorted(
        (entry.name, entry.fname)
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal"
        and entry.weight in (400, "normal", "regular")
        and not Path(entry.fname).is_relative_to(own)
    )
