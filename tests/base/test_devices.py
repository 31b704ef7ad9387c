"""Claims about devices: the variable decides, and what is not there is refused with a sentence."""

import pytest
import torch

from genrepro.base import devices
from genrepro.base.errors import GenreproError
from genrepro.base.params import MODELS
from genrepro.exact import numerics

THERE = {
    "cpu": True,
    "cuda": torch.cuda.is_available(),
    "mps": torch.backends.mps.is_available(),
}


def test_the_variable_chooses_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name, there in THERE.items() if there]:
        monkeypatch.setenv("GENREPRO_ACCELERATOR", name)
        assert devices.device().type == name
        assert devices.compute("32-true").device.type == name


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name, there in THERE.items() if not there]:
        monkeypatch.setenv("GENREPRO_ACCELERATOR", name)
        for choose in (devices.device, lambda: devices.compute("32-true")):
            with pytest.raises(GenreproError, match=f"'{name}', but torch sees no such device"):
                choose()


def test_an_unknown_device_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["", "tpu", "CPU"]:
        monkeypatch.setenv("GENREPRO_ACCELERATOR", name)
        with pytest.raises(GenreproError, match="must be one of auto, cpu, cuda, mps"):
            devices.device()


def test_without_the_variable_training_and_evaluation_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENREPRO_ACCELERATOR")
    assert devices.device().type == devices.compute("32-true").device.type


def test_bfloat16_that_a_pinned_cpu_emulates_is_said_to_be_slow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    for precision, pinned, warned in [
        ("bf16-mixed", True, True),
        ("bf16-mixed", False, False),
        ("32-true", True, False),
    ]:
        with subtests.test(precision=precision, pinned=pinned):
            monkeypatch.setattr(numerics, "pinned", lambda pinned=pinned: pinned)
            devices.compute(precision)
            said = capsys.readouterr().err
            assert ("GENREPRO_NATIVE=1" in said) is warned and said.count("\n") == warned


def test_a_pinned_cpu_that_could_train_much_faster_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    for what, pinned, wider, accelerator, said in [
        ("vit", True, True, "cpu", True),
        ("head", True, True, "cpu", True),
        ("ast", True, True, "cpu", False),  # gains less than a fifth
        ("vit", False, True, "cpu", False),  # does so already
        ("vit", True, False, "cpu", False),  # AVX2 is all that it has
        ("vit", True, True, "mps", False),
    ]:
        with subtests.test(what=what, pinned=pinned, wider=wider, accelerator=accelerator):
            monkeypatch.setattr(numerics, "pinned", lambda pinned=pinned: pinned)
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda wider=wider: {"avx512_f": wider})
            monkeypatch.setattr(devices, "device", lambda name=accelerator: torch.device(name))
            devices.advise(what)
            out = capsys.readouterr().out
            assert ("GENREPRO_NATIVE=1" in out) is said and out.count("\n") == said


def test_every_model_has_a_measured_gain() -> None:
    # Of `pretrained` a head is trained, as a rule.
    assert devices.NATIVE_GAIN.keys() == {*MODELS, "head"} - {"pretrained"}
