"""Recognizers: what is tuned on frozen features, one short file per method."""

from t2ipal.methods.base import Batch, Captions, Images, Method, Phase, Terms
from t2ipal.methods.registry import build_method

__all__ = [
    "Batch",
    "Captions",
    "Images",
    "Method",
    "Phase",
    "Terms",
    "build_method",
]
