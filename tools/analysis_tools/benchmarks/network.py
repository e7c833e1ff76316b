"""Cases of inference: the network, and all three answers to an image."""
from pathlib import Path
from typing import Any, Callable, List

import numpy as np
import torch
from mmseg.utils.tokenizer import tokenize

from projects.oneformer.tasks import TASKS, task_text

from .measure import BenchmarkError, Case, Contender, Workload
from .models import (NUM_STUFF, NUM_THINGS, images, our_model, prepare,
                     prepare_alone, test_sample, their_model)
from .modes import as_asked

TASK = TASKS[0]


def our_forward(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Backbone to predictions of one task."""
    model = our_model(workload, folder)
    pixels = images(workload, 1)

    def predict():
        features = model.extract_feat(pixels)
        return model.panoptic_head.predict(features, [[TASK]])

    predict = as_asked(predict, model, workload)

    def run():
        logits, masks = predict()
        return logits[:, 0], masks[:, 0]

    return torch.no_grad()(run)


def their_forward(workload: Workload, folder: Path) -> Callable[[], Any]:
    """The same of Hugging Face."""
    model = their_model(workload, folder)
    pixels = images(workload, 1)
    tokens = tokenize([task_text(TASK)], 77).to(workload.device)

    def run():
        outputs = model(pixel_values=pixels, task_inputs=tokens)
        return outputs.class_queries_logits, outputs.masks_queries_logits

    return torch.no_grad()(as_asked(run, model, workload))


def our_answers(workload: Workload, folder: Path) -> Callable[[], Any]:
    """All three answers, through the detector."""
    model = our_model(workload, folder)
    pixels = images(workload, 1)

    def predict():
        return model.predict(pixels, [test_sample(workload)])

    predict = as_asked(predict, model, workload)

    def run():
        sample, = predict()
        return dict(
            semantic=sample.pred_sem_seg.sem_seg[0],
            segments=len(sample.pred_panoptic_seg.sem_seg.unique()),
            instances=len(sample.pred_instances))

    return torch.no_grad()(run)


def their_answers(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Three forward passes of Hugging Face, each with its post-processing."""
    from transformers import OneFormerImageProcessor
    model = their_model(workload, folder)
    # its constructor would fetch the names of classes from a hub
    processor = OneFormerImageProcessor.__new__(OneFormerImageProcessor)
    sizes = [workload.image_size]
    pixels = images(workload, 1)
    tokens = {
        task: tokenize([task_text(task)], 77).to(workload.device)
        for task in TASKS
    }
    stuff = set(range(NUM_THINGS, NUM_THINGS + NUM_STUFF))
    finish = dict(
        panoptic=lambda outputs: processor.post_process_panoptic_segmentation(
            outputs,
            threshold=0.8,
            label_ids_to_fuse=stuff,
            target_sizes=sizes),
        instance=lambda outputs: processor.post_process_instance_segmentation(
            outputs, threshold=0.8, target_sizes=sizes),
        semantic=lambda outputs: processor.post_process_semantic_segmentation(
            outputs, target_sizes=sizes))

    forward = as_asked(model, model, workload)

    def answer(task):
        outputs = forward(pixel_values=pixels, task_inputs=tokens[task])
        return finish[task](outputs)[0]

    def run():
        answers = {task: answer(task) for task in TASKS}
        return dict(
            semantic=answers['semantic'],
            segments=len(answers['panoptic']['segments_info']),
            instances=len(answers['instance']['segments_info']))

    return torch.no_grad()(run)


def close(ours: List[np.ndarray], theirs: List[np.ndarray]) -> str:
    """How many queries have logits within 1e-5 of the largest, 98 % at least.

    The others must be within 1e-2: where the pixels that a query sees are
    told by a logit of nearly 0, rounding decides, and its predictions change
    a little.
    """
    errors = np.max([
        np.abs(a - b).reshape(*a.shape[:2], -1).max(axis=-1) / np.abs(b).max()
        for a, b in zip(ours, theirs)
    ], 0)
    near = float((errors < 1e-5).mean())
    if not (near >= 0.98 and errors.max() < 1e-2):
        raise BenchmarkError(
            f'results of only {near:.1%} of the queries are within 1e-5 of '
            f'the largest, the worst by {errors.max():.1e}')
    return (f'logits of {near:.1%} of the queries within 1e-5 of the largest, '
            f'of all within {errors.max():.0e}')


def similar(ours: dict, theirs: dict) -> str:
    """Share of the pixels with the same semantic label, 99 % at least.

    Hugging Face sums scores at a quarter of the size and enlarges the sum,
    the official code enlarges masks first, and so do we.
    """
    share = float((ours['semantic'] == theirs['semantic']).mean())
    if share < 0.99:
        raise BenchmarkError(f'only {share:.1%} of semantic labels agree')
    return (f'{share:.2%} of semantic labels agree; panoptic segments '
            f'{ours["segments"]} and {theirs["segments"]}')


HUGGING_FACE = ('transformers', )
CASES = (
    Case('forward', 'network forward, one task, 1 image',
         Contender('ours', our_forward),
         Contender('Hugging Face', their_forward, HUGGING_FACE), 1.4, close,
         prepare),
    Case('answers', 'three tasks with all post-processing, 1 image',
         Contender('ours', our_answers),
         Contender('Hugging Face, 3 passes', their_answers, HUGGING_FACE), 4.,
         similar, prepare),
    Case('three-for-one', 'three tasks with post-processing, 1 image',
         Contender('ours, 3 tasks', our_answers),
         Contender('ours, forward of 1 task', our_forward), 1 / 1.5, None,
         prepare_alone),
)
