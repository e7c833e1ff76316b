"""Make `shapes`, a small panoptic data set of things on textured stuff.

    python tools/dataset_converters/shapes.py [data/shapes] [--seed 0]

Every image is drawn from a random generator of its own, seeded by (seed,
split, index): the files do not depend on the number of workers.
"""
import argparse
import hashlib
import json
import os
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

# Ids are sparse and things and stuff interleaved on purpose: readers that
# take an id or a place in this list for a label fail here, not on real data.
CATEGORIES = tuple(
    dict(id=id, name=name, supercategory=group, isthing=isthing, color=color)
    for id, name, group, isthing, color in (
        (3, 'sand', 'texture', 0, [214, 190, 130]),
        (7, 'disc', 'shape', 1, [220, 40, 40]),
        (8, 'square', 'shape', 1, [50, 90, 220]),
        (12, 'stripes', 'texture', 0, [150, 150, 160]),
        (15, 'triangle', 'shape', 1, [240, 200, 40]),
        (21, 'bricks', 'texture', 0, [160, 85, 60]),
        (22, 'star', 'shape', 1, [210, 60, 190]),
        (30, 'ring', 'shape', 1, [30, 180, 170]),
        (34, 'grass', 'texture', 0, [70, 140, 60]),
        (41, 'cross', 'shape', 1, [240, 130, 40]),
        (47, 'clouds', 'texture', 0, [150, 190, 235]),
    ))
SPLITS = ('train', 'val')
SIDES = (128, 160)  # shortest and longest side of an image, pixels
SHADOW = 6  # reach of the shadow around a thing, pixels
MIN_VISIBLE = 60  # pixels of an instance that must stay in sight ...
MIN_VISIBLE_PART = 0.5  # ... and the part of its area inside the image
MIN_STUFF = 40  # a stuff class with fewer pixels becomes void
JPEG_QUALITY = 88
DESCRIPTION = 'shapes: things on textured stuff, COCO panoptic format'

# Typical hue of each thing. It varies, and few things have any hue at all, so
# that colour tells most classes apart but not all of their instances.
HUES = dict(
    disc=0.0, square=0.64, triangle=0.14, star=0.83, ring=0.5, cross=0.33)


def hsv(hue, saturation, value):
    """RGB colour, float32 (3, ), from hue, saturation, value in [0, 1]."""
    pixel = np.float32([[[hue % 1 * 360, saturation, value]]])
    return cv2.cvtColor(np.clip(pixel, 0, 360), cv2.COLOR_HSV2RGB)[0, 0]


def rotated(shape, angle):
    """Pixel coordinates (u, v), each (H, W), turned by an angle."""
    y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def smooth_noise(rng, shape, cell):
    """Noise (H, W) of unit variance that varies over `cell` pixels."""
    grid = [max(2, round(side / cell) + 2) for side in shape]
    noise = rng.standard_normal(grid, dtype=np.float32)
    noise = cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return noise / max(float(noise.std()), 1e-3)


def sand(rng, shape):
    """Warm fine grain with dark specks."""
    colour = hsv(
        rng.normal(0.11, 0.02), rng.uniform(0.25, 0.5), rng.uniform(0.65, 0.9))
    tone = 1 + rng.uniform(0.05, 0.1) * rng.standard_normal(
        shape, dtype=np.float32)
    tone += 0.04 * smooth_noise(rng, shape, 20)
    tone[rng.random(shape) < rng.uniform(0.02, 0.08)] *= 0.6
    return tone[..., None] * colour


def stripes(rng, shape):
    """Parallel bands of two colours, in any direction and of any hue."""
    along, _ = rotated(shape, rng.uniform(0, np.pi))
    phase = 2 * np.pi * along / rng.uniform(6, 14) + rng.uniform(0, 6)
    share = np.clip(0.5 + 1.5 * np.sin(phase), 0, 1)[..., None]
    hue, value = rng.random(), rng.uniform(0.7, 0.95)
    light = hsv(hue, rng.uniform(0, 0.35), value)
    dark = hsv(hue + rng.normal(0, 0.1), rng.uniform(0.1, 0.5),
               value * rng.uniform(0.4, 0.7))
    return share * light + (1 - share) * dark


