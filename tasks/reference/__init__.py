"""Reference splits: small streams of three tasks, frozen with their texts, so that scores compare across machines.

    split         texts of                                                licence
    needle        the standard library of Python 3.11: prose and headers   licence-python.txt
    entity        names of the Unicode Character Database 14               licence-unicode.txt
    conventions   source lines of pandas 3.1.1                             licence-pandas.txt

Each is a file of `memory_bench.episode_file` with 100 questions; nothing is generated, so any Python plays the same
bytes. They were made by

    freeze() { python -m memory_bench.guards.freeze tasks/reference/$1.jsonl "$2" +task=$1 task.episodes=25 "${@:3}"; }
    freeze needle "PSF-2.0 (Python's standard library)" 'task.licences=[python]'
    freeze entity "Unicode-3.0 (names of the Unicode Character Database)"
    freeze conventions "BSD-3-Clause (pandas)"

and are the same wherever the sources are. A new file is a new version: `sha256.json` holds the digest of each.
"""

from tasks.reference.task import Reference

__all__ = ["Reference"]
