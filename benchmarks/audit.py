"""Near-duplicate detection: planted duplicates that must be found, what it costs, and the all-pairs way.

    python benchmarks/audit.py [FOLDER]

Composed tracks of 30 s, 850 in a thousand, and altered copies of 150 of them: `LISTED` are the ways that the
audit has to see through, `HARDER` go on until it fails. What the composer plants by itself counts as truth,
too. Rendered spectrograms stay in FOLDER (a temporary one otherwise), so that a second run starts with them.

Recall is the share of planted copies found as a pair with their original; precision the share of found pairs
whose two tracks come from one recording. The all-pairs way is the same sketches' cross-correlation at every
offset for every two tracks, the transforms kept, in batches: the time of a sample, extrapolated to all pairs.
Reading and fingerprinting are left out on both sides of that ratio, and included in every other time.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import stages  # noqa: F401 - first, since it pins instruction sets and threads before numpy loads

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import soundfile
from joblib import Parallel, delayed
from scipy import fft

from genrepro.audit import duplicates, fingerprint
from genrepro.base import params, tables
from genrepro.catalog import tracks as catalog
from genrepro.render import write as render
from genrepro.datasets.synthetic import compose_collection
from genrepro.base.files import write_parquet
from genrepro.exact.streams import generator
from noop import machine

SAMPLE_RATE = 22050  # Hz
DURATION = 30  # s, of a track
TAKE = 40  # s, of the recording that tracks and shifted copies are cut from
NUM_COMPOSED, NUM_COPIES = 850, 150  # in a thousand tracks
NUM_WORKERS = 2
MIN_SIMILARITY = 0.65  # the default of audit.min_similarity


def cut(start: float, stop: float) -> Callable:
    """The piece of the recording from ``start`` to ``stop`` seconds."""
    return lambda take, rng: take[round(start * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]


def noisy(snr: float) -> Callable:
    """White noise, ``snr`` dB below the music."""

    def add(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        level = np.sqrt(np.mean(samples**2)) * 10 ** (-snr / 20)
        return samples + level * rng.standard_normal(len(samples))

    return add


def coded(bit_rate: float) -> Callable:
    """There and back through MP3 at a constant ``bit_rate`` [kbit/s]."""

    def recode(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
            # libsndfile spreads compression_level over 160 .. 8 kbit/s, what MPEG-2 has at this sample rate.
            soundfile.write(
                file.name,
                np.clip(samples, -1, 1),
                SAMPLE_RATE,
                format="MP3",
                compression_level=(160 - bit_rate) / (160 - 8),
                bitrate_mode="CONSTANT",
            )
            real = Path(file.name).stat().st_size * 8 / 1000 / (len(samples) / SAMPLE_RATE)
            assert abs(real / bit_rate - 1) < 0.1, f"asked for {bit_rate} kbit/s, got {real:.0f}"
            return soundfile.read(file.name)[0]

    return recode


def louder(gain: float) -> Callable:
    """``gain`` dB more; what leaves full scale is clipped when the file is written."""
    return lambda samples, rng: samples * 10 ** (gain / 20)


LISTED: dict[str, tuple[Callable, ...]] = {
    "exact": (cut(0, 30),),
    "mp3_64": (cut(0, 30), coded(64)),
    "shift_3s": (cut(3, 33),),
    "louder_6db": (cut(0, 30), louder(6)),
    "trim_20s": (cut(5, 25),),
    "noise_10db": (cut(0, 30), noisy(10)),
}
HARDER: dict[str, tuple[Callable, ...]] = {
    "shift_10s": (cut(10, 40),),
    "trim_10s": (cut(11, 21),),
    "noise_0db": (cut(0, 30), noisy(0)),
    "mp3_16": (cut(0, 30), coded(16)),
    "shift_10s_mp3_64_noise_10db": (cut(10, 40), noisy(10), coded(64)),
    "trim_10s_mp3_32_noise_0db": (cut(11, 21), noisy(0), coded(32)),
}


def main() -> None:
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


def measure(folder: Path) -> None:
    mel_path, tracks = prepare(folder, seed=0, kinds=LISTED | HARDER)
    more_path, more = prepare(folder, seed=1, kinds=LISTED)
    listed = tracks[~tracks["kind"].isin(HARDER)]
    sizes = {
        size: write_subset(folder / f"{size}.parquet", [mel_path], first_of(listed, size=size))
        for size in (250, 500, 1000)
    }
    both = pd.concat([listed, more])
    sizes[2000] = write_subset(folder / "2000.parquet", [mel_path, more_path], both)
    harder = tracks[~tracks["kind"].isin(LISTED)]
    harder_path = write_subset(folder / "harder.parquet", [mel_path], harder)

    silent = set(both["track_id"][both["kind"] == "silent"])
    detect(sizes[250], silent)  # starts the workers
    results = {size: detect(path, silent) for size, path in sizes.items()}
    times = {size: found[1] for size, found in results.items()}
    exponent = np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0]
    prints = duplicates.read_fingerprints(sizes[2000], skip=silent, num_workers=NUM_WORKERS)
    matching = match_seconds(prints, frame_rate=tables.read_mel_description(mel_path)["frame_rate"])
    pairwise = all_pairs_seconds(prints)

    print(f"{'copies':<30}{'n':>4}{'recall':>8}{'similarity: least':>19}")
    scores = score(results[1000][0], listed)
    print_recall(scores)
    print_recall(score(detect(harder_path, silent)[0], harder).query("kind in @HARDER"))
    found_2000 = results[2000][0]
    print(f"\n{'tracks':>6}{'seconds':>9}{'ms a track':>12}")
    for size, elapsed in times.items():
        print(f"{size:>6}{elapsed:>9.1f}{1000 * elapsed / size:>12.1f}")
    print(
        f"matching 2000: {matching:.1f} s; all pairs of them: {pairwise:.0f} s, extrapolated; one process\n"
    )
    figures = {
        "recall": scores["found"].mean(),
        "precision": precision(results[1000][0], listed),
        "all_pairs_ratio": pairwise / matching,
        "exponent": exponent,
        "recall_2000": score(found_2000, both)["found"].mean(),
        "precision_2000": precision(found_2000, both),
        "planted": len(scores),
        "min_similarity": MIN_SIMILARITY,
        "seconds_1000": times[1000],
    }
    print(
        json.dumps({**{key: round(float(value), 3) for key, value in figures.items()}, "machine": machine()})
    )


def score(found: list[duplicates.Pair], tracks: pd.DataFrame) -> pd.DataFrame:
    """Each planted copy: its `kind`, whether it was `found` with its original, at which `similarity`."""
    similarity = {(pair.first, pair.second): pair.similarity for pair in found}
    copies = tracks[tracks["recording"] != tracks["track_id"]]
    values = [
        similarity.get((min(pair), max(pair)), np.nan)
        for pair in zip(copies["track_id"], copies["recording"], strict=True)
    ]
    return pd.DataFrame({"kind": copies["kind"], "similarity": values}).assign(found=np.isfinite(values))


def precision(found: list[duplicates.Pair], tracks: pd.DataFrame) -> float:
    """Share of the found pairs whose tracks come from one recording."""
    recording = dict(zip(tracks["track_id"], tracks["recording"], strict=True))
    return float(np.mean([recording[pair.first] == recording[pair.second] for pair in found]))


def print_recall(scores: pd.DataFrame) -> None:
    for kind, rows in scores.groupby("kind"):
        print(f"{kind:<30}{len(rows):>4}{rows['found'].mean():>8.3f}{rows['similarity'].min():>19.2f}")


def detect(path: Path, silent: set[str]) -> tuple[list[duplicates.Pair], float]:
    """What the audit does, and its wall time [s], reading included."""
    start = time.perf_counter()
    found = duplicates.near_duplicates(
        path, skip=silent, min_similarity=MIN_SIMILARITY, num_workers=NUM_WORKERS
    )
    return found, time.perf_counter() - start


def match_seconds(prints: dict[str, fingerprint.Fingerprint], *, frame_rate: float) -> float:
    """Time to find the pairs among fingerprints."""
    start = time.perf_counter()
    duplicates.match(prints, rate=fingerprint.sketch_rate(frame_rate), min_similarity=MIN_SIMILARITY)
    return time.perf_counter() - start


def all_pairs_seconds(prints: dict[str, fingerprint.Fingerprint]) -> float:
    """Time to correlate every two sketches at every offset, from a sample of 64 tracks."""
    sketches = [track.sketch for track in islice(prints.values(), 64)]
    size = fft.next_fast_len(2 * max(len(sketch) for sketch in sketches), real=True)
    spectra = np.stack([fft.rfft(sketch.T.astype(np.float32, order="C"), size) for sketch in sketches])
    start = time.perf_counter()
    for position, one in enumerate(spectra[:-1]):
        fft.irfft(np.einsum("bf,tbf->tf", one, spectra[position + 1 :].conj()), size).max(axis=1)
    elapsed = time.perf_counter() - start
    return elapsed * len(prints) * (len(prints) - 1) / (len(sketches) * (len(sketches) - 1))


def first_of(tracks: pd.DataFrame, *, size: int) -> pd.DataFrame:
    """The first ``size`` of a thousand tracks, genres in turn, copies with their originals."""
    return tracks.sort_values(["order", "track_id"]).head(size)


def write_subset(path: Path, mel_paths: list[Path], tracks: pd.DataFrame) -> Path:
    """mel.parquet of some tracks only."""
    wanted = pa.array(tracks["track_id"])

    def batches() -> Iterator[pa.Table]:
        for mel_path in mel_paths:
            with pq.ParquetFile(mel_path) as file:
                for batch in file.iter_batches(batch_size=64):
                    table = pa.Table.from_batches([batch])
                    yield table.filter(pc.is_in(table["track_id"], wanted))

    write_parquet(path, batches(), pq.read_schema(mel_paths[0]))
    return path


def prepare(folder: Path, *, seed: int, kinds: dict[str, tuple[Callable, ...]]) -> tuple[Path, pd.DataFrame]:
    """mel.parquet of composed tracks and copies, and a table of them: `recording` heard, `kind` of copy."""
    here = folder / f"seed{seed}"
    mel_path, table_path = here / "mel.parquet", here / "tracks.csv"
    if not table_path.exists():
        takes, raw = here / "takes", here / "raw"
        compose_collection(
            raw=takes, num_tracks=NUM_COMPOSED, duration=TAKE, seed=seed, num_workers=NUM_WORKERS
        )
        table = plan(pd.read_csv(takes / "tracks.csv", dtype=object), kinds=kinds, seed=seed)
        raw.mkdir(exist_ok=True)
        Parallel(n_jobs=NUM_WORKERS)(
            delayed(write)(
                row, takes=takes, raw=raw, steps=kinds.get(row["kind"], (cut(0, DURATION),)), seed=seed
            )
            for row in table.to_dict("records")
        )
        identity = table[["track_id", "genre", "path"]].assign(
            artist=None, album=None, title=None, official_split=None, fault=None
        )
        render.render(
            catalog.build(identity, raw, num_workers=NUM_WORKERS),
            raw=raw,
            params=params.load().mel,
            mel_path=mel_path,
            levels_path=here / "levels.parquet",
            num_workers=NUM_WORKERS,
        )
        table.to_csv(table_path, index=False)
    return mel_path, pd.read_csv(table_path, dtype={"kind": str}, keep_default_na=False)


def plan(takes: pd.DataFrame, *, kinds: dict[str, tuple[Callable, ...]], seed: int) -> pd.DataFrame:
    """The tracks of a collection: composed ones, and copies of some of those, spread evenly."""
    planted = takes["planted"].fillna("")
    original = planted.str.extract(" of (.*)$")[0]
    prefix = f"{seed}."
    composed = pd.DataFrame(
        {
            "track_id": prefix + takes["track_id"],
            "genre": takes["genre"],
            "recording": prefix + original.fillna(takes["track_id"]),
            "kind": planted.str.split(" of ").str[0],
            "take": takes["path"],
            # Genres in turn, so that every first n of them are all genres'.
            "order": takes["track_id"].str.split(".").str[1].astype(int) * 10
            + takes["genre"].rank(method="dense").astype(int),
        }
    ).sort_values("order", ignore_index=True)
    healthy = composed[composed["kind"] == ""]
    sources = healthy.iloc[np.linspace(0, len(healthy) - 1, NUM_COPIES).round().astype(int)]
    copies = pd.concat(
        [
            sources.assign(kind=[list(some)[position % len(some)] for position in range(NUM_COPIES)])
            for some in (LISTED, HARDER)
            if some.keys() <= kinds.keys()
        ]
    )
    copies["track_id"] = "copy." + copies["track_id"] + "." + copies["kind"]
    table = pd.concat([composed, copies], ignore_index=True)
    return table.assign(path=table["track_id"] + ".wav")


def write(row: dict, *, takes: Path, raw: Path, steps: tuple[Callable, ...], seed: int) -> None:
    """The file of one track, cut from its recording and altered step by step."""
    if row["kind"] == "undecodable":
        (raw / row["path"]).write_bytes((takes / row["take"]).read_bytes())
        return
    samples, _ = soundfile.read(takes / row["take"])
    rng = generator(seed, row["track_id"])
    for step in steps:
        samples = step(samples, rng)
    soundfile.write(raw / row["path"], np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
