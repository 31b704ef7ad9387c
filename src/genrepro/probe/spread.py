"""Does a body tell tracks apart, or does it say nearly the same of all?"""

import numpy as np

from genrepro.base.files import rounded

ALIKE = 0.9
"""Mean cosine above which a body has collapsed: what is left between two tracks is mostly noise."""


def spread(vectors: np.ndarray) -> dict[str, float]:
    """Two figures of how far embeddings lie apart.

    Parameters
    ----------
    vectors : np.ndarray [shape=(num_tracks, size)]
        As the body gives them, not standardised.

    Returns
    -------
    dict
        ``mean_cosine``: of two different tracks, on average. ``effective_rank``: the exponential of the
        entropy of the singular values' shares, of centred embeddings (Roy and Vetterli, EUSIPCO 2007): from 1
        to the smaller of tracks and size.
    """
    wide = vectors.astype(np.float64)
    units = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    number = len(units)
    total = np.square(units.sum(axis=0)).sum() - np.square(units).sum()
    singular = np.linalg.svd(wide - wide.mean(axis=0), compute_uv=False)
    share = singular / max(float(singular.sum()), 1e-12)
    share = share[share > 1e-12]
    return {
        "mean_cosine": rounded(total / max(1, number * (number - 1)), 4),
        "effective_rank": rounded(float(np.exp(-(share * np.log(share)).sum())), 2),
    }
