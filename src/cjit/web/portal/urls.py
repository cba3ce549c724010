"""The addresses of submissions, the rule book and staff's pages. No address holds a value of a record."""

from __future__ import annotations

from django.urls import path

from cjit.web.portal import deciding, rulebook, staff, views

urlpatterns = [
    path("submissions/", views.submissions, name="submissions"),
    path("submissions/new/", views.submit, name="submit"),
    path("submissions/<int:pk>/", views.submission, name="submission"),
    path("submissions/<int:pk>/state/", views.submission_state, name="submission-state"),
    path("submissions/<int:pk>/findings/", views.findings, name="findings"),
    path("submissions/<int:pk>/download/<str:kind>/", views.download, name="download"),
    path("submissions/<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("submissions/<int:pk>/check-again/", views.check_again, name="check-again"),
    path("submissions/<int:pk>/decide/", deciding.decide, name="decide"),
    path("submissions/<int:pk>/decide/file/", deciding.decide_file, name="decide-file"),
    path("submissions/<int:pk>/accept/", deciding.accept, name="accept"),
    path("submissions/<int:pk>/receipt/", deciding.receipt, name="receipt"),
    path("submissions/<int:pk>/receipt/pdf/", deciding.receipt_pdf, name="receipt-pdf"),
    path("submissions/<int:pk>/undo/", deciding.undo, name="undo"),
    path("rules/", rulebook.rules, name="rules"),
    path("template.csv", rulebook.template_csv, name="template-csv"),
    path("staff/", staff.staff, name="staff"),
    path("staff/export/", staff.staff_export, name="staff-export"),
    path("staff/<str:code>/", staff.staff_agency, name="staff-agency"),
]
