"""The addresses of signing in, people, the register, the calendar and the audit trail."""

from django.urls import path

from cjit.web.agencies import views

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.SignOut.as_view(), name="sign-out"),
    path("second-step/", views.second_step, name="second-step"),
    path("second-step/set-up/", views.second_step_set_up, name="second-step-set-up"),
    path("password/", views.reset_password, name="password-reset"),
    path("password/sent/", views.PasswordSent.as_view(), name="password-reset-sent"),
    path("password/done/", views.PasswordDone.as_view(), name="password-reset-done"),
    path("password/<uidb64>/<token>/", views.SetPassword.as_view(), name="password-reset-set"),
    path("invitation/", views.account, name="account"),
    path("invitation/<token>/", views.invitation, name="invitation"),
    path("people/", views.people, name="people"),
    path("people/invite/", views.invite, name="invite"),
    path("people/<int:pk>/", views.person, name="person"),
    path("agencies/", views.agencies, name="agencies"),
    path("agencies/<code>/", views.agency, name="agency"),
    path("calendar/", views.calendar, name="calendar"),
    path("calendar/<month>/", views.due_day, name="due-day"),
    path("audit/", views.audit, name="audit"),
    path("audit/export/", views.audit_export, name="audit-export"),
]
