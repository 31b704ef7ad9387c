"""Claims about real data: pictures, clips and rows of the folder that GENREPRO_TEST_DATA names."""

import csv
from pathlib import Path
from typing import NamedTuple

import librosa
import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
from support.builders import make_params

from genrepro.audit import duplicates
from genrepro.audit import faults as audit
from genrepro.base import tables
from genrepro.catalog import tracks as catalog
from genrepro.datasets import fma, gtzan_images
from genrepro.render import write
from genrepro.spectrogram import audio, mel
from genrepro.spectrogram.pictures import read_png
from genrepro.split import strategies
from genrepro.split.proof import leaks

PAIRS = [
    "disco.00098", "hiphop.00039", "hiphop.00076", "metal.00034", "metal.00040", "metal.00041", "metal.00042",
    "metal.00043", "metal.00044", "metal.00045", "metal.00058", "pop.00054", "pop.00067", "reggae.00081",
]  # fmt: skip


class Collection(NamedTuple):
    """GTZAN's pictures, audited."""

    catalog: pd.DataFrame
    found: pd.DataFrame
    pairs: list[duplicates.Pair]


@pytest.fixture(scope="module")
def collection(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("gtzan_images")
    params = make_params(dataset="gtzan_images", source=str(real_data / "gtzan_images"))
    gtzan_images.acquire(params=params, raw=folder / "raw")
    table = catalog.build(gtzan_images.read_catalog(folder / "raw"), folder / "raw", num_workers=1)
    mel, levels = folder / "mel.parquet", folder / "levels.parquet"
    write.render(
        table, raw=folder / "raw", params=params.mel, mel_path=mel, levels_path=levels, num_workers=1
    )
    faults = [row["fault"] for row in tables.read_mels(mel) if row["fault"]]
    assert faults == ["missing"]
    assert {(row["num_frames"], row["num_mels"]) for row in tables.read_mels(mel) if not row["fault"]} == {
        (336, 218)
    }
    found = audit.findings(
        table, tables.read(levels, tables.LEVELS), tables.read_mels(mel), params=params.audit
    )
    pairs = duplicates.near_duplicates(
        mel, skip=frozenset(), min_similarity=params.audit.min_similarity, num_workers=1
    )
    return Collection(table.to_pandas().set_index("track_id"), found, pairs)


@pytest.fixture(scope="module")
def tracks(collection: Collection) -> pd.DataFrame:
    """Catalog and audit of all 1000 tracks, as the split stage joins them."""
    table = audit.audit(collection.found, collection.pairs, params=make_params().audit)
    identity = collection.catalog[["genre", "artist", "official_split"]].reset_index()
    return identity.merge(table.to_pandas(), on="track_id")


def test_the_fourteen_identical_pairs_are_found(collection: Collection) -> None:
    table = audit.audit(collection.found, [], params=make_params().audit).to_pandas()
    groups = table.dropna(subset=["duplicate_group"]).groupby("duplicate_group")
    assert [name for name, _ in groups] == PAIRS
    assert set(groups.size()) == {2}
    genre = collection.catalog["genre"]
    assert set(genre[groups.get_group("metal.00058")["track_id"]]) == {"metal", "rock"}


def test_an_octave_in_a_picture_is_an_octave_of_slaneys_mel_bands(real_data: Path) -> None:
    """Overtones repeat at the distance of an octave. Above 1 kHz it is everywhere 44 of 218 rows."""
    similarity = np.zeros(130)
    for path in sorted(real_data.glob("gtzan_images/*/*.png"))[::10]:
        rows = read_png(path).T[70:200]
        rows = rows - scipy.ndimage.uniform_filter1d(rows, 25, axis=0)
        spectrum = np.abs(np.fft.rfft(rows, 260, axis=0)) ** 2
        found = np.fft.irfft(spectrum.mean(1))[:130] / np.arange(130, 0, -1)
        similarity += found / found[0]
    low, high = librosa.hz_to_mel([4000, 8000])
    octave = 218 * (high - low) / librosa.hz_to_mel(11025)
    assert 30 + similarity[30:64].argmax() == round(octave)


def test_only_the_missing_picture_is_excluded(tracks: pd.DataFrame) -> None:
    assert tracks.loc[tracks["excluded"].notna(), "track_id"].tolist() == ["jazz.00054"]


def test_the_published_splits_have_their_sizes(tracks: pd.DataFrame, subtests: pytest.Subtests) -> None:
    for strategy, sizes, leaky in [("official", (442, 197, 290), 0), ("random", (800, 100, 99), 1)]:
        with subtests.test(strategy=strategy):
            params = make_params(split={"strategy": strategy}).split
            proof = leaks(strategies.assign(tracks, params=params, seed=0), tracks)
            assert (proof["num_train"], proof["num_validation"], proof["num_test"]) == sizes
            assert proof["leaky"] == leaky


def test_the_artist_split_of_real_artists_is_clean(tracks: pd.DataFrame) -> None:
    proof = leaks(strategies.assign(tracks, params=make_params().split, seed=0), tracks)
    assert proof["leaky"] == 0
    assert proof["num_test"] == pytest.approx(0.2 * 999, rel=0.15)


def test_near_duplicates_hold_the_identical_pairs_and_others_by_one_artist(collection: Collection) -> None:
    found = {(pair.first, pair.second): pair.similarity for pair in collection.pairs}
    sha256, artist = collection.catalog["sha256"], collection.catalog["artist"]
    identical = [pair for pair in found if sha256[pair[0]] == sha256[pair[1]]]
    assert [first for first, _ in identical] == PAIRS
    assert [found[pair] for pair in identical] == pytest.approx([1.0] * 14)
    # Every further pair is of one artist, which the fingerprint does not know (docs/DUPLICATES.md).
    further = found.keys() - set(identical)
    assert len(further) >= 30
    assert all(artist[first] == artist[second] is not None for first, second in further)


def test_no_recording_crosses_the_official_split_and_many_cross_a_random_one(tracks: pd.DataFrame) -> None:
    shared = {}
    for strategy in ("official", "random"):
        params = make_params(split={"strategy": strategy}).split
        split = strategies.assign(tracks, params=params, seed=0)
        shared[strategy] = leaks(split, tracks)["shared_duplicates"]
    assert shared["official"] == 0 < 10 < shared["random"]


REAL_CLIPS = [
    "147793__setuniman__sweet-waltz-0i-22mi.ogg",
    "442789__lena-orsa__happy-music-pistachio-ice-cream-ragtime.ogg",
    "Hungarian_Dance_number_5_-_Allegro_in_F_sharp_minor__string_orchestra_.ogg",
    "Karissa_Hobbs_-_Lets_Go_Fishin.ogg",
    "Kevin_MacLeod_-_Vibe_Ace.ogg",
    "admiralbob77_-_Choice_-_Drum-bass.ogg",
    "sorohanro_-_solo-trumpet-06.ogg",
]


def test_real_music_renders_as_librosa_renders_it(real_data: Path, subtests: pytest.Subtests) -> None:
    for name in REAL_CLIPS:
        with subtests.test(name=name):
            params = make_params().mel
            path = real_data / "audio" / name
            samples, _ = librosa.load(path, sr=params.sample_rate)
            decoded = audio.decode(path, sample_rate=params.sample_rate)
            np.testing.assert_allclose(decoded, samples, atol=1e-5)
            power = librosa.feature.melspectrogram(
                y=decoded,
                sr=params.sample_rate,
                n_fft=params.n_fft,
                hop_length=params.hop_length,
                n_mels=params.n_mels,
                fmin=params.fmin,
                fmax=params.fmax,
            )
            expected = librosa.power_to_db(power, ref=np.max, top_db=params.top_db).T
            np.testing.assert_allclose(mel.log_mel(decoded, params=params), expected, rtol=0, atol=1e-3)


def test_the_real_rows_of_fma_are_read_as_they_stand(real_data: Path) -> None:
    """Field by field against the csv module; five rows as somebody read them off the file."""
    path = real_data / "fma" / "tracks_sample.csv"
    with path.open(newline="", encoding="utf-8") as file:
        groups, names, _, *rows = csv.reader(file)
    place = {pair: number for number, pair in enumerate(zip(groups, names, strict=True))}
    table = fma.read_tracks(path)
    assert len(rows) == len(table) == 80
    for row in rows:
        read = table.loc[f"{int(row[0]):06d}"]
        for column, pair in (
            ("subset", ("set", "subset")),
            ("genre", ("track", "genre_top")),
            ("artist", ("artist", "name")),
            ("album", ("album", "title")),
            ("title", ("track", "title")),
        ):
            assert (read[column] if isinstance(read[column], str) else "") == row[place[pair]]
        assert read["official_split"] == row[place["set", "split"]].replace("training", "train")
    by_hand = table.loc[["000002", "000010", "000020", "000134", "000148"]]
    columns = ["subset", "official_split", "genre", "artist"]
    assert by_hand[columns].astype(object).where(by_hand[columns].notna(), None).to_numpy().tolist() == [
        ["small", "train", "Hip-Hop", "AWOL"],
        ["small", "train", "Pop", "Kurt Vile"],
        ["large", "train", None, "Nicky Cook"],
        ["medium", "train", "Hip-Hop", "AWOL"],
        ["small", "validation", "Experimental", "Contradiction"],
    ]
