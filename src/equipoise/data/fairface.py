"""FairFace: `fairface_label_{train,val}.csv` with `file,age,gender,race,service_test`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from equipoise.data.delimited import read_delimited
from equipoise.data.listing import picture_paths
from equipoise.data.source import Source, without
from equipoise.errors import DataError

__all__ = ["COLUMNS", "fairface"]

COLUMNS = ("file", "age", "gender", "race", "service_test")
SIDES = {"train": "train", "val": "validation"}


def fairface(path: Path, *, allow_outside: bool = False) -> Source:
    """All pictures are faces (label 1). `partition` says which of the two files a row stands in.

    Age, gender and race are what annotators saw in a picture.

    Args:
        path: The folder with the CSV files, or one of them; pictures lie beside, as `file` says.

    Raises:
        DataError: if there is no such file, it has other columns, or a picture lies elsewhere.
    """
    listings = [path] if path.is_file() else [path / f"fairface_label_{side}.csv" for side in SIDES]
    listings = [listing for listing in listings if listing.is_file()]
    if not listings:
        raise DataError(
            f"Expected fairface_label_train.csv or _val.csv in {path}; got neither. Check the path."
        )
    tables: list[pa.Table] = []
    pictures: list[Path] = []
    notes: tuple[str, ...] = ()
    for listing in listings:
        table, said = read_delimited(listing)
        if not set(COLUMNS[:4]) <= set(table.column_names):
            raise DataError(
                f"Expected the columns {', '.join(COLUMNS)} in {listing}; got "
                f"{', '.join(table.column_names)}. For another table of paths, force the format manifest."
            )
        side = SIDES.get(listing.stem.rpartition("_")[2])
        below = None if allow_outside else listing.parent
        pictures += picture_paths(table, "file", listing, below=below)
        notes += said
        tables.append(
            without(table, "file").append_column("partition", pa.array([side] * len(table), pa.string()))
        )
    attributes = pa.concat_tables(tables, promote_options="default")
    return Source.of_files("fairface", pictures, attributes, label=1, columns_from=listings, notes=notes)
