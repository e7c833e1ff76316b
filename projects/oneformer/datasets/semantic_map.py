"""Label PNGs: one value per pixel, and the label that each value stands for.
"""
import io
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from mmengine import fileio
from PIL import Image

#: Stand in a value table for pixels without a label: those that do not count,
#: and those that should not be there.
VOID, UNEXPECTED = -1, -2
#: Values that a pixel can have.
NUM_VALUES = 256


def read_semantic_map(path: str,
                      backend_args: Optional[dict] = None) -> np.ndarray:
    """Decode a label PNG, grey or with a palette.

    Args:
        path (str): The PNG, 8-bit with one channel; values of a palette
            image are its indices, as in MMSegmentation.
        backend_args (dict, optional): File backend as in MMEngine.

    Returns:
        ndarray: Values, uint8 (H, W).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded or has other pixels.
    """
    data = fileio.get(path, backend_args=backend_args)
    try:
        image = Image.open(io.BytesIO(data))
        values = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f'{path} cannot be decoded: it is corrupt or no '
                         'image') from error
    if image.mode not in ('L', 'P', '1'):
        raise ValueError(f'{path} has pixels of mode {image.mode}: a label '
                         'PNG is 8-bit with one channel, grey or a palette')
    return values.astype(np.uint8)


def value_table(classes: Sequence[str],
                class_order: Sequence[int],
                values: Union[Dict[str, Union[int, List[int]]], None] = None,
                reduce_zero_label: bool = False) -> Tuple[int, ...]:
    """The label of each pixel value.

    Args:
        classes (list[str]): Class names by label.
        class_order (list[int]): Labels in the order of the categories.
        values (dict, optional): The value or values of each class, by name;
            all others are void. By default a value is an index in
            ``class_order``, 255 is void and others are unexpected.
        reduce_zero_label (bool): Whether, by default, 0 is void and values
            are indices plus 1.

    Returns:
        tuple[int]: For each of the 256 values a label, `VOID` or
        `UNEXPECTED`.

    Raises:
        ValueError: If a class is unknown, a value out of range or used
            twice, or there are more classes than values.
    """
    if values is None:
        table = [VOID] * reduce_zero_label + list(class_order)
        if len(table) >= NUM_VALUES:
            raise ValueError(f'{len(class_order)} classes do not fit into a '
                             'label PNG, which has 8 bits')
        rest = NUM_VALUES - 1 - len(table)
        return (*table, *[UNEXPECTED] * rest, VOID)
    table = [VOID] * NUM_VALUES
    for name, numbers in values.items():
        if name not in classes:
            raise ValueError(f'values name {name!r}, which is none of the '
                             f'{len(classes)} classes')
        for number in np.atleast_1d(numbers).tolist():
            if number not in range(NUM_VALUES):
                raise ValueError(f'the value {number!r} of class {name!r} '
                                 'must be an integer from 0 to 255')
            if table[number] != VOID:
                raise ValueError(f'value {number} stands for two classes, '
                                 f'{classes[table[number]]!r} and {name!r}')
            table[number] = classes.index(name)
    return tuple(table)
