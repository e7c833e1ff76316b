"""NATTEN's two functions as plain loops over all pixels."""
import torch


def window(position, size, kernel_size, dilation):
    """Nearest pixels of the same remainder, and their places in the bias."""
    group = [i for i in range(size) if i % dilation == position % dilation]
    here = group.index(position)
    first = min(max(here - kernel_size // 2, 0), len(group) - kernel_size)
    members = range(first, first + kernel_size)
    return ([group[i]
             for i in members], [i - here + kernel_size - 1 for i in members])


def scores_by_loop(query, key, rpb, kernel_size, dilation):
    """(B, heads, H, W, C) twice -> (B, heads, H, W, K * K)."""
    height, width = query.shape[2:4]
    rows = []
    for y in range(height):
        ys, bias_ys = window(y, height, kernel_size, dilation)
        for x in range(width):
            xs, bias_xs = window(x, width, kernel_size, dilation)
            near = key[:, :, ys][:, :, :, xs].flatten(2, 3)
            bias = rpb[:, bias_ys][:, :, bias_xs].flatten(1)
            rows.append((near @ query[:, :, y, x, :, None])[..., 0] + bias)
    return torch.stack(rows, 2).unflatten(2, (height, width))


def attend_by_loop(probs, value, kernel_size, dilation):
    """(B, heads, H, W, K * K), (B, heads, H, W, C) -> (B, heads, H, W, C)."""
    height, width = value.shape[2:4]
    rows = []
    for y in range(height):
        ys = window(y, height, kernel_size, dilation)[0]
        for x in range(width):
            xs = window(x, width, kernel_size, dilation)[0]
            near = value[:, :, ys][:, :, :, xs].flatten(2, 3)
            rows.append((probs[:, :, y, x, None] @ near)[..., 0, :])
    return torch.stack(rows, 2).unflatten(2, (height, width))
