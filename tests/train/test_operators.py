"""Claims about a GPU that nobody here has seen: its operators are deterministic, no tensor is left behind.

Each model makes one training step and one evaluation. First its operators are listed, and held against
torch's list of those without a deterministic CUDA kernel. Then it is moved to torch's device `meta`, where
tensors are shapes alone and need no GPU, and an operator that also gets a tensor of the CPU is an error.
"""

import re
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.builders import make_inputs, make_params
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genrepro import models
from genrepro.base.devices import Compute
from genrepro.sweep import stack
from genrepro.train import objectives, optimizer
from genrepro.train.augment import augment, mixup
from genrepro.train.progress import Average

# What torch.use_deterministic_algorithms refuses, by its documented name: ATen's operators behind it.
REFUSED = {
    "torch.nn.AvgPool3d": {"avg_pool3d_backward"},
    "torch.nn.AdaptiveAvgPool2d": {"_adaptive_avg_pool2d_backward"},
    "torch.nn.AdaptiveAvgPool3d": {"_adaptive_avg_pool3d_backward"},
    "torch.nn.AdaptiveMaxPool2d": {"adaptive_max_pool2d_backward"},
    "torch.nn.FractionalMaxPool2d": {"fractional_max_pool2d_backward"},
    "torch.nn.FractionalMaxPool3d": {"fractional_max_pool3d_backward"},
    "torch.nn.MaxUnpool1d": {"max_unpool2d"},
    "torch.nn.MaxUnpool2d": {"max_unpool2d"},
    "torch.nn.MaxUnpool3d": {"max_unpool3d"},
    "torch.nn.functional.interpolate": {
        "upsample_linear1d_backward",
        "upsample_bilinear2d_backward",
        "_upsample_bilinear2d_aa_backward",
        "upsample_bicubic2d_backward",
        "_upsample_bicubic2d_aa_backward",
        "upsample_trilinear3d_backward",
    },
    "torch.nn.ReflectionPad1d": {"reflection_pad1d_backward"},
    "torch.nn.ReflectionPad2d": {"reflection_pad2d_backward"},
    "torch.nn.ReflectionPad3d": {"reflection_pad3d_backward"},
    "torch.nn.NLLLoss": {"nll_loss2d_forward"},
    "torch.nn.CTCLoss": {"_ctc_loss_backward"},
    "torch.nn.EmbeddingBag": {"_embedding_bag_dense_backward"},
    "torch.Tensor.put_": {"put_", "put"},
    "torch.histc": {"histc"},
    "torch.bincount": {"bincount"},
    "torch.median": {"median"},
    "torch.nn.functional.grid_sample": {"grid_sampler_2d_backward", "grid_sampler_3d_backward"},
    "torch.Tensor.scatter_reduce": {"scatter_reduce", "scatter_reduce_"},
}
# Refused on other devices than CUDA, or of quantised tensors, which no model has.
ELSEWHERE = {
    "torch.Tensor.index_put",
    "torch.Tensor.index_reduce",
    "torch.kthvalue",
    "torch.nn.Embedding",
    "torch.nn.MaxPool2d",
    "torch.nn.MaxPool3d",
    "torch.Tensor.resize_",
}
GENRES = 3
SECTIONS: dict[str, dict[str, Any]] = {
    "cnn": {"channels": [4, 4, 8, 8, 8], "dropout": 0.1, "statistics": 0},
    "cnn with statistics": {"channels": [4, 4, 8, 8, 8], "dropout": 0.1, "statistics": 8},
    "lstm": {"hidden": 8, "num_layers": 2, "dropout": 0.1},
    "vit": {"size": "tiny", "trainable_blocks": "all"},
    "vit, one block": {"size": "tiny", "trainable_blocks": 1},
    "ast": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 32,
        "patch_size": 8,
        "stride": 6,
        "trainable_blocks": "all",
    },
}
RECIPE = {"mixup": 0.3, "clip_norm": 1.0, "ema": 0.9}


def build(case: str) -> nn.Module:
    name = case.partition(" ")[0].strip(",")
    config = make_params(model=name, **{name: SECTIONS[case]})
    torch.manual_seed(0)
    return models.build(name, config.architecture(), num_genres=GENRES, inputs=make_inputs())


