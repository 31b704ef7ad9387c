"""The page's two tabs: a file of one's own, and the data set. Every function answers in HTML, errors too."""

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genrepro.base.errors import GenreproError, one_line
from genrepro.listen import drawing, sounds
from genrepro.listen.collection import COLUMNS, VIEWS, Collection
from genrepro.listen.known import Known
from genrepro.serve.predictor import Predictor

if TYPE_CHECKING:
    import gradio as gr

_MAX_AGE = 600.0  # s; an upload that takes longer was given up
_TITLE = "genrepro: hear and see"


class Page:
    """What the page knows.

    Parameters
    ----------
    predictor : Predictor
        Of a model of audio.
    worth : str
        How far the model can be trusted, in words.
    uploads : Path
        Folder of the uploads: no other file is read as one, or deleted.
    collection : Collection or None
        The data set, if there is one.
    known : Known or None
        The training set of the model, if it is the data set's.
    why_unknown : str
        Why ``known`` is None, in words.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        worth: str,
        uploads: Path,
        collection: Collection | None,
        known: Known | None,
        why_unknown: str = "",
    ) -> None:
        assert predictor.mel is not None
        self.predictor, self.mel, self.worth = predictor, predictor.mel, worth
        self.collection, self.known, self.why_unknown = collection, known, why_unknown
        self.uploads, self.sounds = uploads.resolve(), sounds.Sounds()
        self._one_at_a_time = threading.Lock()  # settings of torch's arithmetic belong to the process

    def hear(self, upload: str | None) -> str:
        """The HTML of an uploaded file. The upload is deleted."""
        if not upload:
            return ""
        path = Path(upload).resolve()
        if not path.is_relative_to(self.uploads):
            return drawing.problem("that is not a file which you uploaded.")
        try:
            return self._heard(path, name=one_line(path.name))
        except GenreproError as error:
            return drawing.problem(str(error))
        except Exception as error:  # a visitor is told that it failed, the terminal why
            print(f"genrepro: {type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
            return drawing.problem(f"{path.name} could not be read.")
        finally:
            path.unlink(missing_ok=True)
            self._tidy()

    def show(self, track_id: str) -> str:
        """The HTML of a track of the data set."""
        if self.collection is None or track_id not in self.collection.tracks.index:
            return drawing.problem(f"there is no track {track_id}.")
        row = self.collection.tracks.loc[track_id]
        spectrogram = self.collection.spectrogram(track_id)
        if spectrogram is None:
            return drawing.problem(f"{track_id} could not be decoded: it has no spectrogram.")
        with self._one_at_a_time:
            prediction = self.predictor.of_spectrogram(spectrogram.astype(np.float32))
            near = self._near(spectrogram, besides=track_id)
        by = " by ".join(str(row[key]) for key in ("title", "artist") if isinstance(row[key], str))
        facts = f"{row['genre']}, {row['side']} side. {by}"
        if isinstance(row["predicted"], str):
            facts += f". In metrics/predictions.csv: {row['predicted']}"
        return (
            drawing.track(
                title=track_id,
                facts=facts,
                sound=self._address(track_id),
                spectrogram=spectrogram,
                top_db=self.mel.top_db,
                prediction=prediction,
            )
            + near
        )

    def choose(self, view: str, genre: str, artist: str) -> pd.DataFrame:
        """The tracks of the second tab's table."""
        if self.collection is None:
            return pd.DataFrame(columns=COLUMNS)
        return self.collection.select(view, genre=None if genre == "all" else genre, artist=artist or "")

    def blocks(self) -> "gr.Blocks":
        """The page as Gradio draws it."""
        import gradio as gr

        with gr.Blocks(title=_TITLE, analytics_enabled=False) as blocks:
            gr.Markdown(f"# genrepro\nModel: {drawing.text(self.worth)}")
            with gr.Tab("Your file"):
                with gr.Row():
                    upload = gr.File(label="Drop or choose a sound file", type="filepath", elem_id="upload")
                    record = gr.Audio(
                        label="Or record", sources=["microphone"], type="filepath", format="wav"
                    )
                heard = gr.HTML(elem_id="heard")
                # The second output empties the field: the upload is gone, and the next one can come.
                upload.upload(lambda path: (self.hear(path), None), upload, [heard, upload], api_name="hear")
                record.stop_recording(self.hear, record, heard, api_visibility="private")
            with gr.Tab("Data set", elem_id="data-set"):
                if self.collection is None:
                    gr.Markdown("There is no data set here yet: run `dvc repro`, then start this page again.")
                else:
                    self._browser(gr)
        return blocks

    def _browser(self, gr: Any) -> None:
        assert self.collection is not None
        with gr.Row():
            view = gr.Dropdown(list(VIEWS), value=VIEWS[0], label="Tracks", elem_id="view")
            genre = gr.Dropdown(["all", *self.collection.genres], value="all", label="Genre", elem_id="genre")
            artist = gr.Textbox(label="Artist", placeholder="a part of the name", elem_id="artist")
        table = gr.Dataframe(
            self.choose(VIEWS[0], "all", ""),
            label="Choose a row to hear and see it",
            interactive=False,
            datatype="str",
            max_height=320,
            elem_id="tracks",
        )
        shown = gr.HTML(elem_id="shown")
        for changed in (view, genre, artist):
            changed.change(self.choose, [view, genre, artist], table, api_visibility="private")

        def selected(event: gr.SelectData) -> str:
            return self.show(str(event.row_value[0]))

        table.select(selected, None, shown, api_visibility="private")

    def _tidy(self) -> None:
        """Delete what uploads that broke off have left, and the empty files that Gradio makes beside each."""
        for path in self.uploads.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and time.time() - path.stat().st_mtime > _MAX_AGE:
                    path.unlink()

    def _heard(self, path: Path, *, name: str) -> str:
        rate = self.mel.sample_rate
        found = sounds.samples(path, name=name, sample_rate=rate)
        content = path.read_bytes()
        address = f"/sound/upload/{self.sounds.keep(sounds.wav(found, sample_rate=rate))}"
        with self._one_at_a_time:
            spectrogram = self.predictor.spectrogram(content, name=name)
            prediction = self.predictor.of_spectrogram(spectrogram)
            near = self._near(spectrogram)
            copies = self.known.copies(spectrogram, content) if self.known else []
        likeliest = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
        warnings = [
            drawing.warning(
                f"{'This file' if copy.exact else 'Another copy of this recording'} is in the data set: "
                f"{copy.track_id}, {copy.side} side."
                + (
                    " The model has learned from it, so its answer proves nothing."
                    if copy.side == "train"
                    else ""
                )
            )
            for copy in copies
        ]
        view = drawing.track(
            title=name,
            facts=f"{len(found) / rate:.1f} s, likeliest {likeliest}",
            sound=address,
            spectrogram=spectrogram,
            top_db=self.mel.top_db,
            prediction=prediction,
        )
        return "".join(warnings) + view + near

    def _near(self, spectrogram: np.ndarray, *, besides: str | None = None) -> str:
        if self.known is None or self.collection is None:
            return f'<div class="facts">No neighbours are shown: {drawing.text(self.why_unknown)}.</div>'
        rows = []
        for name, similarity in self.known.neighbours(spectrogram, besides=besides):
            row = self.collection.tracks.loc[name]
            words = f"{row['genre']}: {name}" + (
                f", {row['artist']}" if isinstance(row["artist"], str) else ""
            )
            rows.append((words, self._address(name), similarity))
        return drawing.near(rows)

    def _address(self, track_id: str) -> str:
        """The address of a track's sound: its row, so that no name of a file is part of it."""
        assert self.collection is not None
        return f"/sound/track/{self.collection.tracks.index.get_loc(track_id)}"
