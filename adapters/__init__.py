"""Memories: one file each; one that outgrows itself becomes a folder of the same import name."""
