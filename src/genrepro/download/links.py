"""The sound behind links, by yt-dlp's Python interface: videos, podcasts, pages with players, plain files.

What a link gave is kept in ``<cache>/web/<hash of the link>/`` and not asked for again. A broken download
goes on where it ended. ``GENREPRO_WEB_WORKERS`` links are fetched at once (4); ``GENREPRO_WEB_PAUSE`` seconds
lie between two requests to one host (1.0), whoever makes them. Neither can change what is downloaded.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.base.places import cache_folder
from genrepro.download import disk, http, playlists
from genrepro.download.partials import read_record

_DEEPEST = 8  # steps from a link to a sound: a channel, its tabs, their playlists, and a few redirects


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One sound that a link led to, or why it did not."""

    title: str | None = None
    """As its page calls it."""
    path: Path | None = None
    """The file in the cache; None: it is gone."""
    reason: str | None = None
    """Why it is gone: one of a few words, then a colon and details where there are some."""


def fetch(links: Iterable[str]) -> dict[str, list[Found]]:
    """What each link leads to: one sound, or all of a playlist, in its order.

    Raises
    ------
    GenreproError
        If an environment variable makes no sense, or the cache is full or cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    wanted = list(dict.fromkeys(links))
    num_workers = max(1, round(_number("GENREPRO_WEB_WORKERS", 4)))
    pace = _Pace(_number("GENREPRO_WEB_PAUSE", 1.0))
    with ThreadPoolExecutor(num_workers) as pool:
        found = pool.map(lambda link: _fetch(link, pace), wanted)
        try:
            return dict(zip(wanted, tqdm(found, total=len(wanted), desc="links", disable=None), strict=True))
        except BaseException:  # Ctrl-C too: those that wait for their turn need not begin
            pool.shutdown(cancel_futures=True)
            raise


class _Pace:
    """Seconds between two requests to one host, over all threads."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, url: str) -> None:
        host, now = urlsplit(url).netloc, time.monotonic()
        with self._lock:
            turn = max(now, self._next.get(host, now))
            self._next[host] = turn + self._pause
        time.sleep(turn - now)


def _fetch(link: str, pace: _Pace) -> list[Found]:
    from filelock import FileLock

    folder = cache_folder().absolute() / "web" / hashlib.sha256(link.encode()).hexdigest()[:40]
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire()  # one process of those that share the cache
    try:
        if kept := _kept(folder):
            return kept
        found = list(_download(link, folder, pace))
        if all(one.path for one in found):
            with disk.writing(folder):
                entries = [{"file": one.path.name, "title": one.title} for one in found if one.path]
                files.write_json(folder / "found.json", {"entries": entries})
        return found
    finally:
        lock.release()


def _kept(folder: Path) -> list[Found]:
    """What an earlier call found, if all of it is still there."""
    entries = read_record(folder / "found.json").get("entries") or []
    found = [Found(title=entry["title"], path=folder / entry["file"]) for entry in entries]
    return found if all(one.path and one.path.is_file() for one in found) else []


def _download(link: str, folder: Path, pace: _Pace) -> Iterator[Found]:
    import yt_dlp

    with _downloader(folder, pace) as downloader:
        for number, entry in enumerate(_entries({"_type": "url", "url": link}, downloader), start=1):
            if isinstance(entry, Found):
                yield entry
                continue
            # Below "paths": yt-dlp shortens what stands here, and would cut a long path of the cache.
            downloader.params["outtmpl"]["default"] = f"{number:04d}-%(playlist_autonumber|0)s-%(id)s.%(ext)s"
            try:
                info = _patiently(
                    lambda entry=entry: downloader.process_ie_result(dict(entry), download=True)
                )
            except yt_dlp.utils.YoutubeDLError as error:
                if not disk.free(folder):
                    raise GenreproError(
                        f"{folder} is full: free some space; $GENREPRO_CACHE can move it to another disk."
                    ) from error
                yield Found(title=entry.get("title"), reason=_reason(error))
            else:
                yield from _results(info)


def _entries(
    info: dict[str, Any], downloader: Any, depth: int = 0, seen: set[str] | None = None
) -> Iterator[dict[str, Any] | Found]:
    """What lies behind a result of yt-dlp's, one by one: a feed of pages, a playlist of playlists.

    By hand, because yt-dlp itself gives a playlist up at the first entry that is gone. ``seen`` has the lists
    of links that were opened: two may name one another.
    """
    import yt_dlp

    seen = set() if seen is None else seen
    try:
        if info.get("_type") in ("url", "url_transparent") and depth < _DEEPEST:
            found = _opened(info, downloader, seen)
            if info["_type"] == "url_transparent" and "entries" not in found and info.get("title"):
                found["title"] = info["title"]  # the feed knows better than the file that it leads to
            yield from _entries(found, downloader, depth + 1, seen)
        elif info.get("_type") in ("playlist", "multi_video"):
            entries = list(info["entries"])
            for entry in entries:
                yield from _entries(entry, downloader, depth + 1, seen)
            if not entries:
                yield Found(title=info.get("title"), reason="no audio there")
        else:
            yield info
    except yt_dlp.utils.YoutubeDLError as error:
        yield Found(title=info.get("title"), reason=_reason(error))


