"""Choose nested training sets for a learning curve: each larger set contains the smaller ones.

So more data means the same tracks and some more, as in the AST report's figure of accuracy over the number of
samples. Artists are kept or left out as a whole, because half of an artist's tracks teach nearly as much as
all of them.
"""

from collections import Counter

import numpy as np


def shares(genre: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each track, compute the smallest share of the tracks at which it is kept.

    The groups queue in random order. If a group is larger than all groups before it together, in one of its
    genres, others may pass it. It waits until this is no longer so, or until all waiting groups are too
    large. So small shares can be met, and one artist is rarely more than half of a genre. (In random order,
    the first artists of all genres are 12 % of GTZAN's official training tracks; with this rule, 7 %.) A
    group is kept from the share at which it brings the genres nearer to that share, by the chi-squared
    distance. The first group of a genre is always kept.

    Parameters
    ----------
    genre : np.ndarray [shape=(num_tracks,)]
    group : np.ndarray [shape=(num_tracks,), dtype=int]
        Group of each track, 0 .. num_groups - 1, without gaps. Tracks of one group get the same share.
    rng : np.random.Generator

    Returns
    -------
    np.ndarray [shape=(num_tracks,), dtype=float64]
        Between 0 and 1, exclusive. 0 for tracks that every share keeps.
    """
    sizes: list[Counter[str]] = [Counter() for _ in range(group.max() + 1)]
    for number, name in zip(group, genre, strict=True):
        sizes[number][name] += 1
    whole, before = Counter(genre), Counter[str]()
    share = np.empty(len(sizes))
    queue = rng.permutation(len(sizes)).tolist()
    while queue:
        number = queue.pop(_next(queue, sizes, before))
        size = sizes[number]
        # At this share, the sum of (kept - share x whole)^2 / whole over genres is equal with and without the
        # group.
        middle = sum(count * (before[name] + count / 2) / whole[name] for name, count in size.items())
        first = any(not before[name] for name in size)
        share[number] = 0.0 if first else middle / size.total()
        before += size
    return share[group]


def _next(queue: list[int], sizes: list[Counter[str]], before: Counter[str]) -> int:
    """Position of the first group that is not larger than all groups before it, or else of the smallest."""
    for place, number in enumerate(queue):
        if all(count <= max(1, before[name]) for name, count in sizes[number].items()):
            return place
    return min(range(len(queue)), key=lambda place: sizes[queue[place]].total())
