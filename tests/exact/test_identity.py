"""Claims about names: one artist, album or genre in several spellings is one."""

import unicodedata

import pandas as pd
import pytest

from genrepro.audit import faults
from genrepro.base.tables import AUDIT
from genrepro.exact.identity import artist_key, groups, name_key, one_spelling, text
from genrepro.split.proof import leaks

SPELLINGS = {
    "Unicode's two forms": ("Björk", unicodedata.normalize("NFD", "Björk")),
    "two accents in another order": ("a\u0323\u0302", "a\u0302\u0323"),
    "case": ("Sigur Rós", "SIGUR RÓS"),
    "a sharp s": ("Die Ärzte groß", "DIE ÄRZTE GROSS"),
    "spaces around and between": ("Nina Simone", "  Nina   Simone "),
    "other white space": ("Nina Simone", "Nina\u00a0Simone\u3000"),
    "invisible characters": ("Nina Simone", "\ufeffNina\u200b Si\u00admone\u200f"),
    "full width": ("AKB48", "\uff21\uff2b\uff22\uff14\uff18"),
    "half width": ("ガクト", "\uff76\uff9e\uff78\uff84"),
    "ligatures": ("Griffin", "Gri\ufb03n"),
    "apostrophes": ("Destiny's Child", "Destiny\u2019s Child"),
    "hyphens": ("Jay-Z", "Jay\u2010Z"),
    "hyphens that do not break": ("Jay-Z", "Jay\u2011Z"),
}


def test_spellings_of_a_name_have_one_key(subtests: pytest.Subtests) -> None:
    for one, other in SPELLINGS.values():
        with subtests.test(one=one):
            assert one != other and name_key(one) == name_key(other)


def test_other_names_have_other_keys(subtests: pytest.Subtests) -> None:
    for one, other in [
        ("Ann", "Anna"),
        ("Beyonce", "Beyoncé"),  # an accent may tell two people apart
        ("Jay-Z", "Jay-Z feat. Rihanna"),
        ("AC/DC", "ACDC"),
    ]:
        with subtests.test(one=one):
            assert name_key(one) != name_key(other)


def test_a_blank_name_is_nobody(subtests: pytest.Subtests) -> None:
    for blank in [None, float("nan"), pd.NA, "", "  ", "\u200b", "\u00a0\ufeff"]:
        with subtests.test(blank=blank):
            assert artist_key(blank) is None and text(blank) is None


def test_text_keeps_what_people_see() -> None:
    assert text(unicodedata.normalize("NFD", " Björk \ufeff")) == "Björk"
    assert text("\uff21\uff2b\uff22 \u2019n\u2019 Co") == "\uff21\uff2b\uff22 \u2019n\u2019 Co"


def test_the_most_frequent_spelling_of_a_label_wins() -> None:
    labels = [
        "Rock",
        "rock ",
        "rock",
        "rock",
        None,
        "Pop",
        unicodedata.normalize("NFD", "Schlagér"),
        "Schlagér",
    ]
    assert one_spelling(labels) == ["rock", "rock", "rock", "rock", None, "Pop", "Schlagér", "Schlagér"]


def tracks(artists: list[str]) -> pd.DataFrame:
    rows = [
        {"track_id": f"t{number:02d}", "genre": "rock", "artist": artist, "duplicate_group": None}
        for number, artist in enumerate(artists)
    ]
    return pd.DataFrame(rows)


def test_an_artist_in_two_spellings_is_one_group_and_leaks(subtests: pytest.Subtests) -> None:
    for one, other in SPELLINGS.values():
        with subtests.test(one=one):
            table = tracks([one, other])
            assert len(set(groups(table))) == 1
            split = pd.DataFrame({"track_id": ["t00", "t01"], "split": ["train", "test"]})
            proof = leaks(split, table)
            assert (proof["shared_artists"], proof["leaky"]) == (1, 1)


def test_the_audit_counts_artists_and_albums_once_in_any_spelling() -> None:
    one, other = SPELLINGS["Unicode's two forms"]
    import pyarrow as pa

    catalog = pa.table(
        {
            "genre": ["rock", "pop"],
            "artist": [one, other],
            "album": [one, other],
            "official_split": ["train", "test"],
        }
    )
    rows = [{"track_id": f"t{n}", "reasons": [], "duplicate_group": None, "excluded": None} for n in (0, 1)]
    counts = faults.summary(pa.Table.from_pylist(rows, schema=AUDIT), catalog)
    assert counts["num_artists"] == 1 and counts["num_artists_in_several_genres"] == 1
    assert counts["official_shared_artists"] == 1 and counts["official_shared_albums"] == 1
