"""Make the spectrogram of one file: audio or a picture in, log-mel in decibels out.

The stage render uses this package for every track, and `serve` for a file that somebody brings. Both must
compute the same numbers, so they share this code.
Read `audio` (decode, resample), `ffmpeg` (what libsndfile cannot), `lengths` (headers that say too little),
then `mel` (librosa's log-mel), `pictures` (spectrograms from coloured PNGs).
"""
