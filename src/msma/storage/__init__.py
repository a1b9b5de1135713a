"""The only door to disk and Hub: JSON, text and tensors, written whole or not at all.

Every file is first written under a temporary name in its own folder, flushed to the disk, and renamed; a run
that is killed leaves either the old file or the new one, never half of one. Tensors use the safetensors
format, read back through a memory map, so that a terabyte of states costs no memory to open.
"""

from msma.storage.checksums import FileMark, file_checksum, mark_file
from msma.storage.hub import download_folder, upload_folder
from msma.storage.json_files import read_json, read_sealed_json, write_json, write_sealed_json
from msma.storage.tensors import open_tensors, verify_tensors, write_marked_tensors, write_tensors
from msma.storage.writing import atomic_path, remove_file, remove_leftovers, write_text

__all__ = [
    "FileMark",
    "atomic_path",
    "download_folder",
    "file_checksum",
    "mark_file",
    "open_tensors",
    "read_json",
    "read_sealed_json",
    "remove_file",
    "remove_leftovers",
    "upload_folder",
    "verify_tensors",
    "write_json",
    "write_marked_tensors",
    "write_sealed_json",
    "write_tensors",
    "write_text",
]
