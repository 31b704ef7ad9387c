"""Links to sounds in what yt-dlp finds no sound in: playlists (M3U, PLS) and pages of plain links.

An M3U of whole songs is no stream: yt-dlp would take it for one, whose pieces are one sound.
"""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from genrepro.base.errors import one_line

LONGEST = 4_000_000  # bytes of a list or page that are read

# Of files on the web; the server may still send something else.
_SOUNDS = (
    ".aac", ".aif", ".aiff", ".ape", ".au", ".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".oga", ".ogg",
    ".opus", ".spx", ".tta", ".wav", ".wma", ".wv",
)  # fmt: skip


def songs(content: bytes, *, url: str, kind: str) -> list[tuple[str, str | None]]:
    """The links of a playlist, or those of a page that lead to sounds, with their titles, each once.

    Parameters
    ----------
    content : bytes
    url : str
        Where it lies: relative links start there.
    kind : str
        Its Content-Type.

    Returns
    -------
    list of (str, str or None)
        Empty if it is something else, such as a stream in pieces (HLS, RFC 8216) or words.
    """
    text = content[:LONGEST].decode("utf-8-sig", "replace")
    kind = kind.partition(";")[0].strip().lower()
    suffix = urlsplit(url).path.lower().rpartition(".")[2]
    if "#EXT-X-" in text:
        return []
    if text.lstrip().lower().startswith("[playlist]"):
        found = _of_pls(text)
    elif text.startswith("#EXTM3U") or "mpegurl" in kind or suffix in ("m3u", "m3u8"):
        found = _of_m3u(text)
    elif "html" in kind or re.search(r"<(a|html)\b", text[:4096], re.IGNORECASE):
        page = _Links()
        page.feed(text)
        page.close()
        url = urljoin(url, page.base)
        found = [
            (link, title)
            for link, title in page.found
            if _absolute(url, link) and urlsplit(urljoin(url, link)).path.lower().endswith(_SOUNDS)
        ]
    else:
        return []
    titles: dict[str, str | None] = {}
    for link, title in found:
        if (absolute := _absolute(url, link)) is not None:
            titles.setdefault(absolute, one_line(title.strip()) or None)
    return list(titles.items())


def _absolute(base: str, link: str) -> str | None:
    try:
        url = urljoin(base, link.strip())
        return url if urlsplit(url).scheme in ("http", "https") and urlsplit(url).netloc else None
    except ValueError:  # such as an address in brackets that is none
        return None


def _of_m3u(text: str) -> list[tuple[str, str]]:
    found, title = [], ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("#EXTINF:"):
            title = line.partition(",")[2]
        elif line and not line.startswith("#"):
            found.append((line, title))
            title = ""
    return found


def _of_pls(text: str) -> list[tuple[str, str]]:
    entries = dict(re.findall(r"^\s*((?:File|Title)\d+)\s*=\s*(.*?)\s*$", text, re.MULTILINE | re.IGNORECASE))
    entries = {key.lower(): value for key, value in entries.items()}
    files = sorted((int(key[4:]), value) for key, value in entries.items() if key.startswith("file"))
    return [(link, entries.get(f"title{number}", "")) for number, link in files]


class _Links(HTMLParser):
    """A page's links in their order, with the text in each."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.found: list[tuple[str, str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href")
        if tag == "base" and link and not self.base:
            self.base = link
        if tag == "a" and link:
            self.found.append((link, ""))
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._inside:
            link, title = self.found[-1]
            self.found[-1] = (link, f"{title}{data}")
