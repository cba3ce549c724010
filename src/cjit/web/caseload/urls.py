"""The addresses of the caseload. No address holds a value of a record."""

from __future__ import annotations

from django.urls import path

from cjit.web.caseload import closing, due, entry, local, search, sending

urlpatterns = [
    path("caseload/due/", due.due, name="due"),
    path("caseload/due/<str:kind>/", due.due_list, name="due-list"),
    path("caseload/clients/", search.clients, name="clients"),
    path("caseload/clients/search/", search.found, name="clients-found"),
    path("caseload/clients/new/", entry.new_client, name="client-new"),
    path("caseload/clients/<int:pk>/", entry.client, name="client"),
    path("caseload/clients/<int:pk>/details/", entry.details, name="client-details"),
    path("caseload/clients/<int:pk>/reference/", entry.allocate_reference, name="client-reference"),
    path("caseload/clients/<int:pk>/remove/", entry.remove_client, name="client-remove"),
    path("caseload/clients/<int:pk>/episodes/new/", entry.new_episode, name="episode-new"),
    path("caseload/clients/<int:pk>/consent/", local.consent, name="client-consent"),
    path("caseload/clients/<int:pk>/notes/", local.notes, name="client-notes"),
    path("caseload/clients/<int:pk>/history/", local.history, name="client-history"),
    path("caseload/clients/<int:pk>/summary/", local.summary, name="client-summary"),
    path("caseload/episodes/<int:pk>/", entry.episode, name="episode"),
    path("caseload/episodes/<int:pk>/remove/", entry.remove_episode, name="episode-remove"),
    path("caseload/episodes/<int:pk>/close/", closing.close, name="episode-close"),
    path("caseload/episodes/<int:pk>/take-back/", closing.take_back, name="closure-take-back"),
    path("caseload/episodes/<int:pk>/contacts/", local.contacts, name="contacts"),
    path("caseload/contacts/<int:pk>/remove/", local.remove_contact, name="contact-remove"),
    path("caseload/episodes/<int:pk>/interventions/", local.interventions, name="interventions"),
    path("caseload/interventions/<int:pk>/remove/", local.remove_intervention, name="intervention-remove"),
    path("caseload/episodes/<int:pk>/referrals/new/", entry.new_referral, name="referral-new"),
    path("caseload/referrals/<int:pk>/", entry.referral, name="referral"),
    path("caseload/referrals/<int:pk>/remove/", entry.remove_referral, name="referral-remove"),
    path("caseload/episodes/<int:pk>/<str:group>/", entry.questions_page, name="questions"),
    path("caseload/extract/", sending.extract, name="extract"),
    path("caseload/extract/check/", sending.check, name="extract-check"),
    path("caseload/extracts/<int:pk>/", sending.checked, name="extract-checked"),
    path("caseload/extracts/<int:pk>/state/", sending.state, name="extract-state"),
    path("caseload/extracts/<int:pk>/make/", sending.make, name="extract-make"),
    path("caseload/extracts/<int:pk>/file/", sending.download, name="extract-file"),
    path("caseload/extracts/<int:pk>/labels/", sending.download_labels, name="extract-labels"),
    path("caseload/settings/", sending.settings, name="caseload-settings"),
    path("caseload/import/", sending.import_file, name="caseload-import"),
    path("caseload/imports/<int:pk>/", sending.read, name="import-read"),
    path("caseload/imports/<int:pk>/state/", sending.import_state, name="import-state"),
    path("caseload/imports/<int:pk>/make/", sending.make_import, name="import-make"),
]
