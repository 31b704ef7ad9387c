"""Claims about GTZAN's real pictures; collected only where GENREPRO_TEST_DATA names a folder of them."""

from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from builders import make_params

from genrepro import audio, audit, catalog, duplicates, mel, render, schema, splits
from genrepro.datasets import gtzan_images

PAIRS = [
    "disco.00098", "hiphop.00039", "hiphop.00076", "metal.00034", "metal.00040", "metal.00041", "metal.00042",
    "metal.00043", "metal.00044", "metal.00045", "metal.00058", "pop.00054", "pop.00067", "reggae.00081",
]  # fmt: skip


@pytest.fixture(scope="module")
def tracks(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Catalog and audit of all 1000 tracks, as the split stage joins them."""
    folder = tmp_path_factory.mktemp("gtzan_images")
    params = make_params(dataset="gtzan_images", source=str(real_data / "gtzan_images"))
    gtzan_images.acquire(params=params, raw=folder / "raw")
    table = catalog.build(gtzan_images.read_catalog(folder / "raw"), folder / "raw", num_workers=2)
    mel, levels = folder / "mel.parquet", folder / "levels.parquet"
    render.render(
        table, raw=folder / "raw", params=params.mel, mel_path=mel, levels_path=levels, num_workers=2
    )
    findings = audit.audit(
        table, schema.read(levels, schema.LEVELS), schema.read_mels(mel), params=params.audit
    )
    faults = [row["fault"] for row in schema.read_mels(mel) if row["fault"]]
    assert faults == ["missing"]
    assert {(row["num_frames"], row["num_mels"]) for row in schema.read_mels(mel) if not row["fault"]} == {
        (336, 218)
    }
    identity = pa.table({name: table[name] for name in ("track_id", "genre", "artist", "official_split")})
    return identity.to_pandas().merge(findings.to_pandas(), on="track_id")


def test_the_fourteen_identical_pairs_are_found(tracks: pd.DataFrame) -> None:
    groups = tracks.dropna(subset=["duplicate_group"]).groupby("duplicate_group")
    assert [name for name, _ in groups] == PAIRS
    assert set(groups.size()) == {2}
    assert set(groups.get_group("metal.00058")["genre"]) == {"metal", "rock"}


def test_only_the_missing_picture_is_excluded(tracks: pd.DataFrame) -> None:
    assert tracks.loc[tracks["excluded"].notna(), "track_id"].tolist() == ["jazz.00054"]


@pytest.mark.parametrize(
    "strategy, sizes, leaky", [("official", (442, 197, 290), 0), ("random", (800, 100, 99), 1)]
)
def test_the_published_splits_have_their_sizes(
    tracks: pd.DataFrame, strategy: str, sizes: tuple[int, int, int], leaky: int
) -> None:
    params = make_params(split={"strategy": strategy}).split
    proof = splits.leaks(splits.assign(tracks, params=params, seed=0), tracks)
    assert (proof["num_train"], proof["num_validation"], proof["num_test"]) == sizes
    assert proof["leaky"] == leaky


def test_the_artist_split_of_real_artists_is_clean(tracks: pd.DataFrame) -> None:
    proof = splits.leaks(splits.assign(tracks, params=make_params().split, seed=0), tracks)
    assert proof["leaky"] == 0
    assert proof["num_test"] == pytest.approx(0.2 * 999, rel=0.15)


def test_near_duplicates_hold_the_identical_pairs_and_others_by_one_artist(
    real_data: Path, tmp_path: Path
) -> None:
    params = make_params(dataset="gtzan_images", source=str(real_data / "gtzan_images"))
    gtzan_images.acquire(params=params, raw=tmp_path / "raw")
    table = catalog.build(gtzan_images.read_catalog(tmp_path / "raw"), tmp_path / "raw", num_workers=2)
    mel = tmp_path / "mel.parquet"
    render.render(
        table,
        raw=tmp_path / "raw",
        params=params.mel,
        mel_path=mel,
        levels_path=tmp_path / "levels.parquet",
        num_workers=2,
    )
    pairs = duplicates.near_duplicates(mel, skip=frozenset(), min_similarity=0.65, num_workers=2)
    found = {(pair.first, pair.second): pair.similarity for pair in pairs}
    sha256 = dict(zip(table["track_id"].to_pylist(), table["sha256"].to_pylist(), strict=True))
    identical = [pair for pair in found if sha256[pair[0]] == sha256[pair[1]]]
    assert [first for first, _ in identical] == PAIRS
    assert [found[pair] for pair in identical] == pytest.approx([1.0] * 14)
    # Every further pair is of one artist, which the fingerprint does not know (docs/DUPLICATES.md).
    artist = dict(zip(table["track_id"].to_pylist(), table["artist"].to_pylist(), strict=True))
    further = found.keys() - set(identical)
    assert len(further) >= 30
    assert all(artist[first] == artist[second] is not None for first, second in further)


REAL_CLIPS = [
    "147793__setuniman__sweet-waltz-0i-22mi.ogg",
    "442789__lena-orsa__happy-music-pistachio-ice-cream-ragtime.ogg",
    "Hungarian_Dance_number_5_-_Allegro_in_F_sharp_minor__string_orchestra_.ogg",
    "Karissa_Hobbs_-_Lets_Go_Fishin.ogg",
    "Kevin_MacLeod_-_Vibe_Ace.ogg",
    "admiralbob77_-_Choice_-_Drum-bass.ogg",
    "sorohanro_-_solo-trumpet-06.ogg",
]


@pytest.mark.parametrize("name", REAL_CLIPS)
def test_real_music_renders_as_librosa_renders_it(real_data: Path, name: str) -> None:
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
