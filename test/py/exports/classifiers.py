"""torchvision's classifiers."""

from torch import nn
from torchvision import models

from exports.catalogue import Net, net, noise, settle


def enter(name, make, size=224, settled=True, script=(17,), dynamo=(20,)):
    """A net for pictures of |size|, its batch free."""
    def build():
        module = make(weights=None)
        wake(module)
        if settled:
            settle(module, noise(4, 3, size // 2, size // 2, seed=5) if size == 224 and name != "maxvit_t" else noise(2, 3, size, size, seed=5))
        return Net(module, (noise(2, 3, size, size),), more=((noise(1, 3, size, size, seed=2),),), dynamic={0: {0: "batch"}})
    net(script, dynamo, name=name)(build)


def wake(module):
    """Undoes initial weights that keep layers out of the result: a head of zeros, scales of 1e-6."""
    for part in module.modules():
        if isinstance(part, nn.Linear) and not part.weight.any():
            nn.init.normal_(part.weight, std=0.05)
        if hasattr(part, "layer_scale"):
            nn.init.constant_(part.layer_scale, 0.5)


enter("resnet50", models.resnet50, script=(11, 13, 17), dynamo=(18, 22))
enter("mobilenet_v2", models.mobilenet_v2, script=(11, 17))
enter("mobilenet_v3_large", models.mobilenet_v3_large, script=(13, 18))
enter("efficientnet_b0", models.efficientnet_b0)
enter("densenet121", models.densenet121)
enter("squeezenet1_1", models.squeezenet1_1, settled=False)
enter("shufflenet_v2_x1_0", models.shufflenet_v2_x1_0)
enter("convnext_tiny", models.convnext_tiny, settled=False, script=(13, 17), dynamo=(18, 20))
enter("vit_b_16", models.vit_b_16, settled=False, dynamo=(20, 23))
enter("regnet_y_400mf", models.regnet_y_400mf)
enter("mnasnet1_0", models.mnasnet1_0)
enter("googlenet", lambda weights: models.googlenet(weights=weights, aux_logits=False, init_weights=False))
enter("swin_t", models.swin_t, settled=False)
enter("maxvit_t", models.maxvit_t)
