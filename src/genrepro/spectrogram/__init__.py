"""The spectrogram of one file: audio or a picture in, log-mel in decibels out.

Two users: the stage render, for every track, and `serve`, for a file that somebody brings. Both must compute
the same numbers, so the code is theirs together and lives here.
Read `audio` (decode, resample), `mel` (librosa's log-mel), `pictures` (spectrograms out of coloured PNGs).
"""
