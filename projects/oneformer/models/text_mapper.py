"""Text mapper: from the texts of an image to its text queries."""
from collections import OrderedDict
from typing import List, Sequence

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from mmseg.utils.tokenizer import tokenize
from torch import Tensor

from ..tasks import padding_text
from .attention import self_attend

#: Size of CLIP's byte pair vocabulary; its last entry ends every text.
VOCABULARY = 49408
#: Tokens of one text, start and end token among them.
CONTEXT_LENGTH = 77


class QuickGELU(nn.Module):
    """CLIP's approximation of GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualAttentionBlock(nn.Module):
    """Pre-norm causal transformer layer on token features (B, L, C)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width),
                gelu=QuickGELU(),
                c_proj=nn.Linear(4 * width, width)))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self_attend(self.attn, self.ln_1(x), is_causal=True)
        return x + self.mlp(self.ln_2(x))


class TextEncoder(BaseModule):
    """Causal transformer that turns a text into the feature of its end token.

    Matches the official ``TextTransformer``.

    Args:
        width (int): Feature width.
        num_layers (int): Number of transformer layers.
        num_heads (int): Attention heads of a layer.
    """

    def __init__(self, width: int, num_layers: int, num_heads: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.positional_embedding = nn.Parameter(
            torch.zeros(CONTEXT_LENGTH, width))
        self.layers = nn.ModuleList(
            ResidualAttentionBlock(width, num_heads)
            for _ in range(num_layers))
        self.ln_final = nn.LayerNorm(width)

    def init_weights(self) -> None:
        """Initialise as CLIP does: deviations by width and depth."""
        width = self.positional_embedding.shape[1]
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        branch_std = width**-0.5 * (2 * len(self.layers))**-0.5
        for layer in self.layers:
            nn.init.normal_(layer.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(layer.attn.out_proj.weight, std=branch_std)
            nn.init.normal_(layer.mlp.c_fc.weight, std=(2 * width)**-0.5)
            nn.init.normal_(layer.mlp.c_proj.weight, std=branch_std)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode texts.

        Args:
            tokens (Tensor): Token ids of shape (T, L), L <= 77. The end
                token has the largest id, so its place is the argmax. What
                stands after it does not matter, since attention is causal.

        Returns:
            Tensor: Text features of shape (T, C).
        """
        x = self.token_embedding(tokens)
        x = x + self.positional_embedding[:tokens.shape[1]]
        for layer in self.layers:
            x = layer(x)
        ends = tokens.argmax(dim=1)
        return self.ln_final(x[torch.arange(len(x), device=x.device), ends])


@MODELS.register_module()
class TextMapper(BaseModule):
    """Map the texts of each image to text queries (paper, section 3.3).

    An image with M texts gets ``num_texts`` of them, its list being padded
    with "a {task} photo", and ``num_context`` learnt context embeddings: as
    many text queries as the model has queries. Training alone needs them.

    Args:
        out_channels (int): Width C of the text queries.
        num_texts (int): Texts of an image, padding included.
        num_context (int): Learnt context embeddings. 0 is the ablation "no
            learnt text context": all text queries come from the list.
        width (int): Width of the text encoder.
        num_layers (int): Layers of the text encoder.
        num_heads (int): Attention heads of the text encoder.
    """

    def __init__(self,
                 out_channels: int,
                 num_texts: int,
                 num_context: int = 16,
                 width: int = 256,
                 num_layers: int = 6,
                 num_heads: int = 4) -> None:
        super().__init__()
        self.num_texts = num_texts
        self.num_context = num_context
        self.encoder = TextEncoder(width, num_layers, num_heads)
        self.projector = nn.Sequential(
            nn.Linear(width, out_channels), nn.ReLU(inplace=True),
            nn.Linear(out_channels, out_channels))
        if num_context > 0:
            self.context = nn.Embedding(num_context, out_channels)

    def pad_texts(self, texts: Sequence[str], task: str) -> List[str]:
        """``texts`` cut or padded to ``num_texts`` for an image of a task."""
        padding = [padding_text(task)] * (self.num_texts - len(texts))
        return list(texts[:self.num_texts]) + padding

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Project the features of ``texts`` to (T, C), each text encoded once.

        The list of an image holds few different texts, and their tokens are
        cut behind the longest end token. The result is that of encoding
        every text at full length, since texts are independent of one another
        and the encoder is causal.
        """
        distinct = list(dict.fromkeys(texts))
        tokens = tokenize(distinct, CONTEXT_LENGTH)
        length = int(tokens.argmax(dim=1).max()) + 1
        device = self.encoder.positional_embedding.device
        features = self.projector(self.encoder(tokens[:, :length].to(device)))
        places = {text: place for place, text in enumerate(distinct)}
        index = torch.tensor([places[text] for text in texts], device=device)
        return features[index]

    def forward(self, batch_texts: Sequence[Sequence[str]],
                tasks: Sequence[str]) -> Tensor:
        """Text queries of a batch.

        Args:
            batch_texts (list[list[str]]): One text for each mask, per image.
            tasks (list[str]): The task of each image, for the padding.

        Returns:
            Tensor: Shape (B, num_texts + num_context, C).
        """
        padded = [
            text for texts, task in zip(batch_texts, tasks)
            for text in self.pad_texts(texts, task)
        ]
        queries = self.encode_texts(padded)
        queries = queries.unflatten(0, (len(tasks), self.num_texts))
        if self.num_context > 0:
            context = self.context.weight.expand(len(tasks), -1, -1)
            queries = torch.cat([queries, context], dim=1)
        return queries
