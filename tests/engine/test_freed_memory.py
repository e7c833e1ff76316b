"""Freed memory is there for the next allocation."""
import platform
import subprocess
import sys

import pytest

SHARES = """
import resource
import torch
from projects.oneformer.engine import keep_freed_memory

def share_of_new_pages():
    number, blocks, times = 4 << 20, 8, 10  # 16 MiB each
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        step = [torch.ones(number) for _ in range(blocks)]
        del step
    new = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return new * resource.getpagesize() / (4 * number * blocks * times)

given_back = share_of_new_pages()
assert keep_freed_memory()
share_of_new_pages()
print(given_back, share_of_new_pages())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='not the GNU C library')
def test_blocks_are_used_again(root):
    out = subprocess.run([sys.executable, '-c', SHARES],
                         cwd=root,
                         capture_output=True,
                         text=True,
                         check=True).stdout
    given_back, kept = map(float, out.split()[-2:])
    assert kept < 0.01
    assert given_back > 10 * kept
