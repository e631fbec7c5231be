"""Rows computed by other processes and machines, in shards that are kept: Ray does what a scheduler does.

Nothing here knows what is computed: a `Work` travels to where a network is to be held, and gives columns of rows.
"""

from equipoise.cluster.address import Cluster, cluster_of
from equipoise.cluster.pipeline import Work, computed
from equipoise.cluster.shards import Columns, Shard, ShardFolder, cut, packed, unpacked

__all__ = [
    "Cluster",
    "Columns",
    "Shard",
    "ShardFolder",
    "Work",
    "cluster_of",
    "computed",
    "cut",
    "packed",
    "unpacked",
]
