"""Stage render: from the catalog to mel.parquet, levels.parquet and pictures for people.

In: catalog.parquet and raw files. Out: one log-mel a track, levels of its samples, PNGs.
Read `write` (many workers, one writer), `journal` (what outlives a kill), `engines` (processes here, or
Dask or Ray), `gallery` (the PNGs).
"""

from genrepro.render.gallery import draw_gallery
from genrepro.render.write import render

__all__ = ["draw_gallery", "render"]
