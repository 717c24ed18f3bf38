"""Small pieces of HTML; everything that is text is escaped here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from .figures import FAINT, INK
from .plots import to_svg


def section(title: str, content: str) -> str:
    """A section with its heading; the content is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def bullets(items: Sequence[str]) -> str:
    """A list; nothing where there are no items."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and what they stand for."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in pairs)}</dl>"


def note(text: str) -> str:
    """A remark in small type."""
    return f'<p class="note">{escape(text)}</p>'


def counted(number: int, noun: str) -> str:
    """`1 day`, `2 days`; text, not HTML."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def embedded(name: str, figure: Figure, caption: str) -> str:
    """A figure as inline SVG in the page's colours and type."""
    svg = to_svg(figure).replace(INK, "var(--ink)").replace(FAINT, "var(--line)")
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)  # ids must not meet those of another figure
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return f'<figure><div class="wide">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'
