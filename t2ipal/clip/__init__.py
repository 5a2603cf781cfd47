"""The frozen CLIP backbone: features of images, captions and prompts, all L2-normalised."""

from t2ipal.clip.backbone import Backbone, load_backbone
from t2ipal.clip.text import ClassTokens, TextFeatures
from t2ipal.clip.vision import ImageFeatures

__all__ = ["Backbone", "ClassTokens", "ImageFeatures", "TextFeatures", "load_backbone"]
