"""Where the boilerplate comes from: texts that repeat themselves in every collection of software.

python     the licence of the running Python and the headers of its modules: on every machine
project    the licence files of the distributions that this project needs
packages   those of every distribution that is installed
debian     /usr/share/doc/*/copyright, where there is a Debian: by far the most text
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from memory_bench.errors import BadInput
from tasks.needle.sources import Document, Library, digest, header, is_text, standard_library

DISTRIBUTIONS = (
    *("bm25s", "cachetools", "hydra-core", "jinja2", "numpy", "omegaconf", "pandas", "psutil", "pyarrow", "PyStemmer"),
    *("rich", "safetensors", "scipy", "tokenizers", "torch"),
)
LICENCE_FILE = re.compile(r"licen[sc]e|copying|notice", re.IGNORECASE)
DEBIAN = Path("/usr/share/doc")


@cache
def licence_texts(collections: tuple[str, ...] = ("python", "project")) -> Library:
    """Return the texts of some of `COLLECTIONS`, each text once. Raises BadInput where one has none here."""
    found: dict[str, list[Document]] = {}
    for name in collections:
        documents = COLLECTIONS[name]()
        if not any(documents.values()):
            raise BadInput(f"task.licences={name}: there are none on this machine; leave {name} out of task.licences")
        found |= documents
    different = {text_digest(document): document for documents in found.values() for document in documents}
    return Library(
        tuple(document for document in different.values() if not document.is_empty()),
        {name: digest(documents) for name, documents in found.items() if documents},
    )


def text_digest(document: Document) -> bytes:
    """Return what two documents of the same words share. Nothing is kept: Debian's texts are 17 MB."""
    return hashlib.sha256(" ".join(document.spoken()).encode()).digest()


def python_licences() -> dict[str, list[Document]]:
    path = Path(sysconfig.get_path("stdlib"), "LICENSE.txt")
    licence = [Document(path.name, path.read_bytes())] if path.is_file() else []
    headers = [
        Document(f"{module.name}:header", strip_marks(text.encode()))
        for module in standard_library()
        if re.search(r"copyright|licen[sc]e", text := header(module.raw.decode("utf-8", "replace")), re.IGNORECASE)
    ]
    return {"licences/standard-library": [*licence, *headers]}


def strip_marks(raw: bytes) -> bytes:
    """Return a header without its comment signs."""
    return re.sub(rb"(?m)^[ \t]*#+!?", b"", raw)


def project_licences() -> dict[str, list[Document]]:
    return {f"licences/{name}": distribution_licences(name) for name in DISTRIBUTIONS}


def package_licences() -> dict[str, list[Document]]:
    names = sorted({one.name for one in distributions()})
    return {"licences/packages": [document for name in names for document in distribution_licences(name)]}


def distribution_licences(name: str) -> list[Document]:
    """Return the licence files in the metadata of a distribution, sorted; those that are not UTF-8 are no text."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return []  # nothing is read, and identity() names nothing
    paths = sorted(str(file) for file in files if ".dist-info" in str(file) and LICENCE_FILE.search(file.name))
    located = [Path(str(distribution(name).locate_file(path))) for path in paths]
    raws = [(path, file.read_bytes()) for path, file in zip(paths, located, strict=True) if file.is_file()]
    return [Document(path, raw) for path, raw in raws if is_text(raw)]


def debian_licences(root: Path = DEBIAN) -> dict[str, list[Document]]:
    files = sorted(path for path in root.glob("*/copyright") if path.is_file())
    raws = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in files]
    return {"licences/debian": [Document(name, raw) for name, raw in raws if is_text(raw)]}


COLLECTIONS: Mapping[str, Callable[[], dict[str, list[Document]]]] = {
    "python": python_licences,
    "project": project_licences,
    "packages": package_licences,
    "debian": debian_licences,
}
