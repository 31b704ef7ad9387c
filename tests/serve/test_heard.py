"""Claims about a published body of audio that predicts a file: it says what the stage evaluate says."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import bodies
from support.builders import make_music, make_params, make_split

from genrepro.base.errors import GenreproError
from genrepro.embed.chunks import in_batches
from genrepro.embed.hearing import Hearing
from genrepro.features.kept import choose
from genrepro.models.shared import batches, checkpoint, layers, published
from genrepro.models.shared.voting import segment_probabilities, vote
from genrepro.serve.predictor import Predictor
from genrepro.train import fit

CPU = torch.device("cpu")


def table(folder: Path, body: Hearing) -> dict[str, Path]:
    """Twelve clips, their embeddings in embeddings.parquet, and where they lie."""
    paths, ids, numbers, parts = {}, [], [], []
    for number in range(12):
        track_id = f"t{number:02d}"
        clip = make_music(duration=1.0 + 0.05 * number, sample_rate=body.rate, seed=number)
        paths[track_id] = folder / f"{track_id}.wav"
        soundfile.write(paths[track_id], clip, body.rate, subtype="FLOAT")
        segments = body.cut(clip)
        with torch.inference_mode():
            parts.append(in_batches(body, segments))
        ids += [track_id] * len(segments)
        numbers += range(len(segments))
    found = [np.concatenate(layer) for layer in zip(*parts, strict=True)]
    about = {"kind": "audio", "parts": list(body.parts), "segment": body.segment, "num_parameters": 1}
    about["sha256"] = published.sha256(body.family.tower)
    sizes = [layer.shape[1] for layer in found]
    layers.write(
        folder / "e.parquet", [(ids, numbers, found)], sizes=sizes, dtype="float32", description=about
    )
    return paths


@pytest.mark.parametrize(("layer", "per"), [("last", "segment"), ("weighted", "track")])
def test_a_file_gets_the_probabilities_of_its_track(layer: str, per: str, tmp_path: Path) -> None:
    bodies.write(tmp_path / "body", "wav2vec2")
    paths = table(tmp_path, Hearing(published.load(str(tmp_path / "body")), segment=0.5, device=CPU))
    given = {"weights": str(tmp_path / "body"), "segment": 0.5, "layer": layer, "pooling": "mean_std"}
    config = make_params(
        model="pretrained",
        pretrained={**given, "per": per},
        head={"kind": "linear"},
        segments={"plan": "grid"},
        train={"epochs": 2, "batch_size": 4},
    )
    genre = make_split({one: ("blues", "rock")[number % 2] for number, one in enumerate(paths)})
    genre = genre.set_index("track_id")["split"]
    split = make_split({one: ("train", "validation", "test")[n // 2 % 3] for n, one in enumerate(paths)})
    packed = choose(tmp_path / "e.parquet", genre=genre, artist=genre, split=split, config=config)
    description = checkpoint.describe(
        model="pretrained",
        section=config.architecture(),
        features={**packed.description, "sha256": "-"},
        split_sha256="-",
    )
    fitted, _ = fit.run(packed, split, config, description)
    checkpoint.save(tmp_path / "model", fitted.state, description)

    head, _ = checkpoint.load(tmp_path / "model", with_body=False)
    cutter = batches.Cutter(packed.frames, device=CPU, embedded=True)
    voters = batches.of_vote(packed, split, cutter, side="test")
    expected = vote(segment_probabilities(head, voters), voters.track)
    predictor = Predictor(tmp_path / "model")
    for number, track_id in enumerate(voters.spans.track_ids):
        prediction = predictor(paths[track_id])
        assert list(prediction.probabilities.values()) == pytest.approx(expected[number], abs=1e-5)
        assert prediction.over_time[0].start == 0.0
        duration = soundfile.info(paths[track_id]).duration
        assert prediction.over_time[-1].end == pytest.approx(duration, abs=2e-3)
        assert len(prediction.over_time) == (1 if per == "track" else 3 if duration > 1.05 else 2)
    with pytest.raises(GenreproError, match=r"txt: undecodable"):
        (tmp_path / "a.txt").write_text("no audio")
        predictor(tmp_path / "a.txt")

    bodies.write(tmp_path / "body", "hubert")
    with pytest.raises(GenreproError, match=r"is no longer the body that this model was trained on"):
        Predictor(tmp_path / "model")
