import numpy as np

import fidojax
import infillers
from fidojax import data, networks, presets

network = networks.load()  # or any callable pytree: images "n h w c" -> logits "n k"
found = list(data.pictures(["skimage:chelsea", "skimage:coffee"], network.size))
photos = np.stack([picture.image for picture in found])
targets = np.argmax(network.classifier(photos), axis=-1)
options = presets.fast | {"infill": infillers.blur()}
explanation = fidojax.explain_batch("fido", network.classifier, photos, targets, options=options)
for picture, target, p in zip(found, targets, explanation.info.probability, strict=True):
    print(f"{picture.id}: {network.labels[target]}, p = {p:.2f} on the salient pixels alone")
