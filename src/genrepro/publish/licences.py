"""The terms of use of each data set, as its module in `genrepro.datasets` states them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of a data set."""

    url: str
    """Where the terms stand, or "unknown"."""
    words: str
    """What they mean, in a sentence."""
    weights: str = "other"
    """The hub's name for the licence of weights that were trained on it."""


_FMA = Licence(
    "https://github.com/mdeff/fma#license",
    "Each track has a licence of its own (CC BY, CC BY-NC and others).",
)
_GTZAN = Licence(
    "https://doi.org/10.1109/TSA.2002.800560",
    "No licence was ever published. The clips are excerpts of commercial recordings, for research only.",
)
_OWN = Licence("unknown", "The terms are those of the collection's owner.")
_COMPOSED = Licence(
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "The music is machine-made and free of rights.",
    weights="mit",
)
LICENCES = {
    "synthetic": _COMPOSED,
    "composed": _COMPOSED,
    "gtzan": _GTZAN,
    "gtzan_images": _GTZAN,
    "fma_mini": _FMA,
    "fma_small": _FMA,
    "fma_medium": _FMA,
    "fma_large": _FMA,
    "folder": _OWN,
    "web": _OWN,
    "hub": _OWN,
}
