"""Labels from report texts, German and English: what they say of hepatic metastases."""

from liverpair.evaluate.labels.assign import ReportAssignment, StudyKey, assign_reports
from liverpair.evaluate.labels.report import STATUSES, ReportLabel, label_report
from liverpair.evaluate.labels.table import LABEL_COLUMNS, duplicated_report_ids, label_table, read_reports

__all__ = [
    "LABEL_COLUMNS",
    "STATUSES",
    "ReportAssignment",
    "ReportLabel",
    "StudyKey",
    "assign_reports",
    "duplicated_report_ids",
    "label_report",
    "label_table",
    "read_reports",
]