def bricks(rng, shape):
    """Rows of shifted bricks, each of its own tone, in light mortar."""
    u, v = rotated(shape, rng.uniform(0, np.pi))
    height = rng.uniform(7, 12)
    width = height * rng.uniform(1.7, 2.4)
    row = np.floor(v / height)
    u = u + row % 2 * width / 2
    column = np.floor(u / width)
    number = (row * 37 + column * 11).astype(np.int64) % 64
    tone = rng.normal(1, 0.12, 64)[number]
    tone += 0.04 * rng.standard_normal(shape, dtype=np.float32)
    clay = hsv(
        rng.normal(0.03, 0.02), rng.uniform(0.45, 0.7), rng.uniform(0.5, 0.75))
    mortar = (u - column * width < 1.5) | (v - row * height < 1.5)
    grey = hsv(0.1, 0.1, rng.uniform(0.65, 0.85))
    return np.where(mortar[..., None], grey, tone[..., None] * clay)


def grass(rng, shape):
    """Green blades: noise drawn out along one direction."""
    u, v = rotated(shape, rng.uniform(0, np.pi))
    field = rng.standard_normal((256, 256), dtype=np.float32)
    blades = cv2.remap(
        field, (u / 7 + 128).astype(np.float32),
        (v / 1.3 + 128).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP)
    tone = 1 + rng.uniform(0.18, 0.3) * blades
    tone += 0.08 * smooth_noise(rng, shape, 24)
    colour = hsv(
        rng.normal(0.3, 0.03), rng.uniform(0.45, 0.75), rng.uniform(0.4, 0.65))
    return tone[..., None] * colour


def clouds(rng, shape):
    """White puffs on blue, without any fine detail."""
    cell = rng.uniform(18, 36)
    puffs = smooth_noise(rng, shape, cell)
    puffs += 0.4 * smooth_noise(rng, shape, cell / 3)
    share = np.clip(0.5 + 0.35 * puffs, 0, 1)[..., None]
    sky = hsv(
        rng.normal(0.58, 0.03), rng.uniform(0.35, 0.65), rng.uniform(0.7, 0.9))
    white = hsv(0.58, rng.uniform(0, 0.1), rng.uniform(0.88, 1))
    return share * white + (1 - share) * sky


TEXTURES = dict(
    sand=sand, stripes=stripes, bricks=bricks, grass=grass, clouds=clouds)


def draw_stuff(rng, shape):
    """Cover an image with textured regions.

    The cells of a Voronoi diagram with wobbly borders share two to four
    classes, so a class usually lies in several separate regions.

    Returns:
        tuple: RGB picture float32 (H, W, 3) and category ids int32 (H, W);
        now and then a grey blot is left unlabelled, id 0.
    """
    y, x = np.mgrid[:shape[0], :shape[1]].astype(np.float32)
    wobble = rng.uniform(2, 6)
    y += wobble * smooth_noise(rng, shape, 24)
    x += wobble * smooth_noise(rng, shape, 24)
    centres = rng.random((rng.integers(5, 9), 2)) * shape
    cell = np.argmin([(y - cy)**2 + (x - cx)**2 for cy, cx in centres], axis=0)
    stuff = [c for c in CATEGORIES if not c['isthing']]
    chosen = rng.permutation(len(stuff))[:rng.integers(2, 5)]
    class_of_cell = np.resize(rng.permutation(chosen), len(centres))
    region = class_of_cell[cell]
    brightness = rng.normal(1, 0.07, len(centres)).astype(np.float32)[cell]

    picture = np.zeros((*shape, 3), np.float32)
    category_map = np.zeros(shape, np.int32)
    for index in np.unique(region):
        category = stuff[index]
        here = region == index
        picture[here] = TEXTURES[category['name']](rng, shape)[here]
        category_map[here] = category['id']
    picture *= brightness[..., None]
    if rng.random() < 0.3:
        cy, cx = rng.random(2) * shape
        blot = (y - cy)**2 + (x - cx)**2 < rng.uniform(5, 13)**2
        picture[blot] = rng.uniform(0.2, 0.45)
        category_map[blot] = 0
    return picture, category_map


def polygon_distance(corners, u, v):
    """Distance (H, W) of points to a polygon's outline, negative inside."""
    nearest = np.full(u.shape, np.inf, np.float32)
    inside = np.zeros(u.shape, bool)
    for (u0, v0), (u1, v1) in zip(corners, np.roll(corners, -1, axis=0)):
        eu, ev = u1 - u0, v1 - v0
        du, dv = u - u0, v - v0
        along = np.clip((du * eu + dv * ev) / (eu**2 + ev**2), 0, 1)
        nearest = np.minimum(nearest,
                             (du - along * eu)**2 + (dv - along * ev)**2)
        if ev != 0:
            inside ^= ((v0 > v) != (v1 > v)) & (u < u0 + dv * eu / ev)
    return np.where(inside, -1, 1) * np.sqrt(nearest)


