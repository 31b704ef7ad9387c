"""Stage features: from mel.parquet to the input of the trainable part of a model.

In: spectrograms, the split, the section ``segments``. Out: a features folder, as `models.shared.inputs`
reads it: log-mel or MFCC frames (`packing`), or a frozen body's embeddings of every segment (`embeddings`).
"""

from genrepro.features.embeddings import embed
from genrepro.features.packing import normalise, pack, represent

__all__ = ["embed", "normalise", "pack", "represent"]
