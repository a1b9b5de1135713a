"""Memory of a finished batch goes back to the system, so that a long run needs no more than a short one."""

import ctypes
import os
import sys

#: Blocks from this size on are mapped one by one and unmapped when freed.
_LARGE_BYTES = 2**18
#: glibc's name for the setting.
_M_MMAP_THRESHOLD = -3


def return_large_blocks() -> bool:
    """Ask the C library to give freed blocks of 256 KiB and more back at once.

    Left alone, glibc raises that limit to the largest block freed so far and keeps activations in its heap,
    where batches of many shapes leave holes: resident memory then grows with the number of texts although
    nothing is held. The setting holds for the process; one that the user made by environment variable stands.

    Returns:
        Whether it was set: only on Linux with glibc, and where the user has not set it.

    Examples:
        >>> from unittest import mock
        >>> with mock.patch.dict(os.environ, MALLOC_MMAP_THRESHOLD_="131072"):
        ...     return_large_blocks()
        False
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    is_users = "MALLOC_MMAP_THRESHOLD_" in os.environ or "malloc.mmap_threshold" in tunables
    if is_users or not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
    except (AttributeError, OSError):  # musl and others have no such setting
        return False
