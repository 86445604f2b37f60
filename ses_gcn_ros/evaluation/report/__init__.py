"""Reports: one page that holds a run, its pictures and its numbers."""

from ses_gcn_ros.evaluation.report.files import write_pictures, write_report
from ses_gcn_ros.evaluation.report.page import write_page
from ses_gcn_ros.evaluation.report.table import summary_table

__all__ = ["summary_table", "write_page", "write_pictures", "write_report"]
