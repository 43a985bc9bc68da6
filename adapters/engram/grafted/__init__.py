"""Engram grafted into any causal model of `transformers`: the model stays as it is, rows enter before its blocks."""
