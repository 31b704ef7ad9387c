"""Everything that is published, in a folder: weights, description, card, tracks, Croissant metadata."""

import json
import shutil
from pathlib import Path

from genrepro.base import files
from genrepro.base.errors import GenreproError
from genrepro.models.shared import checkpoint
from genrepro.publish import card, croissant
from genrepro.publish.licences import LICENCES
from genrepro.serve import worth as worths


def write(model: Path, target: Path, *, data: Path = Path("data"), metrics: Path = Path("metrics")) -> None:
    """Write the folder ``target``, which must be new or one that this function wrote.

    Raises
    ------
    GenreproError
        If nothing proves how good the model is, or ``target`` holds something else.
    """
    if target.exists() and not (target / "model.json").exists() and any(target.iterdir()):
        raise GenreproError(f"{target} is not empty: name a new folder.")
    _, description = checkpoint.load(model, with_body=False)
    known = worths.of(model, description)
    if "dataset" not in known:
        raise GenreproError(
            f"dvc.lock does not prove that metrics/test.json is of the model in {model}: run `dvc repro`."
        )
    dataset = known["dataset"]
    licence = LICENCES[dataset]
    table = croissant.tracks(data / dataset)
    scores = files.read_json(metrics / "test.json")
    with files.replacing(target) as partial:
        partial.mkdir(parents=True)
        for name in ("model.safetensors", "model.json", worths.SEAL):
            if (model / name).exists():  # the seal is there only if model.json says its own worth
                shutil.copyfile(model / name, partial / name)
        written = card.model_card(description, scores=scores, worth=known, licence=licence)
        written.save(partial / "README.md")
        table.to_csv(partial / "tracks.csv", index=False, lineterminator="\n")
        described = croissant.metadata(partial / "tracks.csv", dataset=dataset, licence=licence)
        text = json.dumps(described, indent=2, ensure_ascii=False, default=str) + "\n"
        (partial / "croissant.json").write_text(text, "utf-8")


def push(folder: Path, repository: str) -> str:
    """Upload a folder to ``owner/name`` of the hub, by its own client and login. Returns the address.

    Raises
    ------
    GenreproError
        If the hub refuses, or cannot be reached.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        address = api.create_repo(repository, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="genrepro publish")
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenreproError(f"the hub did not take {repository}: {reason} (`hf auth login`?)") from error
    return str(address)
