"""Stage catalog: one row per track, with what its header and its data set's tables say.

python -m stages.catalog         params: dataset                           -> data/<dataset>/catalog.parquet
"""

from collections import Counter
from pathlib import Path

import stages
from genrepro import catalog, datasets, files, params, schema
from genrepro.numerics import num_workers


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    raw = files.require(data / "raw")
    identity = datasets.module(config.dataset).read_catalog(raw)
    table = catalog.build(identity, raw, num_workers=num_workers())
    files.write_parquet(data / "catalog.parquet", [table], schema.CATALOG)
    faults = Counter(fault for fault in table["fault"].to_pylist() if fault)
    num_unknown = table["artist"].null_count
    print(f"{table.num_rows} tracks, {num_unknown} of unknown artist, {faults.total()} with a fault")
    for fault, count in faults.most_common(5):
        print(f"  {count} x {fault}")


if __name__ == "__main__":
    stages.run(main)
