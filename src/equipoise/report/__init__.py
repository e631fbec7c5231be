"""What a run leaves behind, and what people see of it. No torch here."""

from equipoise.report.page import html, write_report
from equipoise.report.record import RunRecord, from_json, read, to_json, write
from equipoise.report.terminal import text

__all__ = ["RunRecord", "from_json", "html", "read", "text", "to_json", "write", "write_report"]
