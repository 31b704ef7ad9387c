"""Fit a model to the training side of a split: build what params.yaml describes, run its epochs (`loop`)."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from genrepro import models
from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.base.params import Params, Train
from genrepro.exact import dense
from genrepro.exact.streams import generator
from genrepro.models.shared import batches
from genrepro.models.shared.body import standardise
from genrepro.models.shared.inputs import Features
from genrepro.train import loop, objectives, probe, start
from genrepro.train.loop import Fit, Watch
from genrepro.train.progress import Epoch
from genrepro.train.resume import Resume
from genrepro.train.start import Start


def run(
    features: Features,
    split: pd.DataFrame,
    config: Params,
    description: dict[str, Any],
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    unfinished: Path | None = None,
    watch: Watch | None = None,
    begin: Start | None = None,
    labels: pd.DataFrame | None = None,
) -> tuple[Fit, dict[str, int]]:
    """Build the model of ``description`` and fit it to the training side of ``split``.

    Parameters
    ----------
    features : Features
        Spectrograms, or embeddings of a frozen body. Of embeddings, only the head is built and trained.
    split : DataFrame
    config : Params
    description : dict
        model.json, as `checkpoint.describe` makes it.
    on_epoch : callable
        Called with each finished epoch. A resumed training first calls it with the epochs already done.
    unfinished : Path, optional
        File that keeps the state and from which a killed training goes on. Deleted at the end.
    watch : callable, optional
        See `loop.fit`. With it no progress bar is shown: the caller shows its own.
    begin : Start, optional
        The trained model that ``train.start`` names. What is taken of it is printed.
    labels : DataFrame, optional
        Columns of `tables.LABELS`, for ``train.objective`` multi_task.

    Returns
    -------
    Fit
    dict
        ``num_parameters`` and ``num_trainable_parameters``.

    Raises
    ------
    GenreproError
        If nothing of ``begin`` fits, or not all of it while ``train.epochs`` is 0, or if only a head is
        trained, for which there is no start.
    """
    compute = devices.compute(config.train.precision)
    resume = None if unfinished is None else _resume(unfinished, config, description, compute)
    num_genres = len(features.genres)
    if features.embedded:
        if begin is not None:
            raise GenreproError(
                f"train.start begins with a trained body, and {config.model}.trainable_blocks = 0 freezes "
                "another: set it to 1 or more, or train.start to none."
            )
        model = models.build_head(
            config.model, description[config.model], num_genres=num_genres, inputs=description
        )
        standardise(model, batches.training_rows(features, split))
    else:
        model = models.build(
            config.model, description[config.model], num_genres=num_genres, inputs=description
        )
        models.load_weights(model)
        if begin is not None:
            taken = start.load(
                model, begin, name=config.model, section=description[config.model], description=description
            )
            if not compute.rank:
                print(f"start from {begin.folder}: {taken}")
            if not config.train.epochs and not taken.whole:
                raise GenreproError(
                    f"train.epochs = 0 keeps the start as it is, but it does not fit: {taken}."
                )
    parameters = list(model.parameters())
    body = features.description["body"]["num_parameters"] if features.embedded else 0
    counted = {
        "num_parameters": body + sum(p.numel() for p in parameters),
        "num_trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
    }
    cutter = batches.Cutter(features.frames, device=compute.device, embedded=features.embedded)
    rng = generator(config.seed, "train.batches")
    params = config.train
    if description["segments"]["representation"] == "mfcc":
        params = replace(params, frequency_shift=0.0, num_frequency_masks=0)  # coefficients are not bands
    if params.objective == "multi_task":
        params = replace(params, frequency_shift=0.0, time_stretch=0.0)  # they would change key and tempo
    voters = batches.of_vote(features, split, cutter, side="validation")
    voting = description["segments"]["voting"]
    if not params.epochs:
        trained = batches.of_vote(features, split, cutter, side="train")
        fitted = loop.as_it_is(
            model,
            trained,
            voters,
            voting=voting,
            objective=objectives.Genre(num_genres=num_genres, params=params),
            compute=compute,
        )
        on_epoch(fitted.best)
        return fitted, counted
    training = batches.of_training(features, split, cutter, params=params, rng=rng)
    objective = _objective(features, split, training, labels, params=params)
    if params.objective == "m2d":  # it has a mask and an average of its own
        params = replace(params, ema=0.0, num_time_masks=0, num_frequency_masks=0)
    with (
        # torch.compile chooses its own kernels for matrix products.
        nullcontext() if params.compile else dense.arithmetic(compute.device, embedded=features.embedded),
        tqdm(
            total=params.epochs,
            desc="train",
            unit=" epochs",
            disable=True if compute.rank or watch else None,
        ) as progress,
    ):

        def advance(epoch: Epoch) -> None:
            progress.set_postfix_str(
                f"loss {epoch.train_loss:.3f}, validation {epoch.validation_accuracy:.3f}"
            )
            progress.update()
            on_epoch(epoch)

        fitted = loop.fit(
            model,
            training=training,
            voters=voters,
            voting=voting,
            num_genres=num_genres,
            params=params,
            compute=compute,
            rng=rng,
            on_epoch=advance,
            resume=resume,
            watch=watch,
            objective=objective,
        )
    if resume is not None and compute.rank == 0:
        resume.done()
    return fitted, counted


def _objective(
    features: Features,
    split: pd.DataFrame,
    training: batches.TrainingSegments,
    labels: pd.DataFrame | None,
    *,
    params: Train,
) -> objectives.Genre:
    """What ``train.objective`` names."""
    num_genres, cutter = len(features.genres), training.cutter
    if params.objective == "multi_task":
        assert labels is not None
        return objectives.MultiTask(labels, training, num_genres=num_genres, params=params)
    if params.objective == "m2d":
        return objectives.M2d(
            batches.of_probe(features, split, cutter, at_most=probe.NUM_SEGMENTS),
            batches.of_vote(features, split, cutter, side="validation", role="grid"),
            num_genres=num_genres,
            params=params,
        )
    return objectives.Genre(num_genres=num_genres, params=params)


def _resume(path: Path, config: Params, description: dict[str, Any], compute: devices.Compute) -> Resume:
    identity = {
        **description,
        "seed": config.seed,
        "train": config.section("train"),
        "device": compute.device.type,
        "processes": compute.num_processes,
    }
    return Resume(path, identity)
