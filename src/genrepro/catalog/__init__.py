"""Stage catalog: from raw files to one row per track.

In: the table that a data set's ``read_catalog`` returns, and the files. Out: catalog.parquet with the hash
and header of each file, and counts of missing values. Read `tracks`.
"""

from genrepro.catalog.tracks import build, summary

__all__ = ["build", "summary"]
