"""What all models share: how they are fed, what their votes come to, how they are kept.

The stages features, train and evaluate, the sweep and `serve` all use this code: it belongs to none of them.
Read `inputs` (the features folder), `segments` (where its segments lie), `batches` (cut on the device),
`voting` (segments vote on a track), `body` and `weights` (pretrained bodies), `checkpoint` (a model on disk).
`batches`, `voting` and `body` import torch and are therefore imported by name.
"""

from genrepro.models.shared.inputs import Features
from genrepro.models.shared.segments import Spans, segment_frames

__all__ = ["Features", "Spans", "segment_frames"]
