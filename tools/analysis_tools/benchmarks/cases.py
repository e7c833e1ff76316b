"""All cases of the benchmark by name."""
from . import data, network, own_modes, pixel_decoder, postprocessing, training

CASES = {
    case.name: case
    for module in (network, training, pixel_decoder, postprocessing, data,
                   own_modes)
    for case in module.CASES
}
