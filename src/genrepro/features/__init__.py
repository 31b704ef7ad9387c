"""Stage features: from mel.parquet to the input of the trainable part of a model.

In: spectrograms, the split, the section ``segments``. Out: a features folder, as `models.shared.inputs`
reads it: log-mel or MFCC frames (`packing`), a frozen body's embeddings of every segment (`embeddings`), or
one layer of those that the stage embed has kept (`kept`).
"""

from genrepro.features.embeddings import embed
from genrepro.features.kept import choose
from genrepro.features.packing import normalise, pack, represent

__all__ = ["choose", "embed", "normalise", "pack", "represent"]
