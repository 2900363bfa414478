"""Runs on disk: ledgers, resuming, shards, progress, provenance."""

from fidojax.runs.columns import DamagedError
from fidojax.runs.compile_cache import SETTINGS
from fidojax.runs.damages import Damage, find_damages, repair, verify
from fidojax.runs.explained import NOT_FINITE, Explained, Item, joined
from fidojax.runs.ledger import CHUNK, DONE, FAILED, MISSING, Ledger, find_ledger, rows_per_file
from fidojax.runs.load_run import LoadedRun, StoredInfo, load_run
from fidojax.runs.maps import load_maps, pack, read_maps, unpack
from fidojax.runs.progress import ProgressBar, duration
from fidojax.runs.provenance import about, digest, environment, versions
from fidojax.runs.resume import explain_missing, seconds_per_map
from fidojax.runs.rows import RowAssignment
from fidojax.runs.shards import join_processes, parse_shard
from fidojax.runs.stored import RECORD, RUN, read_records, read_stored

__all__ = [
    "CHUNK",
    "DONE",
    "FAILED",
    "MISSING",
    "NOT_FINITE",
    "RECORD",
    "RUN",
    "SETTINGS",
    "Damage",
    "DamagedError",
    "Explained",
    "Item",
    "Ledger",
    "LoadedRun",
    "ProgressBar",
    "RowAssignment",
    "StoredInfo",
    "about",
    "digest",
    "duration",
    "environment",
    "explain_missing",
    "find_damages",
    "find_ledger",
    "join_processes",
    "joined",
    "load_maps",
    "load_run",
    "pack",
    "parse_shard",
    "read_maps",
    "read_records",
    "read_stored",
    "repair",
    "rows_per_file",
    "seconds_per_map",
    "unpack",
    "verify",
    "versions",
]
