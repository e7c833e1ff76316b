"""Segment an image with a file of tools/export.py, without torch.

    python tools/run_onnx.py model.onnx image.jpg panoptic out.png

Needs numpy, onnxruntime and Pillow, and nothing of this repository: an example
to start from. The values of out.png are the segments that are printed.
"""
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, path, task, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model)
about = json.loads(session.get_modelmeta().custom_metadata_map['oneformer'])

# the image in the upper left corner, resized as in testing
picture = Image.open(path).convert('RGB')
if about['shape']:
    scale = min(np.divide(about['shape'][::-1], picture.size))
else:
    edges = max(picture.size), min(picture.size)
    scale = min(np.divide(about['resize'] or edges, edges))
width, height = (max(int(side * scale + 0.5), 1) for side in picture.size)
outer = about['shape'] or [-(-height // 32) * 32, -(-width // 32) * 32]
image = np.tile(np.float32(about['padding']), (*outer, 1))
image[:height, :width] = picture.resize((width, height), Image.BILINEAR)

# one task here; rows of several tasks share the work on the image
tokens, image = np.float32([about['tasks'][task]]), image.transpose(2, 0, 1)
logits = session.run(None, dict(image=image[None], task_tokens=tokens))
classes = np.exp(logits[0][0] - logits[0].max(2).T)
classes /= classes.sum(1, keepdims=True)  # the last one: no object
part = (picture.size, Image.BILINEAR, (0, 0, width / 4, height / 4))
masks = [Image.fromarray(mask).resize(*part) for mask in logits[1][0]]
masks = 1 / (1 + np.exp(-np.stack(masks)))

names = [*about['classes'], 'nothing']
if task == 'semantic':
    segments = np.einsum('nk,nhw->khw', classes[:, :-1], masks).argmax(0)
else:  # queries that keep enough of their mask where others score higher
    scores, labels = classes.max(1), classes.argmax(1)
    scores *= (labels < len(names) - 1) & (scores > about['object_mask_thr'])
    segments = (scores[:, None, None] * masks).argmax(0)
    names = [names[label] for label in labels] + ['nothing']
    for i, mask in enumerate(masks >= 0.5):
        owned = segments == i
        kept = scores[i] and owned.sum() >= about['iou_thr'] * mask.sum()
        segments[owned & ~mask if kept else owned] = len(masks)

for i in np.unique(segments):
    print(f'{i}: {names[i]}, {(segments == i).mean():.1%} of the image')
picture = Image.fromarray(segments.astype(np.uint8), 'P')
picture.putpalette(np.random.default_rng(0).bytes(768))
picture.save(out)
