"""Head of OneFormer: pixel decoder, queries, mask decoder and losses."""
import warnings
from typing import Dict, List, NamedTuple, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.ops import point_sample
from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType, reduce_mean
from mmengine.config import ConfigDict
from torch import Tensor

from ..tasks import TASKS
from .attention import KeyValue, attend, project_key_value, self_attend
from .linear import product
from .point_sampling import PointSampler, sample_masks, sample_predictions


class ImageMemory(NamedTuple):
    """What the mask decoder reads of a batch of images, for any task.

    ``levels`` and ``positions`` hold the features and their position
    encodings from low to high resolution, of shape (B, hw, C) and (1, hw, C);
    ``level_masks`` the mask features resized to each level, (B, C, hw).
    """
    mask_features: Tensor
    levels: List[Tensor]
    positions: List[Tensor]
    level_masks: List[Tensor]


class Predictions(NamedTuple):
    """Predictions of D decoder stages for S queries of B images.

    ``cls_scores`` has shape (D, B, S, K + 1). Mask logits are the product of
    ``mask_embeds`` (D, B, S, C) with the mask features.
    """
    cls_scores: Tensor
    mask_embeds: Tensor


class MatchedTargets(NamedTuple):
    """Ground truth of a batch as seen by D decoder stages.

    ``labels`` (D, B, N) holds the label of each query; ``matches[d][i]`` the
    matched query and mask indices of image i.
    """
    labels: Tensor
    matches: List[List[Tuple[Tensor, Tensor]]]


