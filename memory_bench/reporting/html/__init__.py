"""The report as one HTML file that needs nothing else: the same figures as in Markdown, each linked to its cell."""
