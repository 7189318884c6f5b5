"""Architectures by name. Each family has a file, imported (and torch with it) once a model is asked for."""

from nin_bench.models.registry import (
    About,
    Argument,
    ImageSpec,
    build_model,
    list_models,
    model_arguments,
    model_revision,
    model_summary,
    register_model,
    resolve_arguments,
    unavailable_packages,
    use_own_file,
)

__all__ = [
    "About",
    "Argument",
    "ImageSpec",
    "build_model",
    "list_models",
    "model_arguments",
    "model_revision",
    "model_summary",
    "register_model",
    "resolve_arguments",
    "unavailable_packages",
    "use_own_file",
]
