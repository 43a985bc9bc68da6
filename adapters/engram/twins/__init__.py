"""Engram trained beside its twins: the same backbone, data, order and steps, with one thing changed in each."""
