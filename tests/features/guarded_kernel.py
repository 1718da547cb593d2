"""A program: builds features with memory behind every array of the kernel that nobody may touch."""

import ctypes
import mmap

import numpy as np
from feature_tables import VOCABULARY, cases, day, shard
from test_build import FEATURES

from riskmodels.features import FeatureSet, LookBack, build, build_shard_features

kernel, kept = build.look_back, []
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded(array):
    """Return a copy that ends where a page begins that cannot be read."""
    size = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(start + size, mmap.PAGESIZE, 0) == 0
    held = np.frombuffer(memory, np.uint8)[size - array.nbytes : size].view(array.dtype).reshape(array.shape)
    held[...] = array
    held.flags.writeable = False
    kept.append(memory)
    return held


def moved(given):
    """Return arrays, or tuples of them, as guarded ones; what is empty is not read at all."""
    if isinstance(given, np.ndarray):
        return guarded(given) if given.size else given
    if hasattr(given, "_fields"):
        return type(given)(*map(moved, given))
    return tuple(map(moved, given)) if isinstance(given, tuple) else given


def look_back(rows, index_cases, program, out):
    """Run the kernel on guarded copies."""
    kernel(moved(rows), moved(index_cases), moved(program), out)


build.look_back = look_back
looked = FeatureSet("s", [spec for spec in FEATURES.specs if isinstance(spec, LookBack)], FEATURES.groupers)
stays = [
    {"person": p, "encounter": p, "kind": "inpatient", "start": day(p), "end": day(p + 2)} for p in range(9)
]
events = [
    {"person": p, "time": day(p + n), "kind": "lab", "code": n, "value": 1.0, "encounter": p}
    for p in range(9)
    for n in range(p % 5)
]
rows = [{"person": p, "index_time": day(p + 2), "stay_encounters": [p]} for p in range(11)]
for known_only in (False, True):
    build_shard_features(shard(stays, events), cases(*rows), looked, VOCABULARY, known_only=known_only)
