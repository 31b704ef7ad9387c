"""Stage audit: what is wrong with the data, and who is kept out for it.

python -m stages.audit           params: dataset, audit    -> data/<dataset>/audit.parquet, metrics/audit.json
"""

from pathlib import Path

import stages
from genrepro import audit, files, params, schema


def main() -> None:
    config = params.load()
    data = Path("data", config.dataset)
    table = audit.audit(
        schema.read(data / "catalog.parquet", schema.CATALOG),
        schema.read(data / "levels.parquet", schema.LEVELS),
        schema.read_mels(data / "mel.parquet"),
        params=config.audit,
    )
    counts = audit.summary(table)
    files.write_parquet(data / "audit.parquet", [table], schema.AUDIT)
    files.write_json(Path("metrics", "audit.json"), counts)
    print(", ".join(f"{key.removeprefix('num_')} {count}" for key, count in counts.items() if count))


if __name__ == "__main__":
    stages.run(main)
