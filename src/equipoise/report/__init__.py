"""What a run leaves behind, and what people see of it. No torch here."""

from equipoise.report.audit_page import audit_html, write_audit_report
from equipoise.report.audit_record import AuditRecord, read_audit, write_audit
from equipoise.report.audit_words import audit_text
from equipoise.report.augment_page import augment_html, write_augment_report
from equipoise.report.augment_record import AugmentRecord, read_augment, write_augment
from equipoise.report.augment_words import augment_text
from equipoise.report.page import html, write_report
from equipoise.report.record import RunRecord, from_json, read, to_json, write
from equipoise.report.sweep_page import sweep_html, write_sweep_report
from equipoise.report.sweep_record import SweepRecord, read_sweep, write_sweep
from equipoise.report.sweep_words import sweep_text
from equipoise.report.terminal import resampling_text, text

__all__ = [
    "AuditRecord",
    "AugmentRecord",
    "RunRecord",
    "SweepRecord",
    "audit_html",
    "audit_text",
    "augment_html",
    "augment_text",
    "from_json",
    "html",
    "read",
    "read_audit",
    "read_augment",
    "read_sweep",
    "resampling_text",
    "sweep_html",
    "sweep_text",
    "text",
    "to_json",
    "write",
    "write_audit",
    "write_audit_report",
    "write_augment",
    "write_augment_report",
    "write_report",
    "write_sweep",
    "write_sweep_report",
]
