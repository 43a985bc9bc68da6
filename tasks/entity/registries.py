"""Names of registries that many machines have: languages and regions, types of files, time zones.

Each is name -> value, in the registry's order. What is not on this machine is `Unavailable`, with what brings it.
"""

from __future__ import annotations

import contextlib
import json
import mimetypes
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from memory_bench.errors import Unavailable

ISO_CODES = Path("/usr/share/iso-codes/json")
LANGUAGES, REGIONS = "iso_639-3", "iso_3166-2"
MIME_TYPES = Path("/etc/mime.types")


def iso_codes(folder: Path = ISO_CODES) -> Mapping[str, str]:
    """Return language -> code of ISO 639-3, then region -> code of ISO 3166-2, in capitals: no word looks like one.

    A name that comes twice is left out. Raises Unavailable where the tables are not installed.
    """
    languages = [(row["name"], row["alpha_3"].upper()) for row in table(folder, LANGUAGES)]
    regions = [(row["name"], row["code"]) for row in table(folder, REGIONS)]
    return without_doubles([*languages, *regions])


def table(folder: Path, standard: str) -> list[dict[str, str]]:
    path = folder / f"{standard}.json"
    if not path.is_file():
        raise Unavailable(f"task.set=iso cannot run here: there is no {path}: apt install iso-codes")
    rows: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))[standard.removeprefix("iso_")]
    return rows


def mime_types(path: Path = MIME_TYPES) -> Mapping[str, str]:
    """Return type of file -> its extension, without the dot, the first in the alphabet where it has several.

    Those of the module `mimetypes`, and those of `path` where it exists: Python alone knows too few for families.
    """
    known = mimetypes.MimeTypes()
    if path.is_file():
        known.read(str(path))
    extensions: dict[str, str] = {}
    for extension, name in sorted(known.types_map[True].items()):
        extensions.setdefault(name, extension.removeprefix("."))
    return dict(sorted(extensions.items()))


def time_zones() -> Mapping[str, str]:
    """Return time zone -> latitude and longitude of its city, by the zone.tab of the tz database.

    Names are written in words: America/Port-au-Prince is america port-au-prince. Raises Unavailable where there is
    no such table.
    """
    rows = (line.split("\t") for line in zone_table().read_text(encoding="utf-8").splitlines() if line[:1] != "#")
    return without_doubles((re.sub("[/_]", " ", row[2]).lower(), row[1]) for row in rows)


def zone_table() -> Traversable:
    """Return the first zone.tab of the folders where Python looks for time zones, or that of the package tzdata."""
    places: list[Traversable] = [Path(folder) / "zone.tab" for folder in zoneinfo.TZPATH]
    with contextlib.suppress(ModuleNotFoundError):
        places.append(resources.files("tzdata.zoneinfo") / "zone.tab")
    for place in places:
        if place.is_file():
            return place
    raise Unavailable(
        f"task.set=zones cannot run here: there is no zone.tab in {', '.join(zoneinfo.TZPATH)}: pip install tzdata"
    )


def without_doubles(rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> Mapping[str, str]:
    """Return name -> value of the names that come once."""
    values: dict[str, list[str]] = {}
    for name, value in rows:
        values.setdefault(name, []).append(value)
    return {name: found[0] for name, found in values.items() if len(found) == 1}
