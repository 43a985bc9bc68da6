"""Tasks: what happened, and what is asked about it; one file each, or a folder."""
