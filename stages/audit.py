"""Stage audit: find what is wrong with the data, and which tracks to leave out.

python -m stages.audit           params: dataset, audit
    -> data/<dataset>/audit.parquet, duplicates.csv, duplicates.html, metrics/audit.json
"""

from dataclasses import astuple, fields
from pathlib import Path

import stages
from genrepro import audit
from genrepro.base import files, params, tables
from genrepro.exact.numerics import num_workers


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    catalog = tables.read(data / "catalog.parquet", tables.CATALOG)
    levels = tables.read(data / "levels.parquet", tables.LEVELS)
    mels = data / "mel.parquet"
    found = audit.findings(catalog, levels, tables.read_mels(mels), params=config.audit)
    pairs = audit.near_duplicates(
        mels,
        skip=set(found.index[found["content"].isna()]),
        min_similarity=config.audit.min_similarity,
        num_workers=num_workers(),
    )
    table = audit.audit(found, pairs, params=config.audit)
    counts = audit.summary(table, catalog)
    files.write_parquet(data / "audit.parquet", [table], tables.AUDIT)
    rows = [(pair.first, pair.second, *(round(value, 3) for value in astuple(pair)[2:])) for pair in pairs]
    files.write_csv(data / "duplicates.csv", [field.name for field in fields(audit.Pair)], rows)
    audit.write_pairs(data / "duplicates.html", pairs, mel_path=mels, catalog=catalog)
    files.write_json(Path("metrics", "audit.json"), counts)
    print(", ".join(f"{key.removeprefix('num_')} {count}" for key, count in counts.items() if count))
    if config.audit.on_fault == "fail":
        audit.require_sound(table)


if __name__ == "__main__":
    stages.run(main)
