"""Stage render: from the catalog to mel.parquet, levels.parquet and pictures for people.

In: catalog.parquet and raw files. Out: one log-mel per track, levels of its samples, PNGs.
Read `write` (many workers, one writer), `journal` (finished work that survives a kill), `engines` (local
processes, Dask or Ray), `gallery` (the PNGs).
"""

from genrepro.render.gallery import draw_gallery
from genrepro.render.write import render

__all__ = ["draw_gallery", "render"]
