"""Rendering against the standard recipe, on the same files and all cores; its kernel, scaling and memory.

    python benchmarks/render.py              under four minutes; --rounds, --wav, --mp3, --tracks for less

The recipe is joblib over librosa.load, melspectrogram, power_to_db and np.save, in processes without our
pins: once with the BLAS threads that a process starts by default, as many as cores in each worker, and once
with joblib's own limit on them. Music is composed by genrepro: 30 s WAV at 22 050 Hz mono, and the same as
MP3 at 44 100 Hz stereo. Every contestant is a process of its own that has rendered a few clips before, so
that workers run, librosa is imported and the files lie in the page cache; then all take turns, and ratios are
medians over the rounds. Ours ends with mel.parquet and levels.parquet, the recipe with a .npy for each clip.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import psutil

from noop import machine

if TYPE_CHECKING:
    from genrepro.base import params

NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
FMA_LARGE = 106_574  # clips of 30 s, MP3 at 44 100 Hz, most in stereo
NUM_WARM = 4  # clips a worker


def main() -> None:
    parser = argparse.ArgumentParser(description="Rendering against the standard recipe.")
    for name, default in (("rounds", 5), ("wav", 64), ("mp3", 32), ("tracks", 4000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    wanted = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, __file__, "files", folder, *map(str, (wanted.wav, wanted.mp3))], check=True
        )
        for kind in ("wav", "mp3"):
            figures |= throughput(Path(folder, kind), rounds=wanted.rounds)
        figures["machine_scaling"] = machine_scaling(wanted.rounds)
        kernel = subprocess.run(
            [sys.executable, __file__, "kernel", folder], check=True, capture_output=True, text=True
        )
        figures["kernel_over_ffts"] = float(kernel.stdout)
        few, many = (peak_memory(Path(folder, "short"), wanted.tracks // share) for share in (10, 1))
        figures |= {"memory_ratio": many / few, "peak_MB": many / 1e6}
    # Sixteen times one worker, unless the one process that writes is the narrower place.
    slowest = max(1 / (16 * figures["mp3_one_worker_per_s"]), figures["mp3_writer_cpu_ms"] / 1e3)
    figures["fma_large_16_cores_min"] = FMA_LARGE * slowest / 60
    print(f"{'':<44}{'WAV':>8}{'MP3':>8}")
    for name, label in (
        ("ours_per_s", "ours [clips/s]"),
        ("recipe_per_s", "recipe, default threads [clips/s]"),
        ("limited_per_s", "recipe, joblib's limit [clips/s]"),
        ("one_worker_per_s", "ours, one worker [clips/s]"),
        ("ours_cpu_ms", "ours [ms of processor time a clip]"),
        ("limited_cpu_ms", "recipe, joblib's limit [the same]"),
        ("ratio", "ours over the recipe, default threads"),
        ("ratio_limited", "ours over the recipe, joblib's limit"),
        ("cpu_ratio", "the same in processor time"),
        ("scaling", f"ours, {NUM_CORES} workers over one"),
    ):
        print(f"{label:<44}{figures[f'wav_{name}']:>8.2f}{figures[f'mp3_{name}']:>8.2f}")
    print(f"bare FFTs, {NUM_CORES} processes over one: {figures['machine_scaling']:.2f}")
    print(f"kernel / its bare FFTs: {figures['kernel_over_ffts']:.2f}")
    print(f"peak memory of {wanted.tracks} tracks / of {wanted.tracks // 10}: {figures['memory_ratio']:.3f}")
    minutes = figures["fma_large_16_cores_min"]
    print(f"fma_large on 16 cores, if each does what one worker did here: {minutes:.0f} min")
    ratios = [name for name in figures if any(word in name for word in ("ratio", "scaling", "over"))]
    ordered = [*ratios, *(name for name in figures if name not in ratios)]
    print(json.dumps({**{name: round(figures[name], 4) for name in ordered}, "machine": machine()}))


def machine_scaling(rounds: int) -> float:
    """What all cores do of bare FFTs over what one does: more than that no renderer can gain here."""

    def transforms(num_processes: int) -> int:
        command = [sys.executable, __file__, "spin"]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(num_processes)
        ]
        for child in children:
            assert child.stdout
            child.stdout.readline()  # libraries are loaded
        for child in children:
            assert child.stdin
            print("go", file=child.stdin, flush=True)
        return sum(int(child.communicate()[0]) for child in children)

    return statistics.median(transforms(NUM_CORES) / transforms(1) for _ in range(rounds))


def throughput(folder: Path, *, rounds: int) -> dict[str, float]:
    """Clips per second of each contestant, its processor time for a clip, and the ratios of paired rounds."""
    contestants = {
        "ours": Contestant("ours", folder, NUM_CORES),
        "recipe": Contestant("recipe", folder, NUM_CORES),
        "limited": Contestant("limited", folder, NUM_CORES),
        "one_worker": Contestant("ours", folder, 1),
    }
    num_clips = len(list(folder.iterdir()))
    cpu = {name: contestant.cpu_seconds() for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            seconds[name].append(contestant.measure())
    found: dict[str, float] = {}
    for ratio, slower in (("ratio", "recipe"), ("ratio_limited", "limited"), ("scaling", "one_worker")):
        pairs = zip(seconds[slower], seconds["ours"], strict=True)
        found[ratio] = statistics.median(theirs / ours for theirs, ours in pairs)
    for name, contestant in contestants.items():
        found[f"{name}_per_s"] = num_clips / statistics.median(seconds[name])
        spent = [now - before for now, before in zip(contestant.cpu_seconds(), cpu[name], strict=True)]
        found[f"{name}_cpu_ms"] = 1e3 * sum(spent) / (rounds * num_clips)
        if name == "ours":
            found["writer_cpu_ms"] = 1e3 * spent[0] / (rounds * num_clips)
        contestant.end()
    found["cpu_ratio"] = found["limited_cpu_ms"] / found["ours_cpu_ms"]
    return {f"{folder.name}_{name}": value for name, value in found.items()}


class Contestant:
    """A process that renders a folder of clips each time it is told to."""

    def __init__(self, name: str, folder: Path, num_workers: int) -> None:
        env = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, __file__, name, folder, str(num_workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        self._answer()  # warm

    def measure(self) -> float:
        """Seconds for all clips."""
        assert self.process.stdin
        print("go", file=self.process.stdin, flush=True)
        return self._answer()

    def cpu_seconds(self) -> tuple[float, float]:
        """Processor time so far of the process itself and of its workers."""
        root = psutil.Process(self.process.pid)
        itself, *workers = (sum(one.cpu_times()[:2]) for one in (root, *root.children(recursive=True)))
        return itself, sum(workers)

    def end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def _answer(self) -> float:
        assert self.process.stdout
        return float(self.process.stdout.readline())


def peak_memory(folder: Path, num_tracks: int) -> float:
    """Largest proportional set size [bytes] of all processes while ``num_tracks`` are rendered."""
    with subprocess.Popen([sys.executable, __file__, "tracks", folder, str(num_tracks)]) as process:
        peak, root = 0, psutil.Process(process.pid)
        while process.poll() is None:
            try:
                family = [root, *root.children(recursive=True)]
                peak = max(peak, sum(member.memory_full_info().pss for member in family))
            except psutil.Error:  # a process ended between two looks
                pass
            time.sleep(0.02)
    assert process.returncode == 0
    return peak


# --- what the children do ------------------------------------------------------------------------------


def write_files(folder: str, num_wav: str, num_mp3: str) -> None:
    """Eight composed clips, linked under as many names as wanted: WAV, MP3 and the first ten seconds."""
    import stages  # noqa: F401 - pins

    import numpy as np
    import soundfile
    import soxr

    from genrepro.datasets.synthetic import compose_collection

    compose_collection(raw=Path(folder, "raw"), num_tracks=40, duration=30.0, seed=0, num_workers=NUM_CORES)
    for name in ("wav", "mp3", "short"):
        Path(folder, name).mkdir()
    originals = [path for path in sorted(Path(folder, "raw").rglob("*.wav")) if sounds(path)][::4][:8]
    for number, path in enumerate(originals):
        samples, rate = soundfile.read(path, dtype="float32")
        doubled = soxr.resample(samples, rate, 2 * rate)
        stereo = np.stack([doubled, 0.8 * np.roll(doubled, 400)], axis=1)  # an echo on the right
        soundfile.write(Path(folder, f"{number}.mp3"), stereo, 2 * rate)
        soundfile.write(Path(folder, f"{number}.wav"), samples, rate)
        soundfile.write(Path(folder, f"{number}-short.wav"), samples[: 10 * rate], rate)
    for name, suffix, count in (
        ("wav", ".wav", num_wav),
        ("mp3", ".mp3", num_mp3),
        ("short", "-short.wav", "8"),
    ):
        for number in range(int(count)):
            source = Path(folder, f"{number % len(originals)}{suffix}")
            Path(folder, name, f"{number:04d}{source.suffix}").hardlink_to(source)


def sounds(path: Path) -> bool:
    """Whether none of the planted faults is in the file."""
    import soundfile

    try:
        samples, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError:
        return False
    return len(samples) == 30 * rate and bool(samples.any())


def ours(folder: str, num_workers: str) -> None:
    import stages  # noqa: F401 - pins

    clips = sorted(Path(folder).iterdir())
    render(clips[: NUM_WARM * int(num_workers)] * 2, int(num_workers))
    answer(lambda: render(clips, int(num_workers)))


def tracks(folder: str, num_tracks: str) -> None:
    """Render so many tracks once; `peak_memory` watches."""
    import stages  # noqa: F401 - pins

    clips = sorted(Path(folder).iterdir())
    render([clips[number % len(clips)] for number in range(int(num_tracks))], 2)


def render(clips: list[Path], num_workers: int) -> None:
    import pyarrow as pa

    from genrepro.base import tables
    from genrepro.render import write

    rows = [
        {
            **dict.fromkeys(tables.CATALOG.names),
            "track_id": f"{number:06d}",
            "genre": "any",
            "path": clip.name,
            "sha256": clip.name,
        }
        for number, clip in enumerate(clips)
    ]
    with tempfile.TemporaryDirectory() as out:
        write.render(
            pa.Table.from_pylist(rows, schema=tables.CATALOG),
            raw=clips[0].parent,
            params=mel_params(),
            mel_path=Path(out, "mel.parquet"),
            levels_path=Path(out, "levels.parquet"),
            num_workers=num_workers,
        )


@cache
def mel_params() -> "params.Mel":
    from genrepro.base import params

    return params.load().mel


def recipe(folder: str, num_workers: str, *, threads: int | None = NUM_CORES) -> None:
    from joblib import Parallel, delayed, parallel_config

    clips = sorted(Path(folder).iterdir())
    with (
        tempfile.TemporaryDirectory() as out,
        parallel_config(backend="loky", inner_max_num_threads=threads),
        Parallel(n_jobs=int(num_workers)) as parallel,
    ):
        parallel(delayed(standard)(clip, Path(out)) for clip in clips[: NUM_WARM * int(num_workers)])
        answer(lambda: parallel(delayed(standard)(clip, Path(out)) for clip in clips))


def limited(folder: str, num_workers: str) -> None:
    recipe(folder, num_workers, threads=None)  # joblib divides the cores among the workers


def standard(clip: Path, out: Path) -> None:
    """What tutorials do, with the parameters that are librosa's defaults and ours."""
    import librosa
    import numpy as np

    samples, rate = librosa.load(clip, sr=22050)
    power = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=2048, hop_length=512, n_mels=128)
    np.save(out / clip.stem, librosa.power_to_db(power, ref=np.max))


