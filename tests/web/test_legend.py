"""The table of classes, colors and scores."""
import re

import numpy as np

from projects.oneformer.visualization import Segments
from projects.oneformer.web import legend_html

CLASSES = ['car', 'sky-other-merged', '<b>&']


def rows_of(html):
    """Name, area and chips (color, text) of each row."""
    rows = []
    for row in re.findall(r'<tr>(?!<th>Class)(.*?)</tr>', html)[0:]:
        name = re.search(r'<th title=.*?>(.*?)</th>', row).group(1)
        share = re.search(r'"share">(.*?)</td>', row).group(1)
        chips = re.findall(r'rgb\((\d+),(\d+),(\d+)\)">(.*?)</span>', row)
        rows.append((name, share, [(tuple(map(int, chip[:3])), chip[3])
                                   for chip in chips]))
    return rows


def segments(scores=None):
    segment_map = np.full((20, 50), -1)
    segment_map[:10] = 0
    segment_map[10:12] = 1
    segment_map[12:15] = 2
    segment_map[19, :4] = 4
    return Segments(segment_map, np.array([1, 0, 0, 0, 2]), scores)


COLORS = np.arange(15, dtype=np.uint8).reshape(5, 3)


def test_classes_by_area_and_segments_by_score():
    html = legend_html(
        segments(np.array([0.5, 0.7, 0.91, 0.99, np.nan])), COLORS, CLASSES)
    assert rows_of(html) == [
        ('sky', '50%', [((0, 1, 2), '50%')]),
        # the third car has no pixel
        ('car', '25%', [((6, 7, 8), '91%'), ((3, 4, 5), '70%')]),
        ('&lt;b&gt;&amp;', '&lt; 1%', [((12, 13, 14), '')])
    ]
    assert 'title="sky-other-merged"' in html


def test_no_scores():
    for _, _, chips in rows_of(legend_html(segments(), COLORS, CLASSES)):
        assert all(text == '' for _, text in chips)


def test_many_segments_are_counted():
    segment_map = np.arange(60).reshape(6, 10)
    found = Segments(segment_map, np.zeros(60, int), np.linspace(0, 1, 60))
    html = legend_html(found, np.zeros((60, 3), np.uint8), CLASSES)
    (_, share, chips), = rows_of(html)
    assert share == '100%' and len(chips) == 24
    assert chips[0][1] == '100%' and 'and 36 more' in html


def test_nothing_found():
    html = legend_html(
        Segments(np.full((4, 4), -1), np.zeros(0, int)), COLORS[:0], CLASSES)
    assert 'Nothing was found' in html and '<table' not in html