def _opened(info: dict[str, Any], downloader: Any, seen: set[str]) -> dict[str, Any]:
    """What yt-dlp finds at a link; where that is no sound, the links to sounds that stand there plainly."""
    import yt_dlp

    extract = partial(
        downloader.extract_info, info["url"], ie_key=info.get("ie_key"), download=False, process=False
    )
    unsupported = None
    try:
        found = _patiently(extract)
    except yt_dlp.utils.YoutubeDLError as error:
        # yt-dlp takes a list for a stream, and then misses the first line that a stream has.
        if not isinstance(_told(error), yt_dlp.utils.UnsupportedError) and "no m3u header" not in str(error):
            raise
        unsupported = error
    if unsupported or _may_be_list(found, info["url"]):
        if info["url"] in seen:
            return {"_type": "playlist", "entries": []}
        seen.add(info["url"])
        response = _patiently(lambda: downloader.urlopen(info["url"]))
        content, kind = response.read(playlists.LONGEST), response.headers.get("Content-Type") or ""
        if songs := playlists.songs(content, url=response.url, kind=kind):
            entries = [{"_type": "url_transparent", "url": url, "title": title} for url, title in songs]
            return {"_type": "playlist", "entries": entries}
    if unsupported:
        raise unsupported
    return found


def _may_be_list(found: dict[str, Any], url: str) -> bool:
    """Whether yt-dlp took a list of songs for a stream in pieces, or for a sound."""
    if found.get("extractor_key") != "Generic" or found.get("_type", "video") != "video":
        return False
    formats = found.get("formats")
    if formats is not None and all(str(each.get("protocol")).startswith("m3u8") for each in formats):
        return True
    named = urlsplit(url).path.lower().endswith((".m3u", ".m3u8", ".pls"))
    return named or any(str(each.get("format_id")).endswith("scpls") for each in formats or ())


def _results(info: dict[str, Any] | None) -> Iterator[Found]:
    """What was downloaded of an entry, which may be a playlist again."""
    if info and info.get("entries") is not None:
        for entry in info["entries"]:
            yield from _results(entry)
        return
    downloads = (info or {}).get("requested_downloads") or []
    title = (info or {}).get("title")
    if not downloads or not Path(downloads[0]["filepath"]).is_file():
        yield Found(title=title, reason="a live stream" if (info or {}).get("is_live") else "no audio there")
        return
    yield Found(title=title, path=Path(downloads[0]["filepath"]))


def _patiently(act: Any) -> Any:
    """The result of ``act``, tried again as long as what is wrong may be gone a moment later."""
    import yt_dlp

    for failures in range(http.ATTEMPTS):
        try:
            return act()
        except yt_dlp.utils.YoutubeDLError as error:
            if failures + 1 == http.ATTEMPTS or not _may_pass(_cause(error)):
                raise
        time.sleep(http.pause(failures))
    raise AssertionError("the last attempt raises or returns")


def _downloader(folder: Path, pace: _Pace) -> Any:
    import yt_dlp

    class Paced(yt_dlp.YoutubeDL):
        def urlopen(self, req: Any) -> Any:
            pace.wait(req if isinstance(req, str) else req.url)
            return super().urlopen(req)

    def pause(n: int) -> float:
        return http.pause(n)

    return Paced(
        {
            "paths": {"home": str(folder)},
            "format": "bestaudio/best",  # where a site has no sound alone, the film's file is kept
            "noplaylist": True,  # of a link to a video in a playlist: the video
            "match_filter": yt_dlp.utils.match_filter_func("!is_live"),  # a live stream never ends
            "continuedl": True,
            "retries": http.ATTEMPTS,
            "fragment_retries": http.ATTEMPTS,
            "retry_sleep_functions": {"http": pause, "fragment": pause},
            "socket_timeout": http.READ_TIMEOUT,
            "skip_unavailable_fragments": False,
            "fixup": "never",  # by the program ffmpeg, which may not be there
            "restrictfilenames": True,
            "trim_file_name": 120,
            "updatetime": False,
            "cachedir": False,
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "logger": _Silent(),
        }
    )


class _Silent:
    """yt-dlp's own lines: what matters of them comes as an exception."""

    def debug(self, message: str) -> None: ...

    info = warning = error = debug


def _told(error: BaseException) -> BaseException:
    """What yt-dlp wrapped in a DownloadError."""
    return (getattr(error, "exc_info", None) or (None, None, None))[1] or error


def _cause(error: BaseException) -> BaseException:
    """What that was raised for."""
    told = _told(error)
    return getattr(told, "cause", None) or told


def _may_pass(cause: BaseException) -> bool:
    from yt_dlp.networking.exceptions import HTTPError, TransportError

    if isinstance(cause, HTTPError):
        return cause.status in http.AGAIN
    return isinstance(cause, TransportError | OSError) or type(cause).__module__.startswith("urllib3")


def _reason(error: BaseException) -> str:
    import yt_dlp
    from urllib3 import exceptions
    from yt_dlp.networking.exceptions import HTTPError

    told, cause = _told(error), _cause(error)
    if isinstance(cause, HTTPError):
        return f"HTTP {cause.status}"
    words = {
        exceptions.NameResolutionError: "host not found",
        exceptions.NewConnectionError: "no connection",
        exceptions.TimeoutError: "no answer",
        TimeoutError: "no answer",
        exceptions.HTTPError: "connection broken",
        OSError: "connection broken",
        yt_dlp.utils.UnsupportedError: "no audio there",
        yt_dlp.utils.GeoRestrictedError: "not in this country",
    }
    for kind, text in words.items():
        if isinstance(cause, kind) or isinstance(told, kind):
            return text
    said = " ".join(str(getattr(told, "orig_msg", None) or told).split()).removeprefix("ERROR: ")
    if status := re.search(
        r"HTTP Error (\d{3})", said
    ):  # of a download that was given up: only words are left
        return f"HTTP {status[1]}"
    return "connection broken" if "Got error:" in said else f"unavailable: {said[:200]}"


def _number(name: str, default: float) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise GenreproError(f"{name} = {text!r} must be a number from 0 on.")
    return value
