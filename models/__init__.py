"""Architectures: one file each, plain `torch.nn`, found through the registry."""

from models.registry import Architecture, get_architecture, get_model, list_models

__all__ = ["Architecture", "get_architecture", "get_model", "list_models"]
