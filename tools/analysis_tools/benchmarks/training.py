"""Cases of training: steps, losses and the text mapper."""
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmseg.utils.tokenizer import tokenize
from torch import Tensor, nn

from projects.oneformer.models import TextMapper
from projects.oneformer.tasks import padding_text, task_text

from .comparison import alike, near
from .measure import BenchmarkError, Case, Contender, Workload
from .models import (images, mask2former, our_model, prepare, prepare_alone,
                     their_model, train_samples)
from .modes import as_asked

CONTRASTIVE = 'loss_contrastive'
#: Texts of two images with 150 queries and 16 context embeddings.
TEXTS = 134


def points_by_number(*size, device=None) -> Tensor:
    """In place of ``torch.rand``: points that depend on their number alone.

    Both sides sample random points for their losses; with these they sample
    the same ones.
    """
    rows, number, dims = size[0] if isinstance(size[0], tuple) else size
    points = np.random.default_rng(number).random((1, number, dims))
    return torch.from_numpy(points).float().to(device).repeat(rows, 1, 1)


class Step:
    """A training step, whose first call gives its losses at equal points.

    Args:
        model: Is trained.
        losses: Gives the losses of the batch by name.
    """

    def __init__(self, model: nn.Module,
                 losses: Callable[[], Dict[str, Tensor]]) -> None:
        self.losses = losses
        self.optimizer = torch.optim.AdamW(
            model.parameters(), 1e-6, fused=True)
        self.compared = False

    def __call__(self) -> Dict[str, Tensor]:
        rand = torch.rand
        if not self.compared:
            torch.rand, self.compared = points_by_number, True
        try:
            losses = self.losses()
        finally:
            torch.rand = rand
        self.backward(losses)
        self.optimizer.step()
        return losses

    def backward(self, losses: Dict[str, Tensor]) -> None:
        self.optimizer.zero_grad()
        sum(losses.values()).backward()


def flat(losses: Dict[str, Any]) -> Dict[str, Tensor]:
    """Losses as scalars."""
    return {name: loss.mean() for name, loss in losses.items()}


