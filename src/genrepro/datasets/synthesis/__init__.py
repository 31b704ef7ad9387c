"""Compose the data sets `synthetic` and `composed`: seed -> artist -> score -> audio.

`styles` declares ten genres, `artists` draws the artists, `composer` writes the score, `instruments` and
`drums` sound single notes and strokes, `mixing` records the band. `singing`, `throat` and `medium`
are for `composed` alone: singers, their sound, and what becomes of a track on its way to the file,
and `seeds`: a track from 200 bytes.
"""
