"""Colors of segments: those of their classes, in shades for instances."""
from typing import Sequence

import numpy as np

#: Weights of red, green and blue in the brightness of a color (BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114])
#: Number of shades of a color, and the brightness between neighbouring ones.
NUM_SHADES = 6
SHADE_STEP = 26
#: The darkest and the brightest value that the first of the shades may have,
#: so that the last one stays below white.
FIRST_SHADE = (40, 95)
#: In which order shades are taken, by their distance from the color itself.
SHADE_RANKS = (0, 2, 1, 3, 4, 5)


def shades(color: Sequence[int]) -> np.ndarray:
    """Shades of a color: itself, brighter and darker ones of its hue.

    Args:
        color: RGB, 0 to 255.

    Returns:
        (6, 3) uint8, the color itself first, then those that are most pleasant
        beside it.
    """
    color = np.asarray(color, float)
    own = BRIGHTNESS @ color
    first = np.clip(own - SHADE_STEP * (NUM_SHADES // 2), *FIRST_SHADE)
    levels = first + SHADE_STEP * np.arange(NUM_SHADES)
    place = np.abs(levels - own).argmin()
    levels[place] = own
    order = sorted(
        range(NUM_SHADES),
        key=lambda i: (SHADE_RANKS.index(abs(i - place)), i < place))
    return np.array([_with_brightness(color, levels[i]) for i in order],
                    np.uint8)


def _with_brightness(color: np.ndarray, level: float) -> np.ndarray:
    """A color of another brightness, of the same hue.

    All channels change by one amount, which keeps a pale color pale and a
    full one full; at the end of their range it is mixed with white or black.
    """
    change = level - BRIGHTNESS @ color
    color = color + np.clip(change, -color.min(), 255 - color.max())
    own = BRIGHTNESS @ color
    if level > own:
        color = color + (255 - color) * (level - own) / (255 - own)
    elif level < own:
        color = color * level / own
    return color.round()


def segment_colors(segment_map: np.ndarray, labels: Sequence[int],
                   palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Colors of segments, those of one class in different shades.

    The largest instance has the color of its class. Each other one takes the
    shade that is not used yet or else farthest away, so that neighbours
    differ. The same segments get the same colors in any order.

    Args:
        segment_map: (H, W) int, indices into ``labels``, -1 for none.
        labels: N classes.
        palette: One RGB color per class.

    Returns:
        (N, 3) uint8.
    """
    areas, centres = _measures(segment_map, len(labels))
    colors = np.zeros((len(labels), 3), np.uint8)
    known, bearers = {}, {}
    for index in np.lexsort((*centres.T, -areas)):
        label = labels[index]
        if label not in known:
            known[label] = shades(palette[label])
            bearers[label] = [[] for _ in range(NUM_SHADES)]
        room = [
            min((np.hypot(*(centres[index] - centres[other]))
                 for other in others),
                default=np.inf) for others in bearers[label]
        ]
        shade = int(np.argmax(room))
        bearers[label][shade].append(index)
        colors[index] = known[label][shade]
    return colors


def _measures(segment_map: np.ndarray, number: int):
    """Area and centre (y, x) of each segment, from every n-th pixel."""
    step = -(-max(segment_map.shape) // 512)
    cells = segment_map[::step, ::step]
    places = np.nonzero(cells >= 0)
    found = cells[places]
    areas = np.bincount(found, minlength=number)
    centres = np.stack(
        [np.bincount(found, some, minlength=number) for some in places],
        axis=1)
    return areas, centres / np.maximum(areas, 1)[:, None]
