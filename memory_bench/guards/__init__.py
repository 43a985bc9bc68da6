"""Guards: is this memory right, what moved between two runs, did a change move a number. They move none themselves."""
