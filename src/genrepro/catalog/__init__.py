"""Stage catalog: from raw files to one row per track.

In: the table that a data set's ``read_catalog`` returns, and the files. Out: catalog.parquet with the hash
and header of each file, and counts of missing values; labels.parquet with what
a composer knows beside the genre. Read `tracks`.
"""

from genrepro.catalog.tracks import build, labels, summary

__all__ = ["build", "labels", "summary"]
