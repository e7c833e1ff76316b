"""Models: the detector, its heads and their parts."""
from .contrastive_loss import QueryTextContrastiveLoss
from .dinat import DiNAT
from .matching import BatchHungarianAssigner, MaskPointCost
from .oneformer import OneFormer
from .oneformer_fusion_head import OneFormerFusionHead
from .oneformer_head import OneFormerHead
from .oneformer_tta import OneFormerTTAModel
from .pixel_decoder import OneFormerPixelDecoder
from .query_formation import LearntQueries, QueryFormation
from .swin import OneFormerSwinTransformer
from .text_mapper import TextMapper

__all__ = [
    'BatchHungarianAssigner', 'DiNAT', 'LearntQueries', 'MaskPointCost',
    'OneFormer', 'OneFormerFusionHead', 'OneFormerHead',
    'OneFormerPixelDecoder', 'OneFormerSwinTransformer', 'OneFormerTTAModel',
    'QueryFormation', 'QueryTextContrastiveLoss', 'TextMapper'
]
