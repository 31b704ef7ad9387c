"""The code that MLflow runs to load a registered model (*models from code*, without a pickle).

`registry.register` lets MLflow copy this file beside the weights and the package, so that a version always
uses the code that it was registered with. The process that serves the model executes this file.
"""

from genrepro.exact import numerics

# ruff: noqa: E402 - numpy must be imported after pinning
_PINNED = numerics.pinned()  # true if `genrepro serve` did it before MLflow imported numpy
numerics.pin()  # otherwise this is in time for torch, which MLflow does not import

import base64
import binascii
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from genrepro.base.errors import GenreproError, printable
from genrepro.serve import allowed
from genrepro.serve.predictor import Predictor

if not _PINNED and os.environ.get("GENREPRO_NATIVE") != "1":
    logging.getLogger("mlflow.genrepro").warning(
        "numpy was imported before its arithmetic could be fixed, so probabilities may differ from those of "
        "`genrepro predict` in their last digits: start the server with `genrepro serve`, or run "
        '`eval "$(python -m genrepro.exact.numerics)"` before.'
    )


class Genres(PythonModel):
    """From the bytes of clips, or their paths, to a row of genre probabilities for each."""

    def load_context(self, context: Any) -> None:
        """Read the model that MLflow keeps beside this file."""
        self._predictor = Predictor(Path(context.artifacts["weights"]).parent)
        self._allowed = allowed.folder()
        # Requests run in threads, but the settings of torch's arithmetic belong to the whole process.
        self._one_at_a_time = threading.Lock()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """One row for each input: ``genre``, a probability for each genre in label order, ``error``.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
        model_input : pd.DataFrame
            ``audio``, a file's bytes, or ``path`` of a file in the folder ``$GENREPRO_ALLOW_PATHS``. Without
            that variable a path is refused. A table may have both columns, but each row has one value.
        params : dict, optional
            Unused.

        Returns
        -------
        pd.DataFrame
            If an input cannot be read, ``error`` says why in one sentence, and the rest is null.
        """
        if not {"path", "audio"} & set(model_input.columns):
            raise MlflowException.invalid_parameter_value("name a column of the input `path` or `audio`.")
        rows = [self._row(row) for row in model_input.to_dict("records")]
        # As objects: a null among floats would become NaN, which JSON does not have.
        return pd.DataFrame(rows, index=model_input.index, dtype=object)

    def _row(self, given: Mapping[Any, Any]) -> dict[str, Any]:
        genres = self._predictor.description["genres"]
        try:
            content, name = _content(given, allowed_folder=self._allowed)
            with self._one_at_a_time:
                probabilities = self._predictor(content, name=name).probabilities
        except GenreproError as error:
            return {"genre": None, **dict.fromkeys(genres), "error": printable(str(error))}
        likeliest = max(genres, key=lambda genre: probabilities[genre])
        return {"genre": likeliest, **probabilities, "error": None}


def _content(given: Mapping[Any, Any], *, allowed_folder: Path | None) -> tuple[bytes, str | None]:
    """The bytes of a row's file, and its name if it has one. Empty counts as null: MLflow's JSON has no null
    bytes."""
    values = {key: value for key, value in given.items() if isinstance(value, str | bytes) and value}
    if len(values) != 1:
        raise GenreproError("an input is either a path or the bytes of a file in audio, and not empty.")
    (value,) = values.values()
    if isinstance(value, bytes):
        return _decoded(value), None
    if allowed_folder is None:
        raise GenreproError(
            "this server reads no paths: send the file's bytes in audio, or start it with "
            "`genrepro serve --allow-paths <folder>`."
        )
    return allowed.read(value, inside=allowed_folder), value


def _decoded(content: bytes) -> bytes:
    """``content``, decoded if it is base64, which no sound or picture file is.

    MLflow decodes base64 in `dataframe_records` and `dataframe_split`, not in `inputs` and `instances`.
    """
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        return content


set_model(Genres())
