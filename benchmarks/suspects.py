"""Does cleanlab find wrong labels better than the plain order, by the probability of a track's own label?

    python benchmarks/suspects.py [TABLE]

TABLE holds pooled predictions of GTZAN's tracks over folds; the default is the committed one of the pictures.
There is no public list of GTZAN's wrong labels to score against. The 70 tracks that stand in none of the
fault-filtered lists stand in for it: Kereliuk, Sturm and Larsen left them out as replicas, distortions and
mislabels. It is a proxy, and a poor one: a replica or a distorted track may well have the right label, and
contentious labels may have been kept. So only the order of the ways can be read from it, hardly their height.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

import stages  # noqa: F401 - first, since it pins instruction sets and threads before numpy loads

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.outlier import OutOfDistribution
from cleanlab.rank import get_label_quality_scores
from sklearn.metrics import average_precision_score

from genrepro.compare import revisions

TABLE = "metrics/experiments/images-cnn-folds-s0.csv"
FIRST = (20, 50, 100, 200)
REPLICA = ("metal.00058", "rock.00016")  # one picture under two genres: one of the labels is wrong


def orders(label: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Scores by name, the lowest first."""
    quality = {
        "plain: probability of the own label": get_label_quality_scores(
            label, probabilities, method="self_confidence"
        ),
        "normalised margin": get_label_quality_scores(label, probabilities, method="normalized_margin"),
        "entropy-weighted": get_label_quality_scores(
            label, probabilities, method="confidence_weighted_entropy"
        ),
        "plain, adjusted by genre": get_label_quality_scores(
            label, probabilities, method="self_confidence", adjust_pred_probs=True
        ),
        "margin, adjusted by genre": get_label_quality_scores(
            label, probabilities, method="normalized_margin", adjust_pred_probs=True
        ),
        "least typical": OutOfDistribution().fit_score(pred_probs=probabilities, labels=label, verbose=False),
    }
    for kind in ("prune_by_noise_rate", "confident_learning"):
        wrong = find_label_issues(label, probabilities, filter_by=kind, n_jobs=1)
        quality[f"{kind} first ({wrong.sum()}), then margin"] = quality["normalised margin"] - wrong
    return quality


def main(table: str) -> None:
    run = revisions.read(table)
    listed = pd.read_csv("src/genrepro/datasets/tables/gtzan_tracks.csv", dtype="str")
    fault = set(listed["track_id"][listed["official_split"].isna()])
    truth = np.array([track in fault for track in run.track_ids])
    probabilities = run.probabilities / run.probabilities.sum(axis=1, keepdims=True)
    figures = {}
    print(f"{truth.sum()} of {len(truth)} tracks stand in none of the fault-filtered lists")
    print(
        f"{'order':48}"
        + "".join(f"  in first {n:3}" for n in FIRST)
        + "  average precision  places of the pair"
    )
    for name, score in orders(run.label, probabilities).items():
        order = np.argsort(score, kind="stable")
        hits = [int(truth[order[:n]].sum()) for n in FIRST]
        precision = average_precision_score(truth, -score)
        place = {run.track_ids[track]: number for number, track in enumerate(order, 1)}
        pair = [place.get(track) for track in REPLICA]
        print(f"{name:48}" + "".join(f"{n:14}" for n in hits) + f"{precision:19.3f}  {pair[0]}, {pair[1]}")
        figures[name] = {
            **dict(zip(map(str, FIRST), hits, strict=True)),
            "average_precision": round(precision, 4),
        }
    by_chance = [round(n * truth.mean(), 1) for n in FIRST]
    print(f"{'chance':48}" + "".join(f"{n:14}" for n in by_chance) + f"{truth.mean():19.3f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else TABLE)
