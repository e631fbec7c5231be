"""What a run leaves behind, and what people see of it. No torch here."""

from equipoise.report.audit.page import audit_html, write_audit_report
from equipoise.report.audit.record import AuditRecord, read_audit, write_audit
from equipoise.report.audit.words import audit_text
from equipoise.report.augment.page import augment_html, write_augment_report
from equipoise.report.augment.record import AugmentRecord, read_augment, write_augment
from equipoise.report.augment.terminal import augment_text
from equipoise.report.debias.page import html, write_report
from equipoise.report.debias.record import RunRecord, from_json, read, to_json, write
from equipoise.report.debias.terminal import resampling_text, text
from equipoise.report.find.page import find_html, write_find_report
from equipoise.report.find.record import FindRecord, read_find, write_find
from equipoise.report.find.words import find_text
from equipoise.report.fix.demo import demo_text
from equipoise.report.fix.page import fix_html, write_fix_report
from equipoise.report.fix.record import FixRecord, read_fix, write_fix
from equipoise.report.fix.words import fix_text
from equipoise.report.sweep.page import sweep_html, write_sweep_report
from equipoise.report.sweep.record import SweepRecord, read_sweep, write_sweep
from equipoise.report.sweep.words import sweep_text

__all__ = [
    "AuditRecord",
    "AugmentRecord",
    "FindRecord",
    "FixRecord",
    "RunRecord",
    "SweepRecord",
    "audit_html",
    "audit_text",
    "augment_html",
    "augment_text",
    "demo_text",
    "find_html",
    "find_text",
    "fix_html",
    "fix_text",
    "from_json",
    "html",
    "read",
    "read_audit",
    "read_augment",
    "read_find",
    "read_fix",
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
    "write_find",
    "write_find_report",
    "write_fix",
    "write_fix_report",
    "write_report",
    "write_sweep",
    "write_sweep_report",
]
