"""Labels from report texts, German and English: what they say of hepatic metastases."""

from liverpair.evaluate.labels.assign import ReportAssignment, StudyKey, assign_reports
from liverpair.evaluate.labels.inputs import BrokenReport, ReportSource, read_report_source
from liverpair.evaluate.labels.report import STATUSES, ReportLabel, label_report
from liverpair.evaluate.labels.table import LABEL_COLUMNS, duplicated_report_ids, label_table, read_reports

__all__ = [
    "LABEL_COLUMNS",
    "STATUSES",
    "BrokenReport",
    "ReportAssignment",
    "ReportLabel",
    "ReportSource",
    "StudyKey",
    "assign_reports",
    "duplicated_report_ids",
    "label_report",
    "label_table",
    "read_report_source",
    "read_reports",
]
