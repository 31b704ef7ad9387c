"""Stage catalog: from raw files to one row a track.

In: what a data set's ``read_catalog`` says of its tracks, and the files. Out: catalog.parquet with
hash and header of each file, and counts of what is missing. Read `tracks`.
"""

from genrepro.catalog.tracks import build, summary

__all__ = ["build", "summary"]