def step_and_evaluation(model: nn.Module, *, device: str = "cpu", num_frames: int = 50) -> None:
    """One step as the fit loop makes it, and logits of longer segments, as in a vote."""
    params = make_params(train=RECIPE).train
    compute = Compute(device=torch.device(device), precision="32-true")
    model.to(memory_format=torch.channels_last).to(compute.device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    descent = optimizer.AdamW(trained, fused=device == "cpu")  # shapes have no fused kernel
    average = Average(model, decay=params.ema)
    rng = np.random.default_rng(0)
    model.train()
    segments = augment(torch.randn(4, 1, 32, num_frames, device=device), params=params, rng=rng)
    labels = torch.arange(4, device=device) % GENRES
    segments, targets = mixup(segments, labels, params=params, num_genres=GENRES, rng=rng)
    with compute.autocast():
        logits = model(segments.contiguous(memory_format=torch.channels_last)).float()
    objectives.cross_entropy(logits, targets, params.label_smoothing).backward()
    nn.utils.clip_grad_norm_(model.parameters(), params.clip_norm)
    descent.step()
    average.update()
    average.model.eval()
    with torch.no_grad():
        average.model(torch.randn(2, 1, 32, 2 * num_frames, device=device)).double().softmax(1)


class Operators(TorchDispatchMode):
    """The names of ATen's operators that run within."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def refused(work: Callable[[], object]) -> set[str]:
    """What torch would refuse of the operators that ``work`` runs, if it ran on a GPU."""
    with Operators() as operators:
        work()
    assert {"mm", "addmm", "bmm"} & operators.names, "nothing was listed"
    return operators.names & set().union(*REFUSED.values())


def test_the_list_is_torchs_own() -> None:
    documented = torch.use_deterministic_algorithms.__doc__ or ""
    listed = documented[
        documented.rindex("will throw a\n") : documented.index("In addition, several operations")
    ]
    names = set(re.findall(r":(?:class|func):`(torch\.[\w.]+)`", listed))
    assert names == REFUSED.keys() | ELSEWHERE
    for name in set().union(*REFUSED.values()):
        assert hasattr(torch.ops.aten, name), name


@pytest.mark.parametrize("case", SECTIONS)
def test_every_operator_of_a_model_has_a_deterministic_kernel_on_a_gpu(case: str) -> None:
    model = build(case)
    assert refused(lambda: step_and_evaluation(model)) == set()


def test_an_operator_without_one_would_be_found() -> None:
    pooled = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(16, GENRES))
    assert refused(lambda: step_and_evaluation(pooled)) == {"adaptive_max_pool2d_backward"}


class OneDevice(TorchDispatchMode):
    """Within, an operator takes tensors of one device; those of the CPU are moved first, or are scalars."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in ("_to_copy", "copy_"):
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
            devices = {tensor.device.type for tensor in tensors if tensor.ndim}
            assert len(devices) <= 1, f"{func} takes tensors of {devices}"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("case", SECTIONS)
def test_no_tensor_of_a_model_is_left_on_the_cpu(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(case)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no meta
    with OneDevice():
        step_and_evaluation(model, device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_a_tensor_that_is_left_would_be_found() -> None:
    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.shift = nn.Linear(32 * 50, GENRES), torch.zeros(32 * 50)  # no buffer

        def forward(self, segments: torch.Tensor) -> torch.Tensor:
            return self.dense(segments[..., :50].flatten(1) + self.shift)

    left = Left()
    with OneDevice(), pytest.raises(AssertionError, match="takes tensors of"):
        step_and_evaluation(left, device="meta")


def head() -> nn.Module:
    config = make_params(model="vit", vit={"size": "tiny", "trainable_blocks": 0})
    return models.build_head("vit", config.architecture(), num_genres=GENRES)


def stacked(device: str) -> None:
    """An epoch of three heads side by side, on embeddings that are already on the device."""
    params = make_params(train={**RECIPE, "epochs": 1}).train
    embeddings = torch.randn(8, 192, device=device)
    batches = [(embeddings, torch.arange(8, device=device) % GENRES)] * 2
    epochs = stack.fit(
        head(),
        lr=[0.1, 0.2, 0.3],
        weight_decay=[0.0, 0.1, 0.2],
        training_segments=batches,  # type: ignore[arg-type] - it asks for their number and goes through them
        validation=SimpleNamespace(),  # type: ignore[arg-type] - the steps are all that is made
        test=SimpleNamespace(),  # type: ignore[arg-type]
        voting="mean",
        num_genres=GENRES,
        params=params,
        compute=Compute(device=torch.device(device), precision="32-true"),
        rng=np.random.default_rng(0),
    )
    with pytest.raises((TypeError, NotImplementedError), match=r"not iterable|no data"):
        next(epochs)  # after the steps come their losses, of which meta has none, and a vote on nothing


def test_stacked_heads_have_deterministic_kernels() -> None:
    assert refused(lambda: stacked("cpu")) == set()


def test_stacked_heads_leave_nothing_on_the_cpu() -> None:
    with OneDevice():
        stacked("meta")


# 506 heads are the report's first grid.
@pytest.mark.parametrize("free", [2**30, 8 * 2**30, 80 * 2**30])
def test_a_stack_of_the_reports_heads_fits_into_what_a_device_has_free(
    free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    config = make_params(model="vit")
    of_report = models.build_head("vit", config.architecture(), num_genres=10)
    number = stack.fitting(of_report, device=torch.device("cuda"))
    held = _peak_bytes(of_report)
    assert number == 1 or number * held < free
    assert 506 * held < 80 * 2**30, "the whole first grid no longer fits into an 80 GB device at once"


def _peak_bytes(module: nn.Module, *, batch: int = 100) -> int:
    """What a head of a stack holds at the most while a step is made, counted by hand.

    Weights, gradients, two moments, the average, two results of AdamW's step; and of each layer its outputs,
    their gradients and one result between.
    """
    weights = sum(parameter.nbytes for parameter in module.parameters())
    outputs = sum(layer.out_features for layer in module.modules() if isinstance(layer, nn.Linear))
    return 7 * weights + 3 * 4 * batch * outputs
