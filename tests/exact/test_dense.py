"""Claims about dense layers through oneDNN: the same numbers as torch's own, whoever calls them."""

import os

import pytest
import torch
from torch import nn

from genrepro.exact import dense, numerics

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def a_pinned_process() -> None:
    assert numerics.pinned(), "conftest.py pins before numpy is imported"


def test_values_and_gradients_are_torchs(subtests: pytest.Subtests) -> None:
    for shape in [(300,), (7, 300), (2, 5, 300), (3, 2, 4, 300)]:
        for bias in [True, False]:
            with subtests.test(shape=shape, bias=bias):
                torch.manual_seed(0)
                layer = nn.Linear(300, 400, bias=bias).double()
                given = torch.randn(shape)
                reference = layer(exact := given.double().requires_grad_())
                reference.square().sum().backward()
                expected = [parameter.grad.float() for parameter in layer.parameters()]
                layer.float().zero_grad()
                given.requires_grad_()
                with dense.arithmetic(CPU):
                    outputs = layer(given)
                    outputs.square().sum().backward()
                assert outputs.shape == (*shape[:-1], 400)
                torch.testing.assert_close(outputs, reference.float(), rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(given.grad, exact.grad.float(), rtol=1e-4, atol=1e-3)
                for parameter, gradient in zip(layer.parameters(), expected, strict=True):
                    torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-3)


def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    ours = dense._product

    def spy(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        seen.append(tuple(weight.shape))
        return ours(rows, weight, bias)

    monkeypatch.setattr(dense, "_product", spy)
    return seen


def test_attention_and_feed_forward_layers_all_go_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.TransformerEncoderLayer(256, 4, dim_feedforward=512, batch_first=True).eval()
    given = torch.randn(2, 9, 256)
    with torch.inference_mode():
        expected = layer(given)
        seen = products(monkeypatch)
        with dense.arithmetic(CPU):
            outputs = layer(given)
    assert seen == [(768, 256), (256, 256), (512, 256), (256, 512)]
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()  # afterwards as before


def test_small_layers_and_other_types_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = nn.Linear(512, 10), nn.Linear(512, 512)
    seen = products(monkeypatch)
    with dense.arithmetic(CPU):
        small(torch.randn(3, 512))
        large.double()(torch.randn(3, 512).double())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            large.float()(torch.randn(3, 512))
    assert seen == []


def test_without_the_pin_torch_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MKL_CBWR", "AUTO")
    seen = products(monkeypatch)
    with dense.arithmetic(CPU):
        nn.Linear(512, 512)(torch.randn(3, 512))
    assert seen == []


def test_a_head_on_embeddings_takes_one_thread_and_gives_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with dense.arithmetic(CPU, embedded=True):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_head_has_no_denormal_numbers_and_others_keep_them() -> None:
    tiny = torch.tensor([1e-30])
    with dense.arithmetic(CPU, embedded=True):
        assert (tiny * 1e-10).item() == 0
        with dense.arithmetic(CPU, embedded=True):  # as where validation votes in a training
            pass
        assert (tiny * 1e-10).item() == 0
    with dense.arithmetic(CPU):
        assert (tiny * 1e-10).item() > 0
    assert (tiny * 1e-10).item() > 0


def test_the_same_rows_give_the_same_bytes() -> None:
    torch.manual_seed(0)
    layer, given = nn.Linear(768, 768), torch.randn(197, 768)
    with dense.arithmetic(CPU):
        one, other = layer(given), layer(given)
    assert torch.equal(one, other)


def test_a_copy_of_a_transposed_matrix_changes_no_byte(subtests: pytest.Subtests) -> None:
    for width in [dense.SLOW_STRIDE, 2 * dense.SLOW_STRIDE, 1024]:
        for rows in [dense.MIN_COPY - 1, dense.MIN_COPY]:
            with subtests.test(width=width, rows=rows):
                torch.manual_seed(0)
                gradient, weight = torch.randn(rows, 256), torch.randn(256, width)
                directly = torch.ops.mkldnn._linear_pointwise(gradient, weight.t(), None, "none", [], "")
                assert torch.equal(dense._product(gradient, weight.t()), directly)
