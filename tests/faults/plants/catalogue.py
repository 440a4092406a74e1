"""Every plant, by name."""

from tests.faults.plants import admission, answers, recording, recovery
from tests.faults.plants.planting import Plant

PLANTS: dict[str, Plant] = {
    plant.name: plant
    for module in (admission, answers, recording, recovery)
    for plant in module.PLANTS
}
