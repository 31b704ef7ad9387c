"""Collections in exactly the layouts that people download: GTZAN's tar, FMA's two zips. Their music is made
up."""

import csv
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from genrepro.datasets.tables import gtzan
from support.builders import make_music

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(48)
BROKEN_WAV = b"RIFF\x24\x2f\x14\x00WAVEfmt " + bytes(4096)  # a header that promises a format and has none

FMA_GENRES = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")
# The 52 columns of FMA's tracks.csv, in its order.
_COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags "
    "title tracks type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id "
    "latitude location longitude members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres "
    "genres_all information interest language_code license listens lyricist number publisher tags title",
}
FMA_COLUMNS = [(group, name) for group, names in _COLUMNS.items() for name in names.split()]
# As the real ones: HTML, quotes, line feeds.
_BIO = '<p>A "trio", <b>born</b> in a cellar;\n\nstill there, they say.</p>'


def make_audio(*, seed: int, duration: float, kind: str = "WAV", num_channels: int = 1) -> bytes:
    """An audio file's bytes: WAV or AU at 22 050 Hz, MP3 at 44 100 Hz."""
    rate = 44100 if kind == "MP3" else 22050
    samples = make_music(duration=duration, sample_rate=rate, seed=seed, num_channels=num_channels)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind)
    return buffer.getvalue()


def gtzan_clips(*, per_side: int, duration: float, kind: str = "WAV") -> dict[str, bytes]:
    """Clips by ``<genre>/<file>``, each by another artist: so many of each side of the genre's lists."""
    table = gtzan.tracks().dropna(subset=["official_split"])
    table["artist"] = table["artist"].fillna(table["track_id"])
    alone = table.drop_duplicates(["genre", "artist"])
    chosen = alone.groupby(["genre", "official_split"]).head(per_side)
    return {
        f"{row.genre}/{row.track_id}.{kind.lower()}": make_audio(seed=row.Index, duration=duration, kind=kind)
        for row in chosen.itertuples()
    }


def write_gtzan_tar(
    path: Path, clips: dict[str, bytes], *, broken: str | None = "jazz/jazz.00054.wav"
) -> Path:
    """As Hugging Face serves it: ``genres/...`` in a tar.gz, each file with an AppleDouble twin, one clip
    broken."""
    members = {"genres/._.DS_Store": APPLE_DOUBLE}
    for name, data in clips.items():
        genre, _, file = name.partition("/")
        members[f"genres/{genre}/._{file}"] = APPLE_DOUBLE
        members[f"genres/{name}"] = data
    if broken:
        members[f"genres/{broken}"] = BROKEN_WAV
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for folder in ("genres", *(f"genres/{genre}" for genre in gtzan.GENRES)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def fma_row(
    number: int, *, genre: str | None, artist: str, subset: str = "small", split: str = "training"
) -> dict[str | tuple[str, str], object]:
    """One track as tracks.csv describes it, the long fields among the rest."""
    row: dict[str | tuple[str, str], object] = dict.fromkeys(FMA_COLUMNS)
    row.update(
        {
            "track_id": number,
            ("album", "id"): number // 3,
            ("album", "information"): _BIO,
            ("album", "title"): f"Album, {number // 3}",
            ("artist", "bio"): _BIO,
            ("artist", "id"): int(hashlib.sha256(artist.encode()).hexdigest()[:6], 16),
            ("artist", "name"): artist,
            ("set", "split"): split,
            ("set", "subset"): subset,
            ("track", "duration"): 168,
            ("track", "genre_top"): genre,
            ("track", "genres"): "[21]",
            ("track", "title"): 'A "title"\nover two lines',
        }
    )
    return row


def write_tracks_csv(file: io.TextIOBase, rows: Sequence[dict[str | tuple[str, str], object]]) -> None:
    """Two header rows, the row that names the index, then a row a track."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["", *(group for group, _ in FMA_COLUMNS)])
    writer.writerow(["", *(name for _, name in FMA_COLUMNS)])
    writer.writerow(["track_id", *("" for _ in FMA_COLUMNS)])
    for row in rows:
        writer.writerow([row["track_id"], *(row[column] for column in FMA_COLUMNS)])


def write_fma(
    folder: Path,
    rows: Sequence[dict[str | tuple[str, str], object]],
    clips: dict[int, bytes],
    *,
    subset: str = "small",
) -> tuple[Path, Path]:
    """``fma_metadata.zip`` and ``fma_<subset>.zip``, compressed with bzip2, with README and ``checksums``."""
    metadata, audio = folder / "fma_metadata.zip", folder / f"fma_{subset}.zip"
    text = io.StringIO()
    write_tracks_csv(text, rows)
    with zipfile.ZipFile(metadata, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("fma_metadata/README.txt", "made up")
        archive.writestr("fma_metadata/genres.csv", "genre_id,#tracks,parent,title,top_level\n")
        archive.writestr("fma_metadata/tracks.csv", text.getvalue())
    names = {f"{number:06d}"[:3] + f"/{number:06d}.mp3": data for number, data in sorted(clips.items())}
    with zipfile.ZipFile(audio, "w", zipfile.ZIP_BZIP2) as archive:
        lines = [f"{hashlib.sha1(data).hexdigest()}  {name}\n" for name, data in names.items()]
        archive.writestr(f"fma_{subset}/checksums", "".join(lines))
        archive.writestr(f"fma_{subset}/README.txt", "made up")
        for name, data in names.items():
            archive.writestr(f"fma_{subset}/{name}", data)
    return metadata, audio


def small_fma(
    *, per_genre: int, duration: float
) -> tuple[list[dict[str | tuple[str, str], object]], dict[int, bytes]]:
    """Rows and clips with everything that the real collection has.

    Per genre, tracks of small by artists of their own, official splits 6:1:1; then a short clip that FMA's
    users declared (98565) and an undeclared one (200), an empty one (133297), a track without a file (300),
    one without a genre (400, large), one of medium (500), and a file that no metadata describes (999).
    """
    rows, clips = [], {}
    for position, genre in enumerate(FMA_GENRES):
        for index in range(per_genre):
            number = 1000 * (position + 1) + index
            split = ("training", "validation", "training", "test")[index % 4]
            rows.append(fma_row(number, genre=genre, artist=f"{genre} {index}", split=split))
            clips[number] = make_audio(seed=number, duration=duration, kind="MP3", num_channels=2)
    for number, genre, subset in (
        (98565, "Rock", "small"),
        (200, "Rock", "small"),
        (133297, "Pop", "small"),
        (300, "Folk", "small"),
        (400, None, "large"),
        (500, "Rock", "medium"),
    ):
        rows.append(fma_row(number, genre=genre, artist=f"artist of {number}", subset=subset))
    for number, length in ((98565, 0.3), (200, 0.3), (400, duration), (500, duration), (999, duration)):
        clips[number] = make_audio(seed=number, duration=length, kind="MP3", num_channels=2)
    clips[133297] = b""
    return sorted(rows, key=lambda row: int(str(row["track_id"]))), clips