def regular_corners(count, *radii):
    """Corners (count, 2) on circles whose radii take turns."""
    angle = 2 * np.pi * np.arange(count) / count
    radius = np.resize(radii, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


_ARM = 0.36  # half the width of a cross's arms
POLYGONS = dict(
    square=regular_corners(4, 1.15),
    triangle=regular_corners(3, 1.25),
    star=regular_corners(10, 1.25, 0.55),
    cross=np.array([(1.05, _ARM), (_ARM, _ARM), (_ARM, 1.05), (-_ARM, 1.05),
                    (-_ARM, _ARM), (-1.05, _ARM),
                    (-1.05, -_ARM), (-_ARM, -_ARM), (-_ARM, -1.05),
                    (_ARM, -1.05), (_ARM, -_ARM), (1.05, -_ARM)]))


def shape_distance(name, u, v):
    """Distance to the outline of a shape of about unit radius, negative
    inside; u, v (H, W) are in the units of that radius."""
    if name == 'disc':
        return np.hypot(u, v) - 1
    if name == 'ring':
        return np.abs(np.hypot(u, v) - 0.77) - 0.27
    return polygon_distance(POLYGONS[name], u, v)


class Thing:
    """One shape, placed but not yet painted.

    Args:
        category (dict): entry of `CATEGORIES`.
        centre (tuple): y, x in pixels.
        radius (float): size in pixels.
        crowd (bool): Whether it belongs to the crowd of the image.

    Attributes:
        window (tuple): slices of the image that the thing and its shadow
            touch.
        distance (ndarray): (h, w) pixels to the outline, negative inside.
        mask (ndarray): bool (h, w), the inside.
    """

    def __init__(self, rng, shape, category, centre, radius, crowd=False):
        self.category = category
        self.centre = np.asarray(centre)
        self.radius = radius
        self.crowd = crowd
        reach = 1.4 * radius + SHADOW
        low = np.maximum(np.floor(self.centre - reach), 0).astype(int)
        high = np.minimum(np.ceil(self.centre + reach) + 1, shape).astype(int)
        high = np.maximum(high, low)
        self.window = tuple(slice(*ends) for ends in zip(low, high))
        y, x = np.mgrid[self.window].astype(np.float32)
        y -= np.float32(centre[0])
        x -= np.float32(centre[1])
        angle, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.88, 1.14)
        u = (np.cos(angle) * x + np.sin(angle) * y) / radius * stretch
        v = (np.cos(angle) * y - np.sin(angle) * x) / radius / stretch
        self.distance = radius * shape_distance(category['name'], u, v)
        self.mask = self.distance < 0

    def paint(self, rng, picture):
        """Paint over `picture` (H, W, 3): shadow, shaded body, dark rim."""
        under = picture[self.window]
        outside = np.maximum(self.distance, 0)
        shadow = 1 - 0.45 * np.clip(1 - outside / SHADOW, 0, 1)**2
        shape = self.mask.shape
        slope, _ = rotated(shape, rng.uniform(0, 2 * np.pi))
        tone = 1 + rng.uniform(0.05, 0.25) * (slope - slope.mean()) / max(
            self.radius, 1)
        tone += rng.uniform(0, 0.06) * rng.standard_normal(
            shape, dtype=np.float32)
        if rng.random() < 0.4:
            tone += rng.uniform(0.05, 0.15) * smooth_noise(rng, shape, 6)
        rim = np.clip(-self.distance / min(2.5, self.radius / 4), 0, 1)
        tone *= 0.4 + 0.6 * rim
        hue = HUES[self.category['name']] + rng.normal(0, 0.035)
        if rng.random() < 0.02:
            hue = rng.random()
        colour = hsv(hue, rng.uniform(0.5, 1), rng.uniform(0.65, 1))
        cover = np.clip(0.5 - self.distance, 0, 1)[..., None]
        body = tone[..., None] * colour
        under[:] = cover * body + (1 - cover) * shadow[..., None] * under


class Scene:
    """Things placed so far, back to front.

    `owner` (H, W) holds the number of the thing seen at each pixel, -1 for
    none; `areas` the pixels each thing would show if it lay on top.
    """

    def __init__(self, shape):
        self.owner = np.full(shape, -1, np.int32)
        self.things = []
        self.areas = []

    def add(self, thing):
        """Put a thing on top unless it, or one under it, would show too
        little; return whether it was added."""
        area = np.count_nonzero(thing.mask)
        if not thing.crowd:
            if area < MIN_VISIBLE or self._hides_too_much(thing):
                return False
        self.owner[thing.window][thing.mask] = len(self.things)
        self.things.append(thing)
        self.areas.append(area)
        return True

    def _hides_too_much(self, thing):
        hidden = np.unique(self.owner[thing.window][thing.mask])
        for number in hidden[hidden >= 0]:
            seen = self.owner == number
            seen[thing.window] &= ~thing.mask
            least = max(MIN_VISIBLE, MIN_VISIBLE_PART * self.areas[number])
            if not self.things[number].crowd and seen.sum() < least:
                return True
        return False


