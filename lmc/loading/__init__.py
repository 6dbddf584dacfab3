"""Networks that were trained elsewhere: read a file without trusting it, and find out which network it is."""

from lmc.loading.checks import MAX_BYTES, MAX_PARAMETERS
from lmc.loading.reading import content_of, read_file, read_metadata
from lmc.loading.recognition import Recognised, recognise
from lmc.loading.writing import to_safetensors

__all__ = [
    "MAX_BYTES",
    "MAX_PARAMETERS",
    "Recognised",
    "content_of",
    "read_file",
    "read_metadata",
    "recognise",
    "to_safetensors",
]
