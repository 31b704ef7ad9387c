"""Declare the drum kit, and synthesise single strokes.

As in analogue drum machines, a drum is a sine with falling pitch plus a band of noise, each with its own
decay.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genrepro.datasets.synthesis.signals import (
    SAMPLE_RATE,
    Samples,
    decay,
    fade_in,
    gain,
    noise_band,
    sweep,
    to_peak,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A drum or cymbal."""

    tone: tuple[float, float] | None = None
    """Pitch at the stroke and after it [Hz]."""
    tone_decay: float = 0.15
    """Time in which the tone falls by 60 dB [s]."""
    noise: tuple[float, float] | None = None
    """Edges of the noise band [Hz]."""
    noise_decay: float = 0.15
    """Time in which the noise falls by 60 dB [s]."""
    noise_level: float = 0.0
    """Noise relative to the tone [dB]."""
    repeats: int = 1
    """Number of strokes, 11 ms apart, for a clap of several hands."""
    attack: float = 0.0001
    """Time to full amplitude [s]. It is longer for a brush or a shaker."""
    level: float = 0.0
    """Loudness in the kit [dB]."""


KIT: Mapping[str, Hit] = {
    "kick": Hit(tone=(160, 52), tone_decay=0.32, noise=(1500, 5000), noise_decay=0.02, noise_level=-12),
    "clickkick": Hit(tone=(140, 50), tone_decay=0.2, noise=(2500, 7500), noise_decay=0.02, noise_level=-1),
    "snare": Hit(tone=(240, 185), tone_decay=0.14, noise=(1200, 8500), noise_decay=0.24, level=-3),
    "rim": Hit(tone=(900, 820), tone_decay=0.05, noise=(1500, 5000), noise_decay=0.04, level=-7),
    "clap": Hit(noise=(900, 4500), noise_decay=0.22, repeats=3, level=-5),
    "hat": Hit(noise=(6500, 10500), noise_decay=0.06, level=-14),
    "pedal": Hit(noise=(5500, 9500), noise_decay=0.05, level=-14),
    "openhat": Hit(noise=(5500, 10500), noise_decay=0.40, level=-13),
    "ride": Hit(tone=(3450, 3450), tone_decay=0.5, noise=(4500, 10000), noise_decay=0.6, level=-17),
    "crash": Hit(noise=(2500, 10500), noise_decay=1.4, level=-11),
    "tom": Hit(
        tone=(190, 110), tone_decay=0.35, noise=(400, 2500), noise_decay=0.05, noise_level=-10, level=-3
    ),
    "brush": Hit(noise=(1800, 8000), noise_decay=0.14, attack=0.025, level=-13),
    "shaker": Hit(noise=(5000, 10500), noise_decay=0.08, attack=0.02, level=-16),
}


def render_hit(hit: Hit, *, pitch: float, stretch: float, rng: np.random.Generator) -> Samples:
    """Synthesise one stroke.

    Parameters
    ----------
    hit
        The drum.
    pitch
        Factor on the drum's frequencies.
    stretch
        Factor on the drum's decay times.
    rng
        Source of the noise.

    Returns
    -------
    numpy.ndarray [shape=(num_samples,)]
        The whole stroke, with the drum's level as its peak.
    """
    longest = max(hit.tone_decay if hit.tone else 0.0, hit.noise_decay if hit.noise else 0.0)
    num_samples = int(min(1.6, 0.02 + longest * stretch) * SAMPLE_RATE)
    mix = np.zeros(num_samples, np.float32)
    if hit.tone:
        start, end = (pitch * edge for edge in hit.tone)
        mix += sweep(start=start, end=end, fall=0.06, num_samples=num_samples) * decay(
            num_samples, seconds=hit.tone_decay * stretch
        )
    if hit.noise:
        edges = (hit.noise[0] * pitch, min(hit.noise[1] * pitch, 0.49 * SAMPLE_RATE))
        noise = noise_band(rng, edges=edges, num_samples=num_samples) * gain(hit.noise_level)
        noise *= decay(num_samples, seconds=hit.noise_decay * stretch)
        for repeat in range(hit.repeats):
            delay = int(0.011 * repeat * SAMPLE_RATE)
            mix[delay:] += noise[: num_samples - delay]
    fade_in(mix, seconds=hit.attack)
    return to_peak(mix) * gain(hit.level)
