"""All cases of the benchmark by name."""
from . import (data, layers, network, own_modes, pixel_decoder, postprocessing,
               query_formation, training)

CASES = {
    case.name: case
    for module in (network, training, pixel_decoder, query_formation, layers,
                   postprocessing, data, own_modes)
    for case in module.CASES
}
