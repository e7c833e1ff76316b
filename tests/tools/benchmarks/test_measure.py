"""The benchmark measures, compares and reports; here on toys."""
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

# by paths, which the processes of the contenders inherit
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / 'tools/analysis_tools')]

import benchmark_toys as toys  # noqa: E402
from benchmarks import growth, measure, report  # noqa: E402

Case, Contender = measure.Case, measure.Contender
WORKLOAD = measure.Workload(queries=7, threads=1)


def equal(ours, theirs):
    if ours != theirs:
        raise measure.BenchmarkError(f'{ours} is not {theirs}')
    return f'both {float(ours[0]):.0f}'


CASE = Case('toys', 'a product', Contender('quick', toys.quick),
            Contender('slow', toys.slow), 2., equal, toys.prepare)


@pytest.fixture(scope='module')
def result():
    return measure.measure(CASE, WORKLOAD, rounds=3)


def test_both_sides_are_measured_in_turn(result):
    assert len(result.ours.seconds) == len(result.peer.seconds) == 3
    assert result.peer.median >= 0.05 > result.ours.median
    assert result.speedup > 2
    assert result.equality == f'both {64 * 32 * 16 + 7}'


def test_operations_and_memory_are_those_of_each_side(result):
    for timing in (result.ours, result.peer):
        assert timing.gflop == pytest.approx(2e-9 * 64 * 32 * 16)
    # the peer alone holds 128 MiB more than its process
    assert result.peer.peak_mib - result.ours.peak_mib > 100
    assert result.memory < 1


def test_report_tells_what_was_asked_and_reached(result):
    row = report.table([result], rate=100.).splitlines()[-1]
    assert 'toys: a product' in row and '2.00: reached' in row
    missed = replace(result, case=replace(CASE, least_speedup=1e9))
    assert ': missed' in report.table([missed], 100.)
    greedy = replace(result, case=replace(CASE, largest_memory=1e-3))
    assert 'memory 0.00: missed' in report.table([greedy], 100.)
    content = json.loads(json.dumps(report.as_json([result], 1., WORKLOAD)))
    assert content['cases']['toys']['ours']['seconds'] == result.ours.seconds
    assert content['workload']['queries'] == 7


@pytest.mark.parametrize('change, message', [
    (dict(compare=lambda a, b: equal(a, [0])), 'is not'),
    (dict(ours=Contender('failing', toys.failing)),
     'failing failed:(.|\n)*ValueError: no such thing'),
    (dict(peer=Contender('dying', toys.dying)), 'dying ended with exit'),
    (dict(peer=Contender('x', toys.quick, ('no_such_module', ))),
     'no_such_module not'),
])
def test_what_cannot_be_measured_is_an_error(change, message):
    with pytest.raises(measure.BenchmarkError, match=message):
        measure.measure(replace(CASE, **change), WORKLOAD, rounds=1)


def test_one_side_alone():
    timing = measure.measure_alone(CASE.ours, WORKLOAD, toys.prepare, rounds=2)
    assert isinstance(timing, measure.Timing) and len(timing.seconds) == 2


def test_tensors_come_back_as_arrays():
    value = measure.to_numbers(dict(a=[torch.ones(2)], b=3))
    assert isinstance(value['a'][0], np.ndarray) and value['b'] == 3


def test_exponents_of_growth():
    values = [0, 1, 2, 4]
    first, last = growth.exponents(values, [5, 1, 2, 8])
    assert (first, last) == pytest.approx((1, 2))


def test_measurements_of_growth_are_kept(tmp_path):
    path = tmp_path / 'growth.json'
    assert growth.read_timings(path) == {}
    timing = measure.Timing('ours', [1., 2.], 100., 50., 3.)
    measured = dict(batch=[timing] * 4, queries=[timing] * 6)
    growth.write_timings(measured, path)
    assert growth.read_timings(path) == measured


def test_products_are_counted_where_they_are_added_as_well():
    left, right = torch.rand(2, 3, 4), torch.rand(2, 4, 5)
    with measure.FlopCounter() as counter:
        torch.zeros(2, 3, 5).baddbmm_(left, right)
        torch.zeros(3, 5).addmm_(left[0], right[0])
        torch.mm(left[0], right[0], out=torch.zeros(3, 5))
    assert counter.flop == 2 * 3 * 4 * 5 * (2 + 1 + 1)
