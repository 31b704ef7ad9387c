"""Does the model still know a track that was compressed, noisy, louder, muffled, or played a little faster?

In: a trained model and the test tracks' audio. Out: accuracy under each change, with its paired difference
from the accuracy of the untouched audio. Read `changes` (what is done to the samples), `measure` (the model's
answers), `commands` (`genrepro robustness`).
"""
