"""The capacity curve: how many bits of what it was told a memory gives back for each byte that it holds.

python -m tasks.entity.capacity bm25 hash_cache exact           64 to 2^20 facts, 300 seconds to write each size
python -m tasks.entity.capacity exact --embedder minilm --most 4096 --seconds 60 --json
python -m tasks.entity.capacity bm25 --names unicode --out capacity.jsonl      goes on where that file ends
python -m tasks.entity.capacity report --publish --out capacity.jsonl          reports/capacity.md, from that file

A fact is a badge of a name: log2 of the number of badges is what it is worth. Names are five tokens drawn at random,
or those of a real set (`--names`), and drawn ones where it runs out. A sample of 512 names is asked for, and a fact
counts as given back where the first passage says the badge: no reader is asked. What a guesser would say by chance is
taken off. A size that takes too long to write is null, and so is one of which a part has shown that it would.

Below the memories stand the same facts as compressed lines and in SQLite, which give back everything; and a trained
model, which is said to hold 2 bits a parameter (Allen-Zhu and Li, arXiv 2404.05405): a bit a byte in half precision.
"""
