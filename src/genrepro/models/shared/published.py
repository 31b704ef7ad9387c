"""Load a body that others published in transformers' format, without running any code of theirs.

The source is a folder, or a model on Hugging Face's hub, of which the configuration and the weights are
downloaded. Remote code is never run: the network is built by transformers' own class for the model's type.
Weights are safetensors. Those that exist only as ``.bin`` are opened with ``weights_only=True``, converted
once, and kept in the cache (``$GENREPRO_CACHE``).
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genrepro.base import files, places
from genrepro.base.errors import GenreproError

KEY = "pretrained.weights"
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_DESCRIPTIONS = ("config.json", "preprocessor_config.json", "processor_config.json")
# Published under a type of their own, with code of their own, though the network is one that transformers
# has.
STANDS_FOR = {"mert_model": "hubert"}
# Tensors that a body may lack: they are used in pretraining alone, or belong to a pooler that is not read.
_NOT_NEEDED = re.compile(r"(^|\.)(masked_spec_embed|mask_token|pooler\..*|position_ids)$")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A body as its publishers describe it."""

    source: str
    """As `pretrained.weights` names it."""
    revision: str
    """The commit on the hub, or empty for a folder."""
    model_type: str
    """transformers' name of the family."""
    network: Any
    """The whole network, in evaluation mode and float32."""
    processor: Any
    """Its feature extractor or image processor, or None if that needs code of the repository (MAEST)."""
    settings: dict[str, Any]
    """preprocessor_config.json"""
    kind: str
    """``audio`` or ``picture``."""


def load(source: str, *, revision: str = "main") -> Published:
    """Load a body.

    Parameters
    ----------
    source : str
        A folder in transformers' format, or a model's name on the hub. Below the folder ``$GENREPRO_DATA`` a
        copy in ``weights/`` under the model's name is used instead of the hub's.
    revision : str
        Commit, tag or branch on the hub.

    Raises
    ------
    GenreproError
        If the model cannot be brought or read, needs code of its own, or is no model of audio or pictures.
    """
    folder, commit = locate(source, revision)
    config = _config(folder, source)
    settings, kind = _settings(folder, source, config)
    folder = _with_safetensors(folder, source)
    with quiet():
        network = _network(folder, source, config)
        processor = None if "MAEST" in _processor_name(settings) else _processor(folder, source, kind)
    return Published(
        source=source,
        revision=commit,
        model_type=config["model_type"],
        network=network.eval().requires_grad_(False),
        processor=processor,
        settings=settings,
        kind=kind,
    )


def locate(source: str, revision: str) -> tuple[Path, str]:
    """The folder that holds the model, and its commit if it came from the hub."""
    named = [places.find(source)]
    if data := os.environ.get("GENREPRO_DATA"):
        weights = places.find(data) / "weights"
        named += [weights / source, weights / source.rpartition("/")[2]]
    for folder in named:
        if folder.is_dir():
            return folder.resolve(), ""
    if not _ID.fullmatch(source):
        raise GenreproError(
            f"{KEY} = {source!r} is neither a folder nor a model's name on Hugging Face's hub (owner/name)."
        )
    folder = _download(source, revision, (*_DESCRIPTIONS, "*.safetensors", "*.safetensors.index.json"))
    if not any((folder / name).is_file() for name in _WEIGHTS):
        folder = _download(source, revision, (*_DESCRIPTIONS, "pytorch_model*.bin", _PICKLED[1]))
    return folder, folder.name


