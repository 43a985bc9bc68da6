"""A figure that the plotting library wrote, as an element of a page: nothing of it is of the file any more."""

from __future__ import annotations

import re


def inline(drawn: str) -> str:
    """Return the element of a file of SVG. Its text is escaped by the library, and ids are the page's own."""
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", drawn, flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", drawn)
