"""All cases of the benchmark by name."""
from . import data, network, postprocessing, training

CASES = {
    case.name: case
    for module in (network, training, postprocessing, data)
    for case in module.CASES
}