def _download(source: str, revision: str, wanted: tuple[str, ...]) -> Path:
    from huggingface_hub import errors, snapshot_download

    by_hand = f"download it by hand and pass -S {KEY}=<folder>"
    try:
        found = snapshot_download(
            source, revision=revision, allow_patterns=list(wanted), endpoint=os.environ.get("HF_ENDPOINT")
        )
    except errors.GatedRepoError as error:
        raise GenreproError(
            f"{KEY}: {source} is gated: ask for access on its page, then `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise GenreproError(
            f"{KEY}: {source} has no revision {revision!r}: pretrained.revision must be a commit, tag or "
            "branch."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise GenreproError(
            f"{KEY}: the hub has no model {source}, or it is private: check the name."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError, ValueError) as error:
        raise GenreproError(
            f"{KEY}: {source} could not be downloaded ({_reason(error)}): try again later, or {by_hand}."
        ) from error
    return Path(found)


def _config(folder: Path, source: str) -> dict[str, Any]:
    """config.json, with the type of the class that will be built, and without what would import code."""
    from transformers import CONFIG_MAPPING

    values = _json(folder / "config.json")
    if values is None:
        raise GenreproError(
            f"{KEY}: {source} has no readable config.json, so it is no model of transformers."
        )
    own = values.get("model_type")
    if own == "mert_model" and (values.get("feature_extractor_cqt") or values.get("deepnorm")):
        raise GenreproError(f"{KEY}: {source} is a MERT that also reads a constant-Q transform: use MERT-v1.")
    kind = STANDS_FOR.get(str(own), own)
    if kind not in CONFIG_MAPPING:
        needs = (
            "needs code of its own repository, which is never run" if values.get("auto_map") else "is unknown"
        )
        raise GenreproError(
            f"{KEY}: {source} is a model of type {own or 'none'}, which {needs}: choose one of a type that "
            "transformers has."
        )
    return {**{key: value for key, value in values.items() if key != "auto_map"}, "model_type": kind}


def _settings(folder: Path, source: str, config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """preprocessor_config.json, and whether it prepares audio or pictures."""
    from transformers.models.auto import modeling_auto

    values = _json(folder / "preprocessor_config.json")
    if values is None:  # of newer releases, which write all of a model's processors into one file
        whole = _json(folder / "processor_config.json") or {}
        values = whole.get("feature_extractor") or whole.get("image_processor") or {}
    name = _processor_name(values)
    if "FeatureExtractor" in name or "feature_extractor_type" in values:
        # Old vision models have a feature extractor too, which has a size in pixels and no rate in Hz.
        return values, "audio" if "sampling_rate" in values or "MAEST" in name else "picture"
    if "ImageProcessor" in name or "image_mean" in values:
        return values, "picture"
    kind = config["model_type"]
    names = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES | modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if kind in names:
        raise GenreproError(
            f"{KEY}: {source} is a model of text ({kind}): choose one of audio or of pictures."
        )
    raise GenreproError(
        f"{KEY}: {source} has no feature extractor (preprocessor_config.json), so nobody knows what its body "
        "reads: choose a model that has one, or add the file to a local copy."
    )


def _processor_name(settings: dict[str, Any]) -> str:
    return str(settings.get("feature_extractor_type") or settings.get("image_processor_type") or "")


def _network(folder: Path, source: str, config: dict[str, Any]) -> Any:
    import torch
    from transformers import CONFIG_MAPPING, AutoModel

    try:
        network, report = AutoModel.from_pretrained(
            folder,
            config=CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except Exception as error:  # transformers, safetensors and torch raise a dozen types for a damaged file
        raise GenreproError(
            f"{KEY}: {source} cannot be loaded ({_reason(error)}): bring it again, or choose another."
        ) from error
    lost = sorted(name for name in report["missing_keys"] if not _NOT_NEEDED.search(name))
    other = sorted(str(name) for name, *_ in report["mismatched_keys"])
    for names, what in ((lost, "are missing"), (other, "have another shape")):
        if names:
            raise GenreproError(
                f"{KEY}: {source} does not hold the network of its config.json: {len(names)} tensors {what}, "
                f"such as {names[0]}."
            )
    return network


def _processor(folder: Path, source: str, kind: str) -> Any:
    from transformers import AutoFeatureExtractor, AutoImageProcessor

    options = {"trust_remote_code": False, "local_files_only": True}
    try:
        if kind == "audio":
            return AutoFeatureExtractor.from_pretrained(folder, **options)
        return AutoImageProcessor.from_pretrained(folder, **options)
    except Exception as error:  # as above
        raise GenreproError(
            f"{KEY}: the feature extractor of {source} cannot be loaded ({_reason(error)}): choose a model "
            "whose extractor transformers has."
        ) from error


def _with_safetensors(folder: Path, source: str) -> Path:
    """``folder``, or a kept copy of it whose weights are converted from ``.bin``."""
    import torch
    from safetensors.torch import save_file

    if any((folder / name).is_file() for name in _WEIGHTS):
        return folder
    index = _json(folder / _PICKLED[1])
    names = sorted(set(index["weight_map"].values())) if index else [_PICKLED[0]]
    shards = [folder / name for name in names if Path(name).name == name]
    if not all(shard.is_file() for shard in shards):
        raise GenreproError(
            f"{KEY}: {source} has neither model.safetensors nor pytorch_model.bin, the weights that can be "
            "read."
        )
    digest = hashlib.sha256("".join(files.sha256(shard) for shard in shards).encode()).hexdigest()
    kept = places.cache_folder() / "bodies" / digest
    if not (kept / _WEIGHTS[0]).is_file():
        state: dict[str, torch.Tensor] = {}
        for shard in shards:
            try:
                state |= torch.load(shard, map_location="cpu", weights_only=True)
            except Exception as error:  # torch's reader raises a dozen types for bytes that it did not write
                raise GenreproError(
                    f"{KEY}: {shard.name} of {source} is damaged or holds more than tensors "
                    f"({_reason(error)})."
                ) from error
        with files.replacing(kept) as partial:
            partial.mkdir()
            # Tensors that share memory are written each by itself: safetensors refuses them otherwise.
            plain = {name: value.clone().contiguous() for name, value in state.items()}
            save_file(plain, partial / _WEIGHTS[0], metadata={"format": "pt"})
    for name in _DESCRIPTIONS:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, kept / name)
    return kept


def sha256(network: Any) -> str:
    """The hash of a network's weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' messages and bars: what matters is said by this project's own sentences."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _json(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".:")[:300]
