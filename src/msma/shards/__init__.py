"""Shards: what one run of samples holds, where it comes from, and how it is written and read.

A folder of states holds ``origin.json`` (the model and settings they were made with), pairs of
``shard-00000.safetensors`` (the states) and ``shard-00000.json`` (texts, documents, labels, notes, and what the
states' file is known by), optionally ``attention.safetensors``, and last ``states.json``, the manifest: size
and SHA-256 of every file that belongs. A run that was interrupted leaves whole shards and no manifest; the
same run again makes only what is missing.
"""

from msma.shards.content import AttentionSummary, Origin, Shard
from msma.shards.files import is_whole_shard, read_notes, read_origin, read_shard, write_shard
from msma.shards.manifest import Manifest, check_folder, is_finished, read_attention, read_manifest
from msma.shards.opening import ShardFolder, open_shard
from msma.shards.writing import ShardWriter

__all__ = [
    "AttentionSummary",
    "Manifest",
    "Origin",
    "Shard",
    "ShardFolder",
    "ShardWriter",
    "check_folder",
    "is_finished",
    "is_whole_shard",
    "open_shard",
    "read_attention",
    "read_manifest",
    "read_notes",
    "read_origin",
    "read_shard",
    "write_shard",
]