def place_group(rng, scene, category, count, radius):
    """Place up to `count` things of one class, most touching another."""
    shape = scene.owner.shape
    group = []
    for _ in range(6 * count):
        if len(group) == count:
            break
        size = radius * rng.uniform(0.8, 1.25)
        if group:
            near = group[rng.integers(len(group))]
            angle = rng.uniform(0, 2 * np.pi)
            step = rng.uniform(0.85, 1.1) * (near.radius + size)
            centre = near.centre + step * np.array(
                [np.sin(angle), np.cos(angle)])
        else:
            centre = rng.random(2) * shape
        if np.any(centre < 3) or np.any(centre > np.array(shape) - 4):
            continue
        thing = Thing(rng, shape, category, centre, size)
        if scene.add(thing):
            group.append(thing)
    return len(group)


def place_crowd(rng, scene, category):
    """Scatter a swarm of tiny things which is annotated as one crowd."""
    shape = scene.owner.shape
    middle = rng.uniform(0.2, 0.8, 2) * shape
    for _ in range(rng.integers(12, 22)):
        centre = np.clip(middle + rng.normal(0, 9, 2), 3, np.array(shape) - 4)
        scene.add(
            Thing(rng, shape, category, centre, rng.uniform(3, 4.5), True))


def place_things(rng, shape):
    """Fill a scene with groups of things of one class."""
    scene = Scene(shape)
    classes = [c for c in CATEGORIES if c['isthing']]
    if rng.random() < 0.05:
        place_crowd(rng, scene, classes[rng.integers(len(classes))])
    wanted = rng.integers(3, 10)
    placed = 0
    for _ in range(12):  # tries: a crowded image may have no room left
        if placed >= wanted:
            break
        category = classes[rng.integers(len(classes))]
        count = rng.choice([1, 2, 3, 4, 5], p=[0.45, 0.2, 0.15, 0.1, 0.1])
        radius = np.exp(rng.uniform(np.log(12), np.log(32)))
        if count < 3 and rng.random() < 0.18:
            radius = rng.uniform(28, 48)
        count = min(count, wanted - placed)
        placed += place_group(rng, scene, category, count, radius)
    return scene


def split_segments(scene, category_map):
    """Cut an image into segments.

    Returns:
        list[tuple]: mask bool (H, W), category id and crowd flag (0 or 1)
        of every segment that is in sight, stuff first.
    """
    segments = []
    for category_id in np.unique(category_map[scene.owner < 0]):
        mask = (category_map == category_id) & (scene.owner < 0)
        if category_id and np.count_nonzero(mask) >= MIN_STUFF:
            segments.append((mask, int(category_id), 0))
    crowd = np.zeros_like(scene.owner, bool)
    for number, thing in enumerate(scene.things):
        mask = scene.owner == number
        if thing.crowd:
            crowd |= mask
            crowd_id = thing.category['id']
        else:
            segments.append((mask, thing.category['id'], 0))
    if crowd.any():
        segments.append((crowd, crowd_id, 1))
    return segments


def number_segments(rng, segments, shape):
    """Give the segments ids that look like their class when drawn as colours.

    Returns:
        tuple: id map int32 (H, W), 0 where void, and `segments_info`.
    """
    colours = {c['id']: c['color'] for c in CATEGORIES}
    id_map = np.zeros(shape, np.int32)
    infos = {}
    for mask, category_id, iscrowd in segments:
        segment_id = 0
        while segment_id == 0 or segment_id in infos:
            r, g, b = np.clip(colours[category_id] + rng.integers(-30, 31, 3),
                              0, 255).tolist()
            segment_id = r + 256 * g + 65536 * b
        id_map[mask] = segment_id
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        infos[segment_id] = dict(
            id=segment_id,
            category_id=category_id,
            area=int(np.count_nonzero(mask)),
            bbox=[x, y, w, h],
            iscrowd=iscrowd)
    return id_map, list(infos.values())


