"""memory_bench: one rule by which memories for language models are measured."""

__version__ = "0.1.0"
