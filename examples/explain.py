import numpy as np

import fidojax
import infillers
from fidojax import data, networks, presets

network = networks.load()  # or any callable pytree: images "n h w c" -> logits "n k"
found = list(data.pictures(["skimage:chelsea", "skimage:coffee"], network.size))
photos = np.stack([picture.image for picture in found])
targets = np.argmax(network.classifier(photos), axis=-1)
options = presets.hold | {"infill": (infillers.mean(), infillers.blur())}
explanation = fidojax.explain_batch("fido", network.classifier, photos, targets, options=options)
region = explanation.info.region  # arrays with a leading axis of pictures; mask: "n h w"
for picture, target, area, p in zip(found, targets, region.area, region.probability, strict=True):
    print(f"{picture.id}: {network.labels[target]}, p = {p.min():.2f} on {area:.0%} of the picture")