def make_sample(seed, split, index):
    """Draw one image and its annotation.

    Returns:
        tuple: RGB image uint8 (H, W, 3), id map int32 (H, W) (0 is void) and
        `segments_info` as in COCO's panoptic format.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    shape = tuple(rng.integers(SIDES[0], SIDES[1] + 1, 2).tolist())
    picture, category_map = draw_stuff(rng, shape)
    scene = place_things(rng, shape)
    for thing in scene.things:
        thing.paint(rng, picture)
    picture *= rng.uniform(0.85, 1.1)
    picture += 0.015 * rng.standard_normal(picture.shape, dtype=np.float32)
    image = np.clip(255 * picture + 0.5, 0, 255).astype(np.uint8)
    segments = split_segments(scene, category_map)
    return image, *number_segments(rng, segments, shape)


def _write(path, bgr, *options):
    if not cv2.imwrite(str(path), bgr, options):
        raise OSError(f'cannot write {path}')


def write_sample(index, root, split, seed):
    """Draw and store one image; return its entries for the JSON file."""
    image, id_map, segments_info = make_sample(seed, split, index)
    stem = f'{index + 1:06d}'
    _write(root / split / f'{stem}.jpg', image[..., ::-1],
           cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    colours = np.stack([id_map >> 16, id_map >> 8 & 255, id_map & 255], axis=2)
    _write(root / f'panoptic_{split}' / f'{stem}.png',
           colours.astype(np.uint8))
    height, width = id_map.shape
    return dict(
        id=index + 1, file_name=f'{stem}.jpg', height=height,
        width=width), dict(
            image_id=index + 1,
            file_name=f'{stem}.png',
            segments_info=segments_info)


def split_info(split, count, seed):
    """What a split is made from; equal if and only if the files are."""
    source = Path(__file__).read_bytes()
    return dict(
        description=DESCRIPTION,
        split=split,
        count=count,
        seed=seed,
        generator=hashlib.sha256(source).hexdigest()[:16])


def is_complete(root, split, info):
    """Whether a split stands there, made from `info`, with all its files.

    Raises:
        FileExistsError: When the place is taken by another data set.
    """
    path = root / f'panoptic_{split}.json'
    if not path.exists():
        return False
    try:
        content = json.loads(path.read_text())
        ours = content['info']['description'] == DESCRIPTION
    except (ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise FileExistsError(
            f'{path} belongs to another data set: choose another folder')
    if content['info'] != info:
        return False
    for folder, key in ((split, 'images'), (f'panoptic_{split}',
                                            'annotations')):
        names = {entry['file_name'] for entry in content[key]}
        if not names <= {f.name for f in (root / folder).glob('*')}:
            return False
    return True


def _one_thread():
    cv2.setNumThreads(0)


def write_split(root, split, count, seed, workers):
    """Write one split; its JSON file comes last, under its name only once
    whole, so that an interrupted run leaves nothing that looks finished."""
    path = root / f'panoptic_{split}.json'
    path.unlink(missing_ok=True)
    for folder in (split, f'panoptic_{split}'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    job = partial(write_sample, root=root, split=split, seed=seed)
    with Pool(workers, _one_thread) as pool:
        entries = list(
            tqdm(
                pool.imap(job, range(count), chunksize=8),
                desc=f'shapes {split}',
                total=count,
                disable=None))  # no bar in a log file
    images, annotations = zip(*entries)
    content = dict(
        info=split_info(split, count, seed),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=CATEGORIES)
    partial_path = path.with_suffix('.json.partial')
    partial_path.write_text(json.dumps(content))
    os.replace(partial_path, path)


def make_dataset(root, counts, seed=0, workers=1):
    """Write the data set under `root` unless it is there already.

    Args:
        root (Path): folder of the data set.
        counts (dict): images of each split, e.g. `dict(train=2000, val=200)`.
        seed (int): the same seed gives the same files.
        workers (int): processes.

    Returns:
        list[str]: the splits that were written.
    """
    missing = [
        split for split, count in counts.items()
        if not is_complete(root, split, split_info(split, count, seed))
    ]
    for split in missing:
        write_split(root, split, counts[split], seed, workers)
    return missing


def natural(text):
    """Parse a whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(
            f'{text} is too small: give 1 or more')
    return number


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', nargs='?', default='data/shapes', type=Path)
    parser.add_argument('--train', type=natural, default=2000)
    parser.add_argument('--val', type=natural, default=200)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--workers',
        type=natural,
        default=len(os.sched_getaffinity(0)),
        help='processes; the files do not depend on it')
    return parser.parse_args()


def main():
    args = parse_args()
    counts = dict(train=args.train, val=args.val)
    try:
        written = make_dataset(args.root, counts, args.seed, args.workers)
    except FileExistsError as error:
        raise SystemExit(str(error)) from None
    state = 'written' if written else 'already there'
    print(f'{args.root}: {args.train} training and {args.val} validation '
          f'images, {state}')


if __name__ == '__main__':
    main()
