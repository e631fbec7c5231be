"""A local page over what a run left behind: pictures, scores, risks and groups, to look around in.

It reads records, tables and pictures, and never torch. `opened` takes a folder or a table, `Exploration` holds what the
page asks for, `application` answers it, `serve` is the server. The page itself lies in `page/`, as browsers take it.
"""

from equipoise.explore.against import beside
from equipoise.explore.exploration import Exploration
from equipoise.explore.opening import Opened, PredictedColumns, opened
from equipoise.explore.serving import listening, serve

__all__ = ["Exploration", "Opened", "PredictedColumns", "beside", "listening", "opened", "serve"]
