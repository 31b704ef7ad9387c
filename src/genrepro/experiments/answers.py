"""Answer the questions of experiments.yaml by pairs of experiments, and correct their p values together.

A pair is answered over groups of tracks: by the sign-flip test where both experiments have the same test
tracks, by two intervals where they have not. Of many questions some come out by chance alone. So the p values
of all pairs that have run are corrected together (Holm, Scandinavian Journal of Statistics 1979), and only
the corrected one decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genrepro.compare.pairs import SIGNIFICANCE
from genrepro.evaluate.intervals import Difference
from genrepro.experiments import hits
from genrepro.experiments.definitions import Experiment, Question
from genrepro.experiments.measured import Measured


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One pair of a question, A and B."""

    names: tuple[str, str]
    a: Measured | None
    b: Measured | None
    """With the seeds that both have. None if they share none."""
    difference: Difference | None
    """B minus A. None unless the hits of all these seeds are kept."""
    paired: bool
    """Whether it is paired by tracks."""
    p_holm: float | None = None
    """The p value, corrected for all pairs of all questions."""

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance, after the correction."""
        return self.p_holm is not None and self.p_holm <= SIGNIFICANCE


def answer(questions: Sequence[Question], found: Mapping[str, Measured]) -> list[list[Answer]]:
    """The answers of each question, a list for its pairs."""
    answers = [[_pair(names, found) for names in question.pairs] for question in questions]
    tested = [of.difference.p_value for pairs in answers for of in pairs if of.difference]
    corrected = iter(holm(tested))
    return [
        [
            Answer(names=of.names, a=of.a, b=of.b, difference=of.difference, paired=of.paired,
                   p_holm=next(corrected) if of.difference else None)
            for of in pairs
        ]
        for pairs in answers
    ]  # fmt: skip


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p values, in the order of the given ones."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def sentence(
    question: Question, answers: Sequence[Answer], known: Mapping[str, Experiment], *, alone: bool = False
) -> str:
    """The answer in one sentence: that of the first pair that can be judged, and how many agree with it.

    ``alone`` adds the difference, its interval and the p value, where no table beside it has them.
    """
    judged = [of for of in answers if of.difference]
    ran = next((of for of in answers if of.a and of.b), None)
    if ran is None:
        needs = sorted({need for of in answers for name in of.names for need in known[name].needs})
        return f"**Open**: it has not run{', and needs ' + ', '.join(needs) if needs else ''}."
    lead = judged[0] if judged else ran
    assert lead.a and lead.b
    said = (
        f"{question.b} was right on {lead.b.accuracy:.3f} of the tracks, "
        f"{question.a} on {lead.a.accuracy:.3f} ({place(lead)})"
    )
    if lead.difference is None:
        return f"**Not judged**: {said}, but the records do not say on which."
    change = lead.difference
    verdict = "Not shown" if not lead.shown else "Yes" if change.value > 0 else "No, it is the reverse"
    said = f"**{verdict}**: {said}"
    if alone:
        p_value = "< 0.001" if lead.p_holm < 0.001 else f"= {lead.p_holm:.3f}"  # type: ignore[operator]
        said += (
            f": {change.value:+.3f}, 95 % interval over artists {change.low:+.3f} to {change.high:+.3f}, "
            f"p {p_value} after Holm's correction"
        )
    if not lead.shown and change.smallest is not None:
        said += f"; a difference below {change.smallest:.2f} would often stay unseen"
    if len(judged) > 1:
        same = sum(of.shown and (of.difference.value > 0) == (change.value > 0) for of in judged
                   if of.difference)  # fmt: skip
        said += f"; {same} of {len(judged)} pairs show it" if lead.shown else ""
    return said + "."


def place(of: Answer) -> str:
    """The data and splits of a pair: ``gtzan_images, official against random``."""
    assert of.a and of.b
    sides = [side.experiment.params for side in (of.a, of.b)]
    data = " against ".join(dict.fromkeys(side.dataset for side in sides))
    return f"{data}, {' against '.join(dict.fromkeys(side.split.strategy for side in sides))}"


def _pair(names: Sequence[str], found: Mapping[str, Measured]) -> Answer:
    first, second = names
    sides = [found.get(name) for name in names]
    seeds: set[int] = set()
    if all(sides):
        seeds = set.intersection(*({run.seed for run in side.runs} for side in sides if side))
    if not seeds:
        return Answer(names=(first, second), a=None, b=None, difference=None, paired=False)
    a, b = (_of_seeds(side, seeds) for side in sides if side)
    difference, paired = None, False
    if seeds == set(a.hits) == set(b.hits):
        difference, paired = hits.compare(a.hits, b.hits)
    return Answer(names=(first, second), a=a, b=b, difference=difference, paired=paired)


def _of_seeds(of: Measured, seeds: set[int]) -> Measured:
    return Measured(
        experiment=of.experiment,
        runs=tuple(run for run in of.runs if run.seed in seeds),
        hits={seed: right for seed, right in of.hits.items() if seed in seeds},
    )
