"""The contestants of `train.py`, each a process of its own.

    python benchmarks/trainers.py ours|user CONTESTANT CASE FOLDER       started by `train.py`

`ours` pins instruction sets and threads as the stages do; `user` does not. For every line ``go`` that comes,
a contestant trains for one turn and says how many seconds it took, and how many of processor time; for any
other it says its peak memory.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]

if __name__ == "__main__" and sys.argv[1] == "ours":
    import stages  # noqa: F401 - before numpy is loaded

import numpy as np
import torch
from torch.nn import functional as F

from cases import BANDS, CASES, GPU, NUM_GENRES, PRECISION, configuration, data, transformers_ast
from genrepro.base import params

DEVICE = torch.device("cuda" if GPU else "cpu")
# What the bare loop does not do.
PLAIN: dict[str, Any] = {
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "num_time_masks": 0,
    "num_frequency_masks": 0,
    "time_stretch": 0.0,
    "frequency_shift": 0.0,
    "ema": 0.0,
}


class Turns:
    """This side of the race: says what each turn took, and waits for the next."""

    def __init__(self) -> None:
        # What libraries print must not be taken for an answer.
        self.answers, sys.stdout = sys.stdout, sys.stderr
        self.start: tuple[float, float] | None = None

    def next(self) -> None:
        """End the turn under way, if there is one, and begin the next; or say the memory and end."""
        if GPU:
            torch.cuda.synchronize()
        if self.start is not None:
            wall, busy = self.start
            print(time.perf_counter() - wall, time.process_time() - busy, file=self.answers, flush=True)
        if sys.stdin.readline().strip() != "go":
            print(_peak_memory(), file=self.answers, flush=True)
            os._exit(0)  # from within whichever loop this is
        self.start = time.perf_counter(), time.process_time()


class Paced:
    """Training segments, in turns of so many steps, across epochs."""

    def __init__(self, batches: Any, turns: Turns, *, steps: int) -> None:
        self.batches, self.turns, self.steps = batches, turns, steps
        self.num_pieces, self.num_done = batches.num_pieces, 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            if self.num_done % self.steps == 0:
                self.turns.next()
            self.num_done += 1
            yield batch


def ours(contestant: str, name: str) -> None:
    """All that runs genrepro's own modules."""
    from genrepro import models
    from genrepro.base import devices
    from genrepro.exact import dense, numerics
    from genrepro.features import embeddings
    from genrepro.models.shared import batches
    from genrepro.models.shared.segments import spans
    from genrepro.train import loop
    from genrepro.exact.streams import generator

    numerics.use_torch(0)
    turns, case, config = Turns(), CASES[name], configuration(name)
    packed, split = data(name, config)
    compute, rng = devices.compute(PRECISION), generator(0, "benchmark")
    architecture = config.architecture()
    # As `fit.run` has it, for the bare loop too: loops are compared here, not products.
    held = ExitStack()
    head = packed.embedded and contestant != "embed"
    held.enter_context(dense.arithmetic(compute.device, embedded=head))
    cutter = batches.Cutter(packed.frames, device=compute.device, embedded=packed.embedded)

    def build() -> torch.nn.Module:
        if packed.embedded:
            return models.build_head(config.model, architecture, num_genres=NUM_GENRES)
        return models.build(config.model, architecture, num_genres=NUM_GENRES, inputs=packed.description)

    def segments(recipe: params.Train) -> batches.TrainingSegments:
        return batches.of_training(packed, split, cutter, params=recipe, rng=rng)

    def fit(recipe: params.Train, training_segments: Any) -> None:
        loop.fit(
            build(),
            training=training_segments,
            voters=batches.of_vote(packed, split, cutter, side="validation"),
            voting="mean",
            num_genres=NUM_GENRES,
            params=recipe,
            compute=compute,
            rng=rng,
        )

    if contestant == "bare":
        layout = torch.channels_last  # what the fit loop uses
        model = build().to(compute.device, memory_format=layout).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.train.lr, fused=True)
        ready = [
            (x if packed.embedded else x.contiguous(memory_format=layout), y)
            for x, y in islice(segments(config.train), case.steps)
        ]
        while True:
            turns.next()
            for x, y in ready:
                with compute.autocast():
                    loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
    elif contestant == "embed":
        spectrograms, split = data("vit_tuned", config)
        whole = spans(spectrograms.index, split, side="train", genres=packed.genres)
        number = np.arange(case.batch_size * case.slow_steps)
        few = replace(
            whole,
            first_frame=whole.first_frame[number],
            num_frames=whole.num_frames[number],
            label=number,
            track=number,
        )
        model = models.build("vit", architecture, num_genres=NUM_GENRES, inputs=spectrograms.description)
        while True:
            turns.next()
            embeddings.run(spectrograms.frames, few, model, compute=compute)
    elif contestant == "lr":
        recipe = replace(params.load().train, precision=PRECISION)
        while True:
            turns.next()
            fit(recipe, segments(recipe))
    else:  # fit, native, augmented
        plain = {} if contestant == "augmented" else PLAIN
        recipe = replace(config.train, epochs=10**6, **plain)
        fit(recipe, Paced(segments(recipe), turns, steps=case.steps))


