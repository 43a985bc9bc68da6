"""Names of the standard library: what its public modules define, by its qualified name, and where.

    json/decoder.py   class JSONDecoder:           JSONDecoder              json.decoder
                          def raw_decode(...)      JSONDecoder.raw_decode   json.decoder

Sources are parsed, never imported: some modules do things when they are. A name that two modules define is left out.
"""

from __future__ import annotations

import ast
import sysconfig
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

# Python's own tests and programs, what was installed beside it, and what reads only under another Python
FOREIGN = frozenset("test tests idlelib idle_test lib2to3 turtledemo site-packages dist-packages ensurepip".split())
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def symbols() -> Mapping[str, str]:
    """Return qualified name -> the one public module that defines it, in the order of modules and lines."""
    homes: defaultdict[str, dict[str, None]] = defaultdict(dict)
    folder = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not FOREIGN & set(parts) and not any(is_private(part) for part in parts if part != "__init__"):
            module = ".".join(part for part in parts if part != "__init__")
            for name in defined(ast.parse(path.read_bytes())):
                homes[name][module] = None
    return {name: next(iter(modules)) for name, modules in homes.items() if len(modules) == 1}


def defined(tree: ast.Module) -> Iterator[str]:
    """Yield what a module defines at its top, and the methods of its classes, without what is private."""
    for node in tree.body:
        if isinstance(node, Definition) and not is_private(node.name):
            yield node.name
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, Definition) and not is_private(inner.name):
                    yield f"{node.name}.{inner.name}"


def is_private(name: str) -> bool:
    return name.startswith("_")
