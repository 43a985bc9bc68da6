"""Engines at scale: what finds the neighbours, told apart by recall, latency, writing and bytes, without a reader."""
