"""Draw names in figures as users wrote them: without mathtext, and without boxes for missing letters.

Matplotlib brings one font for text. Characters that it lacks (Chinese, Japanese, Korean, emoji) are drawn in
a font of this machine that has them. Characters that no font has are written as escapes, such as ``\\u65e5``.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def literal(figure: "Figure") -> None:
    """Draw every text of a figure literally. If ticks have names, call `drawable` on these names too."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        content = text.get_text()
        text.set_parse_math(False)
        # Set families only if needed, so that the bytes of all other pictures do not change.
        if families := _families(frozenset(content) - {"\n"}):
            text.set_fontfamily([*text.get_fontfamily(), *families])
        if (changed := drawable(content)) != content:
            text.set_text(changed)


def drawable(content: str) -> str:
    """Replace characters that no font of this machine has by escapes. Line feeds stay."""
    return "".join(
        character if character == "\n" or _font_of(character) is not None else _escaped(character)
        for character in content
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _families(characters: frozenset[str]) -> list[str]:
    """Names of the fonts, other than matplotlib's own, that these characters need."""
    return sorted({name for character in characters if (name := _font_of(character))})


@cache
def _font_of(character: str) -> str | None:
    """Name of the font family that has a character. Empty: matplotlib's own font; None: no font has it."""
    from matplotlib import font_manager

    if ord(character) in _characters(font_manager.findfont(font_manager.FontProperties())):
        return ""
    for name, path in _installed():
        if ord(character) in _characters(path):
            return name
    return None


@cache
def _characters(path: str) -> frozenset[int]:
    """The code points that a font has. Empty for a font that matplotlib cannot draw with."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _installed() -> list[tuple[str, str]]:
    """Family and file of each upright font of normal weight that is installed on this machine.

    Fonts that come with matplotlib are left out: one of them has a box for every character.
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
