"""A composer for the embedded dataset: seed -> artist -> score -> audio.

`styles` declares ten genres, `artists` draws who plays them, `composer` writes the score, `instruments`
sounds a note, `mixing` records the band.
"""
