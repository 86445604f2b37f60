"""Reports: one page that holds a run, its pictures and its numbers."""

from ses_gcn_ros.evaluation.report.files import write_pictures, write_report
from ses_gcn_ros.evaluation.report.page import write_page

__all__ = ["write_page", "write_pictures", "write_report"]
