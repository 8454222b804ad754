"""The kinds of predictors, by the name that stands in their folder."""

from earmark.model.blend import BlendPredictor
from earmark.model.machine.predictor import MachinePredictor
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.trees.predictor import ForestPredictor

KINDS = {kind.kind: kind for kind in (NetworkPredictor, ForestPredictor, MachinePredictor, BlendPredictor)}
