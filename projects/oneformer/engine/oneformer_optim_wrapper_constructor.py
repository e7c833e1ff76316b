"""Parameter groups of the optimizer as the official code makes them."""
from typing import List

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

UNDECAYED_MODULES = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm,
                     nn.Embedding)
UNDECAYED_PARAMETERS = ('relative_position_bias_table', 'absolute_pos_embed')

#: ConvNeXt's own norm is no torch norm in the official code, so decay reaches
#: it; here it is a subclass of `nn.LayerNorm`.
DECAYED_NORM = 'LayerNorm2d'
#: The pixel decoder's level embedding is a bare parameter in the official
#: code, so decay reaches it; here it is an `nn.Embedding`.
DECAYED_EMBEDDING = 'level_encoding'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OneFormerOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Group parameters by learning rate and weight decay.

    The backbone learns at ``backbone_lr_mult`` times the base rate. Torch's
    norm layers, embeddings and Swin's position tables do not decay; all else
    does, biases included. Frozen parameters are left out. Matches
    `Trainer.build_optimizer` of the official `train_net.py`, up to gathering
    equal parameters in one group.

    Args:
        optim_wrapper_cfg (dict): As in MMEngine. Its optimizer must state
            ``lr`` and ``weight_decay``.
        paramwise_cfg (dict, optional): ``backbone_lr_mult`` (float), 0.1 by
            default. Any other option raises a ValueError.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        unknown = set(self.paramwise_cfg) - {'backbone_lr_mult'}
        if unknown:
            raise ValueError(
                f'paramwise_cfg has {", ".join(map(repr, sorted(unknown)))}: '
                f'{type(self).__name__} knows only "backbone_lr_mult"')
        if self.base_lr is None or self.base_wd is None:
            raise ValueError('the optimizer must state lr and weight_decay, '
                             f'got {self.optimizer_cfg}')
        self.paramwise_cfg = {'backbone_lr_mult': 0.1, **self.paramwise_cfg}

    def add_params(self, params: List[dict], module: nn.Module,
                   **kwargs) -> None:
        """Append the groups of ``module``'s parameters to ``params``."""
        groups, seen = {}, set()
        for module_name, child in module.named_modules():
            for name, parameter in child.named_parameters(recurse=False):
                if not parameter.requires_grad or parameter in seen:
                    continue
                seen.add(parameter)
                key = ('backbone' in module_name.split('.'),
                       _decays(child, module_name, name))
                groups.setdefault(key, []).append(parameter)
        for (in_backbone, decays), parameters in groups.items():
            scale = self.paramwise_cfg['backbone_lr_mult'] \
                if in_backbone else 1.0
            group = dict(
                params=parameters,
                lr=self.base_lr * scale,
                weight_decay=self.base_wd if decays else 0.0)
            params.append(group)
            print_log(
                f'{len(parameters)} parameters '
                f'{"in" if in_backbone else "outside"} the backbone: '
                f'lr {group["lr"]:g}, weight decay {group["weight_decay"]:g}',
                logger='current')


def _decays(module: nn.Module, module_name: str, name: str) -> bool:
    """Whether weight decay reaches the parameter ``name`` of ``module``."""
    if any(table in name for table in UNDECAYED_PARAMETERS):
        return False
    if type(module).__name__ == DECAYED_NORM:
        return True
    if module_name.split('.')[-1] == DECAYED_EMBEDDING:
        return True
    return not isinstance(module, UNDECAYED_MODULES)
