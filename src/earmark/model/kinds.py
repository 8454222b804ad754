"""The kinds of predictors, by the name that stands in their folder."""

from earmark.model.blend import BlendPredictor
from earmark.model.forest_predictor import ForestPredictor
from earmark.model.machine_predictor import MachinePredictor
from earmark.model.network_predictor import NetworkPredictor

KINDS = {kind.kind: kind for kind in (NetworkPredictor, ForestPredictor, MachinePredictor, BlendPredictor)}
