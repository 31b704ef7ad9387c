"""Stage embed: run a published body over the data set and keep all its layers.

    python -m stages.embed           params: dataset, model, pretrained.weights, ...: bodies/dvc.yaml
        -> data/<dataset>/embeddings.parquet

Only for `model: pretrained` with a frozen body; otherwise the table is empty. `GENREPRO_ACCELERATOR` chooses
the device. For several GPUs: `torchrun --nproc-per-node 2 -m stages.embed`. A killed run goes on where it
stopped.
"""

from pathlib import Path

import stages
from genrepro.base import params


def main() -> None:
    config = params.load()
    target = Path("data", config.dataset, "embeddings.parquet")
    if config.model != "pretrained" or config.pretrained.trainable_blocks != 0:
        from genrepro.models.shared import layers

        layers.write(target, [], sizes=[], dtype="float32", description=layers.NONE)
        return
    from genrepro import embed
    from genrepro.base import devices
    from genrepro.exact import numerics

    numerics.use_torch(0)
    counts = embed.keep(config, data=target.parent, target=target, compute=devices.compute("32-true"))
    print(", ".join(f"{count} {key}" for key, count in counts.items()))


if __name__ == "__main__":
    stages.run(main)
