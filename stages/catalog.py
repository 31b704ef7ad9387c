"""Stage catalog: one row per track, from the file's header and the data set's tables.

python -m stages.catalog         params: dataset
    -> data/<dataset>/catalog.parquet, data/<dataset>/labels.parquet, metrics/catalog.json
"""

from pathlib import Path

import stages
from genrepro import catalog, datasets
from genrepro.base import files, params, tables
from genrepro.exact.numerics import num_workers


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    raw = files.require(data / "raw")
    module = datasets.module(config.dataset)
    identity = module.read_catalog(raw)
    table = catalog.build(identity, raw, num_workers=num_workers())
    counts = catalog.summary(identity, table)
    files.write_parquet(data / "catalog.parquet", [table], tables.CATALOG)
    labels = catalog.labels(module.read_labels(raw) if hasattr(module, "read_labels") else None)
    files.write_parquet(data / "labels.parquet", [labels], tables.LABELS)
    files.write_json(Path("metrics", "catalog.json"), counts)
    print(", ".join(f"{key.removeprefix('num_')} {count}" for key, count in counts.items()))


if __name__ == "__main__":
    stages.run(main)
