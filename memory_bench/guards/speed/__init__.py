"""Speed: did a change make a run slower, told from two revisions that take turns on one machine."""
