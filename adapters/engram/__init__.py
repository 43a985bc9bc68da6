"""In-model memory: hashed n-gram rows that enter the network through a gate, written at run time."""
