"""Stage embed: run a published body once over a whole data set, and keep all its layers.

In: raw audio, or the spectrograms of mel.parquet, and the section ``pretrained``. Out: embeddings.parquet, as
`models.shared.layers` reads it. It does not depend on the split, so a draw of other splits embeds nothing.
Read `hearing` (bodies of audio, family by family), `seeing` (bodies of pictures), `given` (embeddings that
others made), `chunks` (the loop, which survives a kill).
"""

from genrepro.embed.chunks import keep

__all__ = ["keep"]
