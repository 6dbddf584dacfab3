"""Architectures: one file each, plain `torch.nn`, found through the registry."""

from models.registry import MAX_PARAMETERS, Architecture, get_architecture, get_model, list_models

__all__ = ["MAX_PARAMETERS", "Architecture", "get_architecture", "get_model", "list_models"]
