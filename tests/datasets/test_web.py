"""Claims about music from the web: yt-dlp's generic extractor fetches it from a server on this machine."""

import io
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.builders import make_params
from support.layouts import make_audio
from support.server import Fault, Server

from genrepro import catalog
from genrepro.base.errors import GenreproError
from genrepro.datasets import IDENTITY, web
from genrepro.download import disk, http, links

WAV = make_audio(seed=0, duration=1.0)
MP3 = make_audio(seed=1, duration=0.5, kind="MP3")
DEAD = "http://127.0.0.1:9/song.mp3"  # the discard port: nobody listens


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENREPRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GENREPRO_WEB_PAUSE", "0")
    monkeypatch.setattr(http, "BACKOFF", 0.001)
    return tmp_path / "cache"


def write(path: Path, *rows: str, header: str = "url,genre,artist,title,start,end") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def acquire(source: Path | str, raw: Path) -> pd.DataFrame:
    raw.mkdir()
    web.acquire(params=make_params(dataset="web", source=str(source)), raw=raw)
    return web.read_catalog(raw)


def test_files_are_kept_as_the_site_sent_them(server: Server, tmp_path: Path) -> None:
    songs = {server.serve("/a.wav", WAV): WAV, server.serve("/b.mp3", MP3): MP3}
    one, two = songs
    table = write(tmp_path / "links.csv", f"{one},rock,Ann,Song", f"{two},1970,,")
    found = acquire(table, tmp_path / "raw")
    assert tuple(found.columns) == IDENTITY
    assert [(tmp_path / "raw" / path).read_bytes() for path in found["path"]] == [WAV, MP3]
    assert found["genre"].tolist() == ["rock", "1970"]
    assert found["artist"].tolist() == ["Ann", None]
    assert found["title"].tolist() == ["Song", "b"]  # what the page calls it, where the table does not say
    assert found["fault"].isna().all()
    built = catalog.build(found, tmp_path / "raw", num_workers=1)
    assert sorted(built["sample_rate"].to_pylist()) == [22050, 44100]


def test_what_is_gone_keeps_its_row_and_is_counted_by_reason(server: Server, tmp_path: Path) -> None:
    server.always["/moved"] = Fault(status=302, headers={"Location": server.serve("/a.wav", WAV)})
    server.always["/busy.mp3"] = Fault(status=503)
    server.serve("/page.html", b"<html><body>words, no music</body></html>")
    urls = [server.url(path) for path in ("/moved", "/gone.mp3", "/gone2.mp3", "/busy.mp3", "/page.html")]
    urls += [DEAD, "http://no-such-host.invalid/song.mp3"]
    found = acquire(write(tmp_path / "links.csv", *(f"{url},rock" for url in urls)), tmp_path / "raw")
    faults = [None, "HTTP 404", "HTTP 404", "HTTP 503", "no audio there", "no connection", "host not found"]
    assert found["fault"].tolist() == [fault and f"missing: {fault}" for fault in faults]
    counts = catalog.summary(found, catalog.build(found, tmp_path / "raw", num_workers=1))
    assert (counts["num_tracks"], counts["num_missing"]) == (7, 6)
    assert (counts["num_missing_http_404"], counts["num_missing_no_audio_there"]) == (2, 1)
    assert len(server.ranges("/gone.mp3")) == 1  # for good
    assert len(server.ranges("/busy.mp3")) == http.ATTEMPTS  # perhaps not


