"""One of several processes that take the contrastive loss of a batch.

Run as ``contrastive_worker.py MODULE PORT RANK WORLD_SIZE INPUTS
RESULT`` by ``test_contrastive_loss.py``. ``MODULE`` is loaded by its path,
which takes a third of the time of importing the package.
"""
import importlib.util
import os
import sys

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel


class Pair(nn.Module):
    """A network for queries and one for text queries, and their loss."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.query = nn.Linear(6, 6)
        self.text = nn.Linear(6, 6)

    def forward(self, queries, texts):
        return self.loss(self.query(queries), self.text(texts))


def gradients(model: nn.Module, loss: torch.Tensor) -> dict:
    """Loss and gradients by parameter name, without DDP's prefix."""
    model.zero_grad()
    loss.backward()
    result = {
        name.removeprefix('module.'): parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }
    return dict(result, value=loss.detach())


def main(module, port, rank, world_size, inputs, result) -> None:
    rank, world_size = int(rank), int(world_size)
    torch.set_num_threads(1)
    os.environ['GLOO_SOCKET_IFNAME'] = 'lo'
    spec = importlib.util.spec_from_file_location('contrastive_loss', module)
    contrastive_loss = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(contrastive_loss)
    dist.init_process_group(
        'gloo',
        init_method=f'tcp://127.0.0.1:{port}',
        rank=rank,
        world_size=world_size)
    data = torch.load(inputs)
    model = Pair(contrastive_loss.QueryTextContrastiveLoss())
    model.load_state_dict(data['weights'])
    model = DistributedDataParallel(model)
    results = []
    for queries, texts in data['batches']:
        own = slice(rank * len(queries) // world_size,
                    (rank + 1) * len(queries) // world_size)
        results.append(gradients(model, model(queries[own], texts[own])))
    torch.save(results, result)
    dist.barrier()  # the store lives in the first process
    os._exit(0)  # gloo's threads may hang while Python shuts down


if __name__ == '__main__':
    main(*sys.argv[1:])
