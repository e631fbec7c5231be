"""What a run leaves behind, and what people see of it. No torch here."""

from equipoise.report.audit_page import audit_html, write_audit_report
from equipoise.report.audit_record import AuditRecord, read_audit, write_audit
from equipoise.report.audit_words import audit_text
from equipoise.report.page import html, write_report
from equipoise.report.record import RunRecord, from_json, read, to_json, write
from equipoise.report.terminal import text

__all__ = [
    "AuditRecord",
    "RunRecord",
    "audit_html",
    "audit_text",
    "from_json",
    "html",
    "read",
    "read_audit",
    "text",
    "to_json",
    "write",
    "write_audit",
    "write_audit_report",
    "write_report",
]