def user(contestant: str, name: str, folder: str) -> None:
    """What one would train with instead."""
    (trainer if CASES[name].model == "ast" else torchvision_loop)(name, folder)


def trainer(name: str, folder: str) -> None:
    """transformers' Trainer as it comes, on inputs in memory."""
    import transformers

    from genrepro.models.shared.segments import segment_frames

    case, config, turns = CASES[name], configuration(name), Turns()
    packed, _ = data(name, config)
    length = segment_frames(packed.description)
    starts = packed.index["first_frame"]
    samples = [
        {
            "input_values": torch.from_numpy(packed.frames[first : first + length]).float(),
            "labels": number % NUM_GENRES,
        }
        for number, first in enumerate(starts)
    ]
    model = transformers_ast(config, packed)

    class Pace(transformers.TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % case.steps == 0:
                turns.next()

    arguments = transformers.TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=case.batch_size,
        learning_rate=config.train.lr,
        weight_decay=config.train.weight_decay,
        max_steps=10**6,
        bf16=GPU,
        use_cpu=not GPU,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    transformers.Trainer(model=model, args=arguments, train_dataset=samples, callbacks=[Pace()]).train()


def torchvision_loop(name: str, folder: str) -> None:
    """The loop of torchvision's references/classification/train.py, at its least: no average, no clipping."""
    from torch import nn
    from torchvision import models, transforms
    from torchvision.datasets import ImageFolder

    case, config, turns = CASES[name], configuration(name), Turns()
    transform = transforms.Compose(
        [
            transforms.CenterCrop((BANDS, 348)),  # the ViT report's: all of the spectrogram
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    loader = torch.utils.data.DataLoader(
        ImageFolder(folder, transform),
        batch_size=case.batch_size,
        shuffle=True,
        # The script's own default is 16; where the processors themselves train, none is left to read.
        num_workers=min(16, os.cpu_count() or 1) if GPU else 0,
        pin_memory=GPU,
    )
    body = models.vit_b_16()
    head = nn.Sequential(nn.Linear(768, 1024), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, NUM_GENRES))
    body.heads = nn.Identity()
    frozen = name == "vit_frozen"
    model = nn.Sequential(body, head).to(DEVICE).train()
    if frozen:
        body.requires_grad_(False).eval()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.train.lr, weight_decay=config.train.weight_decay)
    autocast = torch.autocast("cuda", dtype=torch.bfloat16) if GPU else nullcontext()
    while True:
        turns.next()  # on a GPU a turn is an epoch: its workers start within
        for images, labels in islice(loader, case.slow_steps or case.steps):
            images, labels = images.to(DEVICE, non_blocking=True), labels.to(DEVICE, non_blocking=True)
            with autocast:
                with torch.set_grad_enabled(not frozen):
                    embedded = body(images)
                loss = F.cross_entropy(head(embedded), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()


def _peak_memory() -> int:
    """MB: of tensors on a GPU, otherwise of the process."""
    if GPU:
        return torch.cuda.max_memory_allocated() // 10**6
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        ours(*sys.argv[2:4])
    else:
        user(*sys.argv[2:5])