def test_a_full_disk_is_not_a_missing_song(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.serve("/a.wav", WAV)
    server.queue("/a.wav", Fault(), Fault(status=404))
    monkeypatch.setattr(disk, "MARGIN", 10**18)
    with pytest.raises(GenreproError, match="is full: free some space"):
        acquire(write(tmp_path / "links.csv", f"{url},rock"), tmp_path / "raw")


def test_nothing_at_all_is_one_sentence(server: Server, tmp_path: Path) -> None:
    table = write(tmp_path / "links.csv", f"{server.url('/x.mp3')},rock", f"{DEAD},rock")
    with pytest.raises(GenreproError, match=r"gives any audio: HTTP 404 \(1\), no connection \(1\)"):
        acquire(table, tmp_path / "raw")


@pytest.mark.parametrize("kind", ["page", "feed"])
def test_a_playlist_gives_a_track_for_each_sound(server: Server, tmp_path: Path, kind: str) -> None:
    one, two, gone = server.serve("/x/a.wav", WAV), server.serve("/y/a.mp3", MP3), server.url("/z/a.mp3")
    songs = [one, two, gone]
    if kind == "page":
        players = "".join(f'<audio controls><source src="{url}" type="audio/mpeg"></audio>' for url in songs)
        content = f"<html><head><title>Songs</title></head><body>{players}</body></html>"
    else:
        items = "".join(
            f'<item><title>{url[-7]}</title><enclosure url="{url}" type="audio/mpeg"/></item>'
            for url in songs
        )
        content = (
            f'<?xml version="1.0"?><rss version="2.0"><channel><title>Songs</title>{items}</channel></rss>'
        )
    table = write(tmp_path / "links.csv", f"{server.serve('/list', content.encode())},rock,Ann,Title")
    found = acquire(table, tmp_path / "raw")
    assert found["fault"].tolist() == [None, None, "missing: HTTP 404"]
    assert [(tmp_path / "raw" / path).read_bytes() for path in found["path"][:2]] == [WAV, MP3]
    assert found["artist"].tolist() == ["Ann"] * 3
    assert found["track_id"].is_unique and found["title"].is_unique


LISTS = {
    "m3u": ("/list.m3u", "audio/x-mpegurl", "x/a.wav\r\n# a remark\r\n\r\n{root}/y/b.mp3\r\nz/gone.mp3\r\n"),
    "extended m3u": (
        "/list.m3u8",
        "application/vnd.apple.mpegurl",
        "\ufeff#EXTM3U\n#EXTINF:1,Ann - One\nx/a.wav\n#EXTINF:1,Two\n/y/b.mp3\n#EXTINF:1,\nz/gone.mp3\n",
    ),
    "m3u that is plain text": ("/list", "text/plain", "#EXTM3U\nx/a.wav\n/y/b.mp3\nz/gone.mp3\n"),
    "pls": (
        "/list.pls",
        "audio/x-scpls",
        "[playlist]\nFile1=x/a.wav\nTitle1=Ann - One\nFile2={root}/y/b.mp3\nFile3=z/gone.mp3\nLength1=-1\n",
    ),
    "page of links": (
        "/music/",
        "text/html",
        "<html><head><title>Index of /music</title></head><body><a href='../'>up</a>"
        "<a href=../x/a.wav>One</a> <a href='{root}/y/b.mp3?x=1&amp;y=2'>Two</a><a href='/x/a.wav'>again</a>"
        "<A HREF='/z/gone.mp3'>Three</A><a href='/about.html'>words</a><a href='file:///etc/a.mp3'>no</a>"
        "<a href='javascript:a.mp3'>no</a></body></html>",
    ),
    "page with a base": (
        "/music.html",
        "text/html; charset=iso-8859-1",
        "<html><head><base href='{root}/x/'></head><body><a href='a.wav'>1</a><a href='../y/b.mp3'>2</a>"
        "<a href='../z/gone.mp3'>3</a></body></html>",
    ),
}


@pytest.mark.parametrize("form", LISTS)
def test_a_list_of_links_gives_a_track_for_each(server: Server, tmp_path: Path, form: str) -> None:
    server.serve("/x/a.wav", WAV)
    server.serve("/y/b.mp3", MP3)
    path, kind, content = LISTS[form]
    root = server.url("")
    content = content.replace("{root}", root)
    url = server.serve(path, b"")
    server.always[path] = Fault(body=content.encode(), headers={"Content-Type": kind})
    found = acquire(write(tmp_path / "links.csv", f"{url},rock,Ann"), tmp_path / "raw")
    assert found["fault"].tolist() == [None, None, "missing: HTTP 404"]
    assert [(tmp_path / "raw" / path).read_bytes() for path in found["path"][:2]] == [WAV, MP3]
    assert found["track_id"].is_unique
    assert not {asked.path for asked in server.asked} & {"/about.html", "/"}


def test_lists_that_name_one_another_end(server: Server, tmp_path: Path) -> None:
    song = server.serve("/a.wav", WAV)
    one = server.serve("/one.m3u", b"two.m3u\n")
    server.serve("/two.m3u", f"one.m3u\n{song}\n".encode())
    for path in ("/one.m3u", "/two.m3u"):
        server.always[path] = Fault(
            body=f"{'two' if path == '/one.m3u' else 'one'}.m3u\na.wav\n".encode(),
            headers={"Content-Type": "audio/x-mpegurl"},
        )
    found = acquire(write(tmp_path / "links.csv", f"{one},rock"), tmp_path / "raw")
    assert found["path"].notna().any() and len(found) < 40


def test_a_stream_in_pieces_is_no_list_of_songs(server: Server, tmp_path: Path) -> None:
    server.serve("/0.ts", WAV)
    content = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-VERSION:3\n#EXTINF:5,\n0.ts\n#EXT-X-ENDLIST\n"
    url = server.serve("/live.m3u8", b"")
    server.always["/live.m3u8"] = Fault(
        body=content.encode(), headers={"Content-Type": "application/vnd.apple.mpegurl"}
    )
    found = acquire(write(tmp_path / "links.csv", f"{url},rock"), tmp_path / "raw")
    assert len(found) == 1  # one sound, whatever yt-dlp makes of its pieces


def test_a_feed_of_pages_goes_to_the_end_of_each(server: Server, tmp_path: Path) -> None:
    song, gone = server.serve("/x/a.wav", WAV), server.url("/gone.wav")
    pages = {
        "/one": f"<html><title>one</title><audio src='{gone}'></audio><audio src='{song}'></audio></html>",
        "/two": f"<html><title>two</title><audio src='{server.serve('/b.mp3', MP3)}'></audio></html>",
    }
    links_to = [server.serve(path, page.encode()) for path, page in pages.items()] + [server.url("/three")]
    items = "".join(f"<item><title>t</title><link>{url}</link></item>" for url in links_to)
    feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>All</title>{items}</channel></rss>'
    table = write(tmp_path / "links.csv", f"{server.serve('/feed', feed.encode())},rock")
    found = acquire(table, tmp_path / "raw")
    assert found["fault"].tolist() == ["missing: HTTP 404", None, None, "missing: HTTP 404"]
    kept = found["path"].dropna()
    assert [(tmp_path / "raw" / path).read_bytes() for path in kept] == [WAV, MP3]


def test_pages_that_lead_to_one_another_end(server: Server, tmp_path: Path) -> None:
    for here, there in (("/a", "/b"), ("/b", "/a")):
        item = f"<item><title>t</title><link>{server.url(there)}</link></item>"
        feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>x</title>{item}</channel></rss>'
        server.serve(here, feed.encode())
    with pytest.raises(GenreproError, match="gives any audio"):
        acquire(write(tmp_path / "links.csv", f"{server.url('/a')},rock"), tmp_path / "raw")


def test_the_cache_is_asked_before_the_web(server: Server, tmp_path: Path) -> None:
    table = write(
        tmp_path / "links.csv", f"{server.serve('/a.wav', WAV)},rock", f"{server.url('/b.mp3')},rock"
    )
    first = acquire(table, tmp_path / "raw1")
    server.serve("/b.mp3", MP3)
    server.asked.clear()
    second = acquire(table, tmp_path / "raw2")
    assert {asked.path for asked in server.asked} == {"/b.mp3"}  # what was gone is asked for again
    assert first["fault"].notna().sum() == 1 and second["fault"].isna().all()


def test_a_broken_download_goes_on_where_it_ended_in_the_next_run_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [server.serve("/a.wav", WAV), server.serve("/b.wav", WAV)]
    table = write(tmp_path / "links.csv", *(f"{url},rock" for url in urls))
    monkeypatch.setattr(http, "ATTEMPTS", 2)
    for path in ("/a.wav", "/b.wav"):  # the first answer only tells what the link is
        server.queue(path, Fault(), Fault(drop_after=20_000))
    server.always["/b.wav"] = Fault(status=503)
    first = acquire(table, tmp_path / "raw1")
    assert first["fault"].tolist() == [None, "missing: HTTP 503"]
    del server.always["/b.wav"]
    second = acquire(table, tmp_path / "raw2")
    assert [(tmp_path / "raw2" / path).read_bytes() for path in second["path"]] == [WAV, WAV]
    for path in ("/a.wav", "/b.wav"):
        assert (server.ranges(path)[-1] or "").startswith("bytes=")


def test_a_part_is_cut_to_the_sample(server: Server, tmp_path: Path) -> None:
    url = server.serve("/a.wav", WAV)
    whole, rate = soundfile.read(io.BytesIO(WAV), dtype="int16")
    rows = (f"{url},rock,,,0.25,0.75", f"{url},rock,,,,0:00.5", f'{url},rock,,,"0,5",', f"{url},rock,,,5,9")
    found = acquire(write(tmp_path / "links.csv", *rows), tmp_path / "raw")
    spans = [(0.25, 0.75), (0, 0.5), (0.5, 1.0)]
    for path, (start, end) in zip(found["path"][:3], spans, strict=True):
        part, part_rate = soundfile.read(tmp_path / "raw" / path, dtype="int16")
        assert part_rate == rate
        np.testing.assert_array_equal(part, whole[round(start * rate) : round(end * rate)])
    assert found["fault"][3] == "missing: the sound ends before start"
    assert len(server.ranges("/a.wav")) == 2  # one link, whatever is cut of it


def test_a_part_of_what_is_not_music_is_undecodable(server: Server, tmp_path: Path) -> None:
    rows = f"{server.serve('/a.mp3', bytes(5000))},rock,,,0,1", f"{server.serve('/b.wav', WAV)},rock,,,,"
    server.always["/a.mp3"] = Fault(body=bytes(5000), headers={"Content-Type": "audio/mpeg"})
    found = acquire(write(tmp_path / "links.csv", *rows), tmp_path / "raw")
    assert found["fault"][0].startswith("undecodable: ")


def test_a_row_without_a_genre_is_counted_and_not_fetched(server: Server, tmp_path: Path) -> None:
    rows = f"{server.serve('/a.wav', WAV)},rock", f"{server.url('/b.wav')},"
    found = acquire(write(tmp_path / "links.csv", *rows), tmp_path / "raw")
    assert found["fault"].tolist() == [None, "no_genre"]
    assert not server.ranges("/b.wav")


def test_new_rows_do_not_rename_old_tracks(server: Server, tmp_path: Path) -> None:
    old, new = f"{server.serve('/a.wav', WAV)},rock", f"{server.serve('/b.mp3', MP3)},folk"
    one = acquire(write(tmp_path / "one.csv", old), tmp_path / "raw1")
    two = acquire(write(tmp_path / "two.csv", new, old), tmp_path / "raw2")
    assert one["track_id"][0] == two["track_id"][1]


def test_no_more_links_are_fetched_at_once_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def busy(link: str, pace: object) -> list[links.Found]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return [links.Found(reason="HTTP 404")]

    monkeypatch.setattr(links, "_fetch", busy)
    monkeypatch.setenv("GENREPRO_WEB_WORKERS", "3")
    links.fetch(f"http://host/{number}" for number in range(12))
    assert most == 3


def test_requests_to_one_host_keep_their_distance(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENREPRO_WEB_PAUSE", "0.2")
    urls = [server.serve(f"/{number}.wav", WAV) for number in range(3)]
    started = time.monotonic()
    links.fetch(urls)
    assert time.monotonic() - started >= 0.2 * (len(server.asked) - 1) >= 1.0


@pytest.mark.parametrize(("name", "value"), [("GENREPRO_WEB_PAUSE", "soon"), ("GENREPRO_WEB_WORKERS", "-1")])
def test_a_variable_without_sense_is_one_sentence(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(GenreproError, match=name):
        links.fetch([])


FORMS = {
    "commas": "Url,GENRE, artist \nhttp://a/b,rock,Zoë\n".encode(),
    "Excel's UTF-8": "\ufeffurl,genre,artist\r\nhttp://a/b,rock,Zoë\r\n".encode(),
    "Excel's semicolons": "\ufeffurl;genre;artist;start\r\nhttp://a/b;rock;Zoë;\r\n;;;\r\n".encode(),
    "Excel's Unicode text": "url\tgenre\tartist\r\nhttp://a/b\trock\tZoë\r\n".encode("utf-16"),
    "more columns": 'url,genre,artist,note\nhttp://a/b,rock,Zoë,"a, b\nc"\n'.encode(),
}


def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for form in FORMS:
        with subtests.test(form=form):
            (tmp_path / "links.csv").write_bytes(FORMS[form])
            (row,) = web.read_links(tmp_path / "links.csv")
            assert (row["url"], row["genre"], row["artist"], row["start"]) == (
                "http://a/b",
                "rock",
                "Zoë",
                None,
            )


def test_a_wrong_table_is_one_sentence(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for text, words in [
        ("", "it is empty"),
        ("url,genre\n", "names no genre"),
        ("url,artist\nhttp://a/b,Ann\n", "names no genre"),
        ("url,genre\n,rock\n", "line 2 has none"),
        (
            "link,genre\nhttp://a/b,rock\n",
            "needs a column `url` that is filled in every row; it has link, genre",
        ),
        ("url,genres\nhttp://a/b,rock\n", "a column 'genres', much like `genre`"),
        ("url,genre\na/b,rock\n", "url = 'a/b' must begin"),
        ("url,genre\nfile:///etc/passwd,rock\n", "must begin with http"),
        ("url,genre,start\nhttp://a/b,rock,soon\n", "http://a/b: start = 'soon' must be seconds"),
        (
            "url,genre,start,end\nhttp://a/b,rock,9,1:00\nhttp://a/b,rock,9,3\n",
            "http://a/b: end = 3 s must come",
        ),
        ("url,genre\nhttp://a/b,rock\nhttp://a/b,folk\n", "names http://a/b twice"),
        ('url,genre\nhttp://a/b,"rock\n', "cannot be read as a table"),
    ]:
        with subtests.test(text=text):
            (tmp_path / "links.csv").write_text(text, "utf-8")
            with pytest.raises(GenreproError) as caught:
                web.read_links(tmp_path / "links.csv")
            assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_and_no_source_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GenreproError, match="is a folder"):
        web.read_links(tmp_path)
    with pytest.raises(GenreproError, match="-S source="):
        web.acquire(params=make_params(dataset="web"), raw=tmp_path)
