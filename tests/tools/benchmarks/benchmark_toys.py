"""Contenders of the benchmark's tests, which run in processes of their own."""
import os
import time

import torch


def prepare(workload, folder):
    (folder / 'number').write_text(str(workload.queries))


def quick(workload, folder):
    number = int((folder / 'number').read_text())

    def run():
        left = torch.ones(64, 32)
        return [(left @ torch.ones(32, 16)).sum() + number]

    return run


def slow(workload, folder):
    run = quick(workload, folder)
    held = []

    def wait():
        held[:] = [torch.ones(1 << 25)]  # 128 MiB
        time.sleep(0.05)
        return run()

    return wait


def failing(workload, folder):
    raise ValueError('no such thing')


def dying(workload, folder):
    os._exit(3)
