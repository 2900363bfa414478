"""Runs on disk: ledgers, resuming, shards, progress, provenance."""

from fidojax.runs.columns import DamagedError
from fidojax.runs.compile_cache import SETTINGS
from fidojax.runs.damages import Damage, find_damages, repair, verify
from fidojax.runs.explained import NOT_FINITE, Explained, Item
from fidojax.runs.ledger import CHUNK, DONE, FAILED, MISSING, Ledger, find_ledger, rows_per_file
from fidojax.runs.maps import load_maps, pack, read_maps, unpack
from fidojax.runs.progress import ProgressBar, duration
from fidojax.runs.provenance import about, digest, environment, versions
from fidojax.runs.resume import explain_missing, seconds_per_map
from fidojax.runs.rows import RowAssignment
from fidojax.runs.shards import join_processes, parse_shard

__all__ = [
    "CHUNK",
    "DONE",
    "FAILED",
    "MISSING",
    "NOT_FINITE",
    "SETTINGS",
    "Damage",
    "DamagedError",
    "Explained",
    "Item",
    "Ledger",
    "ProgressBar",
    "RowAssignment",
    "about",
    "digest",
    "duration",
    "environment",
    "explain_missing",
    "find_damages",
    "find_ledger",
    "join_processes",
    "load_maps",
    "pack",
    "parse_shard",
    "read_maps",
    "repair",
    "rows_per_file",
    "seconds_per_map",
    "unpack",
    "verify",
    "versions",
]
