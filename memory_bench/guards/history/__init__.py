"""What commits measured, kept for good, and what moved between them: `history add` and `report --history`."""
