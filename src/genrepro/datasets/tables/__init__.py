"""Facts about data sets that no download holds, carried as tables in the package."""