def our_step(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Forward, losses, backward and optimizer of our model."""
    model = our_model(workload, folder).train()
    pixels = images(workload, workload.batch)
    samples = train_samples(workload)
    loss = as_asked(lambda: model.loss(pixels, samples), model, workload)
    return Step(model, lambda: flat(loss()))


def their_step(workload: Workload, folder: Path) -> Callable[[], Any]:
    """The same of Hugging Face, on the same images, masks and texts."""
    model = their_model(workload, folder, is_training=True).train()
    pixels = images(workload, workload.batch)
    samples = train_samples(workload)
    device = workload.device
    texts = workload.queries - model.config.text_encoder_n_ctx
    inputs = dict(
        pixel_values=pixels,
        task_inputs=tokenize([task_text(s.task) for s in samples],
                             77).to(device),
        text_inputs=torch.stack(
            [tokenize(padded(s, texts), 77) for s in samples]).to(device),
        mask_labels=[masks_of(s).to(device) for s in samples],
        class_labels=[s.gt_instances.labels for s in samples])
    found = {}
    weighted = model.get_loss_dict

    def keep(**kwargs):
        found['losses'] = weighted(**kwargs)
        return found['losses']

    model.get_loss_dict = keep

    def losses():
        model(**inputs)
        return their_names(found['losses'])

    return Step(model, as_asked(losses, model, workload))


def padded(sample: DetDataSample, number: int) -> List[str]:
    """The list of texts of an image at full length."""
    return sample.texts + [padding_text(sample.task)] * (
        number - len(sample.texts))


def masks_of(sample: DetDataSample) -> Tensor:
    """Ground truth masks as floats (M, H, W)."""
    return sample.gt_instances.masks.to_tensor(torch.float32, 'cpu')


def their_names(losses: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Hugging Face's losses under MMDetection's names."""
    named = {}
    for name, value in losses.items():
        name, _, stage = name.partition('_aux_') if '_aux_' in name else (
            name.rpartition('_') if name[-1].isdigit() else (name, '', ''))
        name = name.replace('loss_cross_entropy', 'loss_cls')
        named[f'd{stage}.{name}' if stage else name] = value.mean()
    return named


def same_losses(ours: Dict[str, Any], theirs: Dict[str, Any]) -> str:
    """Largest relative difference of the losses but the contrastive one.

    Hugging Face's text encoder never applies its causal mask, so that the
    contrastive losses are different things.
    """
    names = set(ours) - {CONTRASTIVE}
    if names != set(theirs) - {CONTRASTIVE}:
        raise BenchmarkError(f'losses are {sorted(ours)} and {sorted(theirs)}')
    worst = max(
        abs(float(ours[name]) / float(theirs[name]) - 1) for name in names)
    if not worst < 1e-3:
        raise BenchmarkError(f'losses differ by {worst:.1e}')
    return f'{len(names)} losses within {worst:.0e}'


def mask2former_step(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Mask2Former in MMDetection: no text, no query formation."""
    model = mask2former(workload).train()
    pixels = images(workload, workload.batch)
    samples = train_samples(workload)
    loss = as_asked(lambda: model.parse_losses(model.loss(pixels, samples))[0],
                    model, workload)
    return Step(model, lambda: dict(loss=loss()))


def text_mapper(workload: Workload, folder: Path) -> TextMapper:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    mapper = TextMapper(out_channels=256, num_texts=TEXTS)
    mapper.init_weights()
    return mapper.to(workload.device)


def text_lists(workload: Workload) -> Dict[str, list]:
    samples = train_samples(workload)
    return dict(
        batch_texts=[s.texts for s in samples],
        tasks=[s.task for s in samples])


def distinct_texts(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Each different text once, cut at the longest end token."""
    mapper = text_mapper(workload, folder)
    return with_gradients(mapper, lambda: mapper(**text_lists(workload)))


def every_text(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Every text of the padded lists at all its 77 tokens."""
    mapper = text_mapper(workload, folder)
    lists = text_lists(workload)

    def encode():
        texts = [
            text for texts, task in zip(lists['batch_texts'], lists['tasks'])
            for text in mapper.pad_texts(texts, task)
        ]
        tokens = tokenize(texts, 77).to(workload.device)
        features = mapper.projector(mapper.encoder(tokens))
        features = features.unflatten(0, (-1, TEXTS))
        context = mapper.context.weight.expand(len(features), -1, -1)
        return torch.cat([features, context], dim=1)

    return with_gradients(mapper, encode)


def with_gradients(module: nn.Module,
                   forward: Callable[[], Tensor]) -> Callable[[], Any]:
    """Forward and backward; gives the output and the gradients."""

    def run():
        module.zero_grad()
        output = forward()
        output.square().sum().backward()
        return [output] + [p.grad for p in module.parameters()]

    return run


class Predictions:
    """Ten predictions of a batch, as both sides take them.

    Args:
        workload: Its queries, batch and image size.
        layout: Of the mask features in memory, as the pixel decoder of a side
            leaves them.
    """

    def __init__(
            self,
            workload: Workload,
            layout: torch.memory_format = torch.contiguous_format) -> None:
        generator = torch.Generator().manual_seed(0)
        size = [side // 4 for side in workload.image_size]
        stages, batch = 10, workload.batch

        def random(*shape):
            tensor = torch.randn(shape, generator=generator)
            return tensor.to(workload.device).requires_grad_()

        mask_features = random(batch, 256, *size).detach()
        self.mask_features = mask_features.contiguous(
            memory_format=layout).requires_grad_()
        self.mask_embeds = random(stages, batch, workload.queries, 256)
        self.cls_scores = random(stages, batch, workload.queries, 134)
        self.samples = train_samples(workload)
        self.leaves = [self.mask_features, self.mask_embeds, self.cls_scores]

    def backward(self, losses: Dict[str, Tensor]) -> List[Tensor]:
        """The losses in the order of their names, and the gradients."""
        for leaf in self.leaves:
            leaf.grad = None
        sum(losses.values()).backward()
        return [losses[name] for name in sorted(losses)
                ] + [leaf.grad for leaf in self.leaves]


def our_losses(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Matching at points, then full masks of matched queries alone."""
    from projects.oneformer.models import oneformer_head
    head = our_model(workload, folder).panoptic_head
    data = Predictions(workload, torch.channels_last)
    labels = [s.gt_instances.labels for s in data.samples]
    masks = [
        s.gt_instances.masks.to_tensor(torch.uint8, workload.device)
        for s in data.samples
    ]

    def losses():
        predictions = oneformer_head.Predictions(data.cls_scores,
                                                 data.mask_embeds)
        targets = head._match(predictions, data.mask_features, labels, masks)
        return flat(
            head._stage_losses(predictions, data.mask_features, targets,
                               masks))

    return at_equal_points(lambda: data.backward(losses()))


def their_losses(workload: Workload, folder: Path) -> Callable[[], Any]:
    """Full masks of all queries, then MMDetection's loop over predictions."""
    head = mask2former(workload).panoptic_head
    data = Predictions(workload)
    metas = [s.metainfo for s in data.samples]
    truth = [
        InstanceData(
            labels=s.gt_instances.labels,
            masks=masks_of(s).long().to(workload.device)) for s in data.samples
    ]

    def losses():
        masks = [
            torch.einsum('bqc,bchw->bqhw', embeds, data.mask_features)
            for embeds in data.mask_embeds
        ]
        return flat(
            head.loss_by_feat(list(data.cls_scores), masks, truth, metas))

    return at_equal_points(lambda: data.backward(losses()))


def at_equal_points(run: Callable[[], Any]) -> Callable[[], Any]:
    """Let the first call sample the points of `points_by_number`."""
    state = dict(first=True)

    def wrapped():
        rand = torch.rand
        if state.pop('first', False):
            torch.rand = points_by_number
        try:
            return run()
        finally:
            torch.rand = rand

    return wrapped


MMDET = 'Mask2Former in MMDetection'
CASES = (
    Case(
        'train-huggingface',
        'training step, same losses',
        Contender('ours', our_step),
        Contender('Hugging Face', their_step, ('transformers', )),
        3.,
        same_losses,
        prepare,
        largest_memory=0.5),
    Case('train-mask2former', 'training step, another model',
         Contender('ours', our_step), Contender(MMDET, mask2former_step),
         1 / 0.85, None, prepare_alone),
    Case('text-mapper', 'text mapper, forward and backward, 2 x 134 texts',
         Contender('different texts once', distinct_texts),
         Contender('the padded list', every_text), 20., near),
    Case('losses', 'matching and losses, 10 predictions, backward',
         Contender('ours', our_losses), Contender('MMDetection', their_losses),
         2., alike, prepare_alone),
)
