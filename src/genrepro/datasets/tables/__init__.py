"""Tables of facts about data sets that are not part of their downloads."""
