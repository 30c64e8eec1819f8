"""What a prediction rests on: time steps, parts of images, any input; and what the layers of a network make of it.

Importances of time steps and of parts of images are measured from outside, of any estimator. Gradients, filters and
outputs of layers are those of a network of this package.
"""

from skneural.inspection._layers import convolution_filters, layer_outputs
from skneural.inspection._occlusion import occlusion_importance
from skneural.inspection._saliency import saliency
from skneural.inspection._timesteps import timestep_importance

__all__ = ["convolution_filters", "layer_outputs", "occlusion_importance", "saliency", "timestep_importance"]
