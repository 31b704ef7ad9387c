"""genrepro: reproducible music genre recognition, from audio to an accuracy with its uncertainty."""

__version__ = "0.1.0"