@MODELS.register_module()
class OneFormerHead(Mask2FormerHead):
    """Mask2Former's head on task-conditioned queries (paper, section 3).

    Its modules are those of ``Mask2FormerHead``, and so are the results.
    What differs is the order of the work: everything that depends on the
    image alone is done once for all tasks (`encode`), attention masks come
    from mask features of their own resolution, matching looks at sampled
    points alone, and full masks are made for matched queries only.

    Args:
        query_formation (dict): Config of `QueryFormation`, or of
            `LearntQueries` for Mask2Former.
        text_mapper (dict, optional): Config of `TextMapper`. Without
            ``num_texts``, its texts and ``num_context`` learnt embeddings
            are as many as the queries.
        loss_contrastive (dict, optional): Config of
            `QueryTextContrastiveLoss`; given together with ``text_mapper``.
            Neither is the ablation "no contrastive loss".
        loss_query_cls (dict, optional): Config of a classification loss on
            the queries before the mask decoder, the ablation "query
            classification loss": a linear classifier on the queries of the
            contrastive loss, matched like the first prediction.
        no_object_weight (float): Class weight of "no object".
        loss_cls (dict): Config of the class loss, without ``class_weight``.
        train_cfg (dict, optional): ``assigner`` (`BatchHungarianAssigner`),
            ``num_points``, ``oversample_ratio``, ``importance_sample_ratio``.
        **kwargs: Of ``Mask2FormerHead``.
    """

    def __init__(self,
                 query_formation: ConfigType,
                 loss_cls: ConfigType,
                 text_mapper: OptConfigType = None,
                 loss_contrastive: OptConfigType = None,
                 loss_query_cls: OptConfigType = None,
                 no_object_weight: float = 0.1,
                 train_cfg: OptConfigType = None,
                 **kwargs) -> None:
        if (text_mapper is None) != (loss_contrastive is None):
            raise ValueError('text_mapper and loss_contrastive serve one '
                             'another: give both or neither')
        num_classes = (
            kwargs['num_things_classes'] + kwargs['num_stuff_classes'])
        class_weight = [1.] * num_classes + [no_object_weight]
        super().__init__(
            loss_cls=ConfigDict(loss_cls, class_weight=class_weight), **kwargs)
        # Mask2Former's learnt queries, where used, are a query formation
        del self.query_feat
        channels = self.decoder_embed_dims
        sizes = dict(feat_channels=channels, num_queries=self.num_queries)
        self.query_formation = MODELS.build(dict(query_formation, **sizes))
        if text_mapper is not None:
            text_mapper = dict(text_mapper, out_channels=channels)
            text_mapper.setdefault(
                'num_texts', self.num_queries - text_mapper['num_context'])
            self.text_mapper = MODELS.build(text_mapper)
            self.loss_contrastive = MODELS.build(loss_contrastive)
        if loss_query_cls is not None:
            self.query_cls_embed = nn.Linear(channels, num_classes + 1)
            self.loss_query_cls = MODELS.build(
                dict(loss_query_cls, class_weight=class_weight))
        if train_cfg:
            self.assigner = TASK_UTILS.build(train_cfg['assigner'])
            self.num_points = train_cfg['num_points']
            self.oversample_ratio = train_cfg['oversample_ratio']
            self.importance_sample_ratio = train_cfg['importance_sample_ratio']
        self._text_mapper_missing = False
        self._warned_crowded = False

    def init_weights(self) -> None:
        """Initialise the parts that ``Mask2FormerHead`` does not know."""
        super().init_weights()
        self.query_formation.init_weights()
        if hasattr(self, 'text_mapper'):
            self.text_mapper.init_weights()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args,
                              **kwargs) -> None:
        """Load, telling of another class count or a missing text mapper.

        Published checkpoints may hold no text mapper, which inference does
        not need: then the present one is kept, and `loss` warns.
        """
        weight = state_dict.get(f'{prefix}cls_embed.weight')
        if weight is not None and len(weight) != self.num_classes + 1:
            raise ValueError(
                f'the checkpoint knows {len(weight) - 1} classes, the model '
                f'{self.num_classes}: test it with the config it was trained '
                'with, or start new classes from it with '
                "custom_hooks=[dict(type='NewClassesHook')]")
        parts = [
            part for part in ('text_mapper', 'loss_contrastive')
            if hasattr(self, part)
        ]
        self._text_mapper_missing = bool(parts) and not any(
            key.startswith(f'{prefix}text_mapper.') for key in state_dict)
        if self._text_mapper_missing:
            for part in parts:
                own = getattr(self, part).state_dict(prefix=f'{prefix}{part}.')
                state_dict.update({**own, **state_dict})
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def encode(self, x: Sequence[Tensor]) -> ImageMemory:
        """Run the pixel decoder, in float32 as the official code does.

        Args:
            x (tuple[Tensor]): Backbone features, strides 4 to 32.
        """
        with torch.autocast(x[0].device.type, enabled=False):
            mask_features, maps = self.pixel_decoder([f.float() for f in x])
        levels, positions, level_masks = [], [], []
        for level, features in enumerate(
                maps[:self.num_transformer_feat_level]):
            size = features.shape[-2:]
            features = self.decoder_input_projs[level](features)
            features = features.flatten(2).transpose(1, 2)
            levels.append(features + self.level_embed.weight[level])
            position = self.decoder_positional_encoding(
                features.new_zeros((1, *size)))
            positions.append(position.flatten(2).transpose(1, 2))
            # resizing is linear: a mask resized is a product of these
            level_masks.append(
                F.interpolate(mask_features.detach(), size,
                              mode='bilinear').flatten(2))
        return ImageMemory(mask_features, levels, positions, level_masks)

    def form_queries(self, memory: ImageMemory,
                     tasks: Sequence[Sequence[str]]) -> Tensor:
        """Queries of the tasks of each image.

        Args:
            memory (ImageMemory): Of B images.
            tasks (list[list[str]]): The T tasks of each image.

        Returns:
            Tensor: Shape (B, T, N, C), T being 1 if queries know no task.
        """
        tokens = None
        if self.query_formation.uses_task:
            tokens = self.query_formation.task_tokens(
                tasks, self.transformer_decoder.post_norm)
        return self.query_formation(memory.mask_features,
                                    self.query_embed.weight, tokens)

    def _attention_mask(self, mask_embed: Tensor,
                        level_mask: Tensor) -> Tensor:
        """Where queries look: inside their mask, or everywhere if empty.

        Args:
            mask_embed (Tensor): Shape (B, S, C).
            level_mask (Tensor): Mask features of a level, (B, C, hw).

        Returns:
            Tensor: Bool, (B, S, hw), true where the query sees the pixel.
        """
        visible = mask_embed.detach() @ level_mask.to(mask_embed) >= 0
        return visible | ~visible.any(dim=-1, keepdim=True)

    def _decoder_layer(self, layer: nn.Module, query: Tensor, memory: KeyValue,
                       visible: Tensor) -> Tensor:
        """One layer on (B, T, N, C), equal to ``layer`` on each task."""
        shape = query.shape
        pos = self.query_embed.weight
        crossed = attend(layer.cross_attn.attn, (query + pos).flatten(1, 2),
                         memory, visible)
        query = query + layer.cross_attn.dropout_layer(crossed).view(shape)
        query = layer.norms[0](query).flatten(0, 1)
        query = query + layer.self_attn.dropout_layer(
            self_attend(layer.self_attn.attn, query, pos))
        query = layer.ffn(layer.norms[1](query))
        return layer.norms[2](query).view(shape)

    def decode(self,
               memory: ImageMemory,
               queries: Tensor,
               all_stages: bool = False) -> Predictions:
        """Run the mask decoder on the queries of T tasks of each image.

        Args:
            memory (ImageMemory): Of B images.
            queries (Tensor): Shape (B, T, N, C).
            all_stages (bool): Whether to return the predictions before the
                first and after each layer, or the last one alone.

        Returns:
            Predictions: With S = T * N queries an image.
        """
        query, stages = queries, []
        for i, layer in enumerate(self.transformer_decoder.layers):
            normed = self.transformer_decoder.post_norm(query).flatten(1, 2)
            mask_embed = self.mask_embed(normed)
            if all_stages:
                stages.append((self.cls_embed(normed), mask_embed))
            level = i % self.num_transformer_feat_level
            visible = self._attention_mask(mask_embed,
                                           memory.level_masks[level])
            features = memory.levels[level]
            key_value = project_key_value(layer.cross_attn.attn,
                                          features + memory.positions[level],
                                          features)
            query = self._decoder_layer(layer, query, key_value, visible)
        normed = self.transformer_decoder.post_norm(query).flatten(1, 2)
        stages.append((self.cls_embed(normed), self.mask_embed(normed)))
        return Predictions(*(torch.stack(stage) for stage in zip(*stages)))

    def forward(self, x: Sequence[Tensor],
                batch_data_samples: SampleList) -> Tuple[List[Tensor], ...]:
        """All predictions with full masks, as ``Mask2FormerHead`` returns.

        Training and testing make less; see `loss` and `predict`.

        Args:
            x (tuple[Tensor]): Backbone features, strides 4 to 32.
            batch_data_samples (list[DetDataSample]): With ``task``; those
                without one count as panoptic.

        Returns:
            tuple[list[Tensor]]: Class logits (B, N, K + 1) and mask logits
            (B, N, h, w) of each decoder stage.
        """
        memory = self.encode(x)
        tasks = [[sample.get('task', TASKS[0])]
                 for sample in batch_data_samples]
        predictions = self.decode(
            memory, self.form_queries(memory, tasks), all_stages=True)
        masks = [
            torch.einsum('bqc,bchw->bqhw', embed, memory.mask_features)
            for embed in predictions.mask_embeds
        ]
        return list(predictions.cls_scores), masks

    def predict(self, x: Sequence[Tensor],
                tasks: Sequence[Sequence[str]]) -> Tuple[Tensor, Tensor]:
        """Last predictions of several tasks of each image.

        Args:
            x (tuple[Tensor]): Backbone features, strides 4 to 32.
            tasks (list[list[str]]): The tasks of each image; those of images
                with fewer are filled up with their last one.

        Returns:
            tuple[Tensor]: Class logits (B, T, N, K + 1) and mask logits
            (B, T, N, h, w) at 1/4 scale.
        """
        most = max(len(asked) for asked in tasks)
        tasks = [[*asked, *asked[-1:] * (most - len(asked))]
                 for asked in tasks]
        memory = self.encode(x)
        queries = self.form_queries(memory, tasks)
        predictions = self.decode(memory, queries)
        masks = torch.einsum('bqc,bchw->bqhw', predictions.mask_embeds[-1],
                             memory.mask_features)
        per_task = (queries.shape[1], self.num_queries)
        return (predictions.cls_scores[-1].unflatten(1, per_task),
                masks.unflatten(1, per_task))

    def loss(self, x: Sequence[Tensor],
             batch_data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses of a batch.

        Args:
            x (tuple[Tensor]): Backbone features, strides 4 to 32.
            batch_data_samples (list[DetDataSample]): With ``task``,
                ``texts`` and ``gt_instances`` (``labels``, ``masks``).

        Returns:
            dict[str, Tensor]: ``loss_cls``, ``loss_mask`` and ``loss_dice``
            of the last prediction, those of prediction i as ``d{i}.*``, and
            ``loss_contrastive`` or ``loss_query_cls`` where configured.
        """
        device = x[0].device
        labels = [s.gt_instances.labels for s in batch_data_samples]
        masks = [
            # on a CPU the masks of the sample, not a copy
            torch.as_tensor(
                s.gt_instances.masks.to_ndarray(),
                dtype=torch.uint8,
                device=device) for s in batch_data_samples
        ]
        self._check(batch_data_samples)
        memory = self.encode(x)
        queries = self.form_queries(memory,
                                    [[s.task] for s in batch_data_samples])
        predictions = self.decode(memory, queries, all_stages=True)
        with torch.autocast(device.type, enabled=False):
            mask_features = memory.mask_features.float()
            predictions = Predictions(*(p.float() for p in predictions))
            targets = self._match(predictions, mask_features, labels, masks)
            losses = self._stage_losses(predictions, mask_features, targets,
                                        masks)
        losses.update(
            self._query_losses(queries[:, 0], targets, batch_data_samples))
        return losses

    @torch.no_grad()
    def _match(self, predictions: Predictions, mask_features: Tensor,
               labels: List[Tensor], masks: List[Tensor]) -> MatchedTargets:
        """Match the queries of every stage with the masks of their image.

        All stages look at the same random points of an image, so that
        features and masks are sampled once; each stage alone sees points of
        the distribution that the official matcher draws.

        Args:
            predictions (Predictions): Of all stages.
            mask_features (Tensor): Shape (B, C, h, w).
            labels (list[Tensor]): Labels of each image, shape (M_i, ).
            masks (list[Tensor]): Masks of each image, uint8 (M_i, H, W).
        """
        costs = []
        for i, embeds in enumerate(predictions.mask_embeds.unbind(1)):
            points = torch.rand((1, self.num_points, 2), device=embeds.device)
            features = point_sample(mask_features[i:i + 1], points)[0]
            costs.append(
                self.assigner.costs(predictions.cls_scores[:, i],
                                    (product(embed, features.t())
                                     for embed in embeds), labels[i],
                                    sample_masks(masks[i], points)))
        matches = self.assigner.match(costs)
        target = torch.full(predictions.cls_scores.shape[:3], self.num_classes)
        labels = [label.cpu() for label in labels]
        for d, stage in enumerate(matches):
            for i, (queries, places) in enumerate(stage):
                target[d, i, queries] = labels[i][places]
        return MatchedTargets(target.to(mask_features.device), matches)

    def _stage_losses(self, predictions: Predictions, mask_features: Tensor,
                      targets: MatchedTargets,
                      masks: List[Tensor]) -> Dict[str, Tensor]:
        """Class, mask and dice losses of every stage."""
        num_masks = mask_features.new_tensor(
            [float(sum(len(mask) for mask in masks))])
        num_masks = reduce_mean(num_masks).clamp(min=1)
        points = self._point_values(predictions.mask_embeds, mask_features,
                                    targets.matches, masks)
        losses = {}
        last = len(predictions.cls_scores) - 1
        for d, (logits, goals) in enumerate(zip(*points)):
            prefix = '' if d == last else f'd{d}.'
            losses[f'{prefix}loss_cls'] = self._class_loss(
                self.loss_cls, predictions.cls_scores[d], targets.labels[d])
            losses[f'{prefix}loss_mask'], losses[f'{prefix}loss_dice'] = \
                self._mask_losses(logits, goals, num_masks)
        return losses

    def _point_values(self, mask_embeds: Tensor, mask_features: Tensor,
                      matches: List[List[Tuple[Tensor, Tensor]]],
                      masks: List[Tensor]) -> Tuple[Tensor, Tensor]:
        """Logits of matched queries and values of their masks, at points.

        Full masks are made of the matched queries alone.

        Args:
            mask_embeds (Tensor): Shape (D, B, N, C).
            mask_features (Tensor): Shape (B, C, h, w).
            matches (list[list[tuple]]): See `MatchedTargets`.
            masks (list[Tensor]): See `_match`.

        Returns:
            tuple[Tensor]: Mask logits and mask values of each stage, both
            (D, M, P), image after image.
        """
        stages = torch.arange(len(mask_embeds))[:, None]
        logits, goals = [], []
        for i, features in enumerate(mask_features.unbind()):
            queries, places = (
                torch.stack(index)
                for index in zip(*(stage[i] for stage in matches)))
            sampler = PointSampler(queries.shape[1], self.num_points,
                                   self.oversample_ratio,
                                   self.importance_sample_ratio,
                                   features.device)
            values, points = sample_predictions(
                mask_embeds[:, i][stages, queries], features, sampler)
            logits.append(values)
            goals.append(
                torch.stack([
                    sample_masks(_select(masks[i], place), point)
                    for place, point in zip(places, points)
                ]))
        return torch.cat(logits, dim=1), torch.cat(goals, dim=1)

    def _class_loss(self, loss: nn.Module, scores: Tensor,
                    labels: Tensor) -> Tensor:
        """Weighted mean of the class loss of (B, N, K + 1) logits."""
        scores, labels = scores.flatten(0, 1), labels.flatten()
        weight = scores.new_tensor(self.class_weight)
        return loss(scores, labels, avg_factor=weight[labels].sum())

    def _mask_losses(self, logits: Tensor, goals: Tensor,
                     num_masks: Tensor) -> Tuple[Tensor, Tensor]:
        """Binary cross entropy and dice loss of M masks at points (M, P).

        They are means over ``num_masks`` masks.
        """
        if len(logits) == 0:
            nothing = logits.sum()  # keeps every parameter in the graph
            return nothing, nothing
        loss_mask = self.loss_mask(
            logits.flatten(),
            goals.flatten(),
            avg_factor=num_masks * self.num_points)
        return loss_mask, self.loss_dice(logits, goals, avg_factor=num_masks)

    def _query_losses(self, queries: Tensor, targets: MatchedTargets,
                      batch_data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses on the queries (B, N, C) before the mask decoder."""
        losses = {}
        if hasattr(self, 'loss_contrastive'):
            text_queries = self.text_mapper(
                [s.texts for s in batch_data_samples],
                [s.task for s in batch_data_samples])
            losses['loss_contrastive'] = self.loss_contrastive(
                queries, text_queries)
        if hasattr(self, 'loss_query_cls'):
            losses['loss_query_cls'] = self._class_loss(
                self.loss_query_cls,
                self.query_cls_embed(queries).float(), targets.labels[0])
        return losses

    def _check(self, batch_data_samples: SampleList) -> None:
        """Refuse samples without a task; say once what may not be meant."""
        for sample in batch_data_samples:
            if 'task' not in sample or 'texts' not in sample:
                raise ValueError(
                    'a training sample has no task or no texts: TaskSampling '
                    "makes them, and PackDetInputs needs 'task' and 'texts' "
                    'among its meta_keys')
        if self._text_mapper_missing:
            self._text_mapper_missing = False
            warnings.warn('the checkpoint holds no text mapper: training '
                          'starts with a new one')
        for sample in batch_data_samples:
            count = len(sample.gt_instances.labels)
            if count > self.num_queries and not self._warned_crowded:
                self._warned_crowded = True
                path = sample.metainfo.get('img_path', 'an image')
                warnings.warn(
                    f'{path} has {count} masks but the model has '
                    f'{self.num_queries} queries: the masks that fit worst '
                    'stay unmatched. Training goes on; raise num_queries if '
                    'this is common')


def _select(masks: Tensor, places: Tensor) -> Tensor:
    """Masks at rising places, without a copy where that is all of them."""
    if len(places) == len(masks):
        return masks
    return masks[places.to(masks.device)]
