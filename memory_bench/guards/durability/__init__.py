"""Durability, measured: processes that are killed, damaged files, a full disk, a folder that may not be written."""
