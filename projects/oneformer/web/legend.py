"""A table of the classes in a picture, with their colors and scores."""
from html import escape
from typing import Sequence

import numpy as np

from ..visualization import Segments, short_names

#: The most segments of a class that are listed one by one.
MAX_CHIPS = 24


def legend_html(segments: Segments, colors: np.ndarray,
                classes: Sequence[str]) -> str:
    """The classes in a picture, the largest first.

    Args:
        segments: What the picture shows.
        colors: (N, 3) uint8, the color of each segment.
        classes: Name of each label.

    Returns:
        A table with a row for each class: its name as in the picture, the
        part of the image that it covers, and a chip for each segment, in its
        color and with its score, the best first.
    """
    areas = np.bincount(
        segments.map[segments.map >= 0], minlength=len(segments.labels))
    scores = segments.scores
    if scores is None:
        scores = np.full(len(areas), np.nan)
    visible = np.flatnonzero(areas)
    if not len(visible):
        return '<p class="nothing">Nothing was found.</p>'
    by_class = np.bincount(segments.labels, areas, len(classes))
    present = np.unique(segments.labels[visible])
    short = short_names(classes)
    rows = []
    for label in present[np.argsort(-by_class[present], kind='stable')]:
        members = visible[segments.labels[visible] == label]
        members = members[np.argsort(-scores[members], kind='stable')]
        chips = [_chip(colors[i], scores[i]) for i in members[:MAX_CHIPS]]
        if len(members) > MAX_CHIPS:
            chips.append(f'and {len(members) - MAX_CHIPS} more')
        share = by_class[label] / segments.map.size
        rows.append(f'<tr><th title="{escape(classes[label])}">'
                    f'{escape(short[label])}</th>'
                    f'<td class="share">{_percent(share)}</td>'
                    f'<td>{" ".join(chips)}</td></tr>')
    return ('<table><thead><tr><th>Class</th>'
            '<th class="share">Area</th><th>Segments</th></tr></thead>'
            f'<tbody>{"".join(rows)}</tbody></table>')


def _chip(color: np.ndarray, score: float) -> str:
    """A segment: its color, and its score where it has one."""
    red, green, blue = (int(value) for value in color)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140
    text = '' if np.isnan(score) else f'{score:.0%}'
    return (
        f'<span class="chip{" light-text" if dark else ""}" style="background:'
        f'rgb({red},{green},{blue})">{text}</span>')


def _percent(share: float) -> str:
    return f'{share:.0%}' if share >= 0.01 else '&lt; 1%'