def answer(work: Callable[[], object]) -> None:
    """Say that all is warm; then for every line that comes, work and say how many seconds it took."""
    print(0.0, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, flush=True)


def spin() -> None:
    """For a second, transform a block over and over; then say how often."""
    import stages  # noqa: F401 - pins

    import numpy as np
    import scipy.fft

    block = np.ones((64, 2048), np.float32)
    scipy.fft.rfft(block)
    print("ready", flush=True)
    sys.stdin.readline()
    count, end = 0, time.perf_counter() + 1
    while time.perf_counter() < end:
        scipy.fft.rfft(block)
        count += 1
    print(count)


def kernel(folder: str) -> None:
    """Median ratio of the log-mel transform to the FFTs in it, in processor time: it has one thread."""
    import stages  # noqa: F401 - pins

    import numpy as np
    import scipy.fft

    from genrepro.base import params
    from genrepro.spectrogram import audio, mel

    config = params.load().mel
    transform = mel.transform(config)
    samples = [
        audio.decode(path, sample_rate=config.sample_rate) for path in sorted(Path(folder).glob("?.wav"))
    ]
    num_frames = len(transform(samples[0]))
    size = mel._BLOCK // config.n_fft
    block = np.random.default_rng(0).standard_normal((size, config.n_fft)).astype(np.float32)

    def ffts() -> None:
        for start in range(0, num_frames, size):
            scipy.fft.rfft(block[: min(size, num_frames - start)])

    def cost(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    ffts()
    ratios = [cost(lambda: transform(clip)) / cost(ffts) for _ in range(8) for clip in samples]  # noqa: B023
    print(statistics.median(ratios))


CHILDREN = {
    "files": write_files,
    "ours": ours,
    "recipe": recipe,
    "limited": limited,
    "tracks": tracks,
    "kernel": kernel,
    "spin": spin,
}

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in CHILDREN:
        CHILDREN[sys.argv[1]](*sys.argv[2:])
    else:
        main()
