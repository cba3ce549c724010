"""The pages of signing in, people, the register, the calendar and the audit trail."""

from __future__ import annotations

import csv
import re
from base64 import b32encode, b64encode
from collections.abc import Iterator
from datetime import datetime
from smtplib import SMTPException
from typing import Any
from urllib.parse import urlencode

import qrcode
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth import views as django_views
from django.core.paginator import Paginator
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse, reverse_lazy
from django.utils.timezone import localdate, localtime, now
from django.views.decorators.http import require_http_methods, require_safe
from django_otp import login as second_step_taken
from django_otp.models import Device
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex
from qrcode.image.svg import SvgPathFillImage

from cjit.report.spreadsheet import neutral
from cjit.web import pages
from cjit.web.agencies import actions, forms, mail
from cjit.web.agencies.access import has, only, whoever
from cjit.web.agencies.actions import Refused, TooOften
from cjit.web.agencies.audit import note
from cjit.web.agencies.calendar import Month, due_days
from cjit.web.agencies.models import Agency, AuditEvent, DueDay, Membership, Person, Region, Role
from cjit.web.clock import last_held_back

_GET_OR_POST = require_http_methods(["GET", "HEAD", "POST"])
#: How many events a page of the audit trail has, and how many months before and after this one the calendar shows.
EVENTS, BEHIND, AHEAD = 50, 12, 18


# ---- signing in ------------------------------------------------------------------------------------


class SignIn(django_views.LoginView):
    """The first step: e-mail address and password."""

    form_class = forms.SignIn
    template_name = "agencies/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Sign in, unless there were too many wrong passwords for this account or from this place.

        django-axes counts those for one account from one place: it sees neither many places that try one account, nor
        one place that tries many.
        """
        address = request.POST.get("username", "").strip().lower()
        since = now() - get_cool_off(request)
        for one in ({"username": address}, {"ip_address": request.META.get("REMOTE_ADDR")}):
            recent = AccessAttempt.objects.filter(**one, attempt_time__gte=since)
            if (recent.aggregate(n=Sum("failures_since_start"))["n"] or 0) >= settings.SIGN_IN_FAILURES:
                return locked_out(request, credentials={"username": address})
        return super().post(request, *args, **kwargs)

    def get_success_url(self) -> str:
        """To the second step; where somebody was going is kept until they have taken it."""
        if wanted := self.get_redirect_url():
            self.request.session["wanted"] = wanted
        return reverse("second-step")


class SignOut(django_views.LogoutView):
    """The end of a session."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Sign out."""
        note("signed out", by=whoever(request))
        return super().post(request, *args, **kwargs)


def locked_out(
    request: HttpRequest, response: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """After too many wrong passwords: until when nobody can sign in with this address from here.

    It is said of any address, whether or not it has an account.
    """
    address = str((credentials or {}).get("username", ""))
    if getattr(request, "axes_failures_since_start", 0) == settings.AXES_FAILURE_LIMIT:
        note("was locked out", by=Person.objects.filter(email=address).first())
    # As django-axes knows it, so that the attempts found are those it counts.
    origin = getattr(request, "axes_ip_address", request.META.get("REMOTE_ADDR"))
    attempts = AccessAttempt.objects.filter(username=address, ip_address=origin)
    last = attempts.order_by("-attempt_time").values_list("attempt_time", flat=True).first() or now()
    until: datetime = last + get_cool_off(request)
    page = pages.render(request, "agencies/locked_out.html", {"until": until}, status=429)
    page.headers["Retry-After"] = _seconds(until)
    return page


@_GET_OR_POST
def second_step(request: HttpRequest) -> HttpResponse:
    """The second step: a code of the app, or a recovery code."""
    person = whoever(request)
    if _verified(request):
        return redirect("home")
    if not actions.has_second_step(person):
        return redirect("second-step-set-up")
    form = forms.Code(request.POST or None)
    if form.is_valid():
        try:
            device = actions.check_code(by=person, code=form.cleaned_data["code"])
        except Refused as slip:
            form.add_error("code", str(slip))
        else:
            _take_second_step(request, device)
            return redirect(_wanted(request))
    return pages.render(request, "agencies/second_step.html", {"form": form})


@_GET_OR_POST
def second_step_set_up(request: HttpRequest) -> HttpResponse:
    """Setting up the app at the first sign-in. Whoever has taken both steps may set it up anew here."""
    person = whoever(request)
    if _verified(request):
        return _second_step_anew(request, person)
    if actions.has_second_step(person):
        return redirect("second-step")
    key: str = request.session.setdefault("second step", random_hex(20))
    form = forms.Code(request.POST or None)
    if form.is_valid():
        try:
            app, codes = actions.set_up_second_step(by=person, key=key, code=form.cleaned_data["code"])
        except Refused as slip:
            form.add_error("code", str(slip))
        else:
            del request.session["second step"]
            _take_second_step(request, app)
            return pages.render(request, "agencies/recovery_codes.html", {"codes": codes, "wanted": _wanted(request)})
    picture = qrcode.make(TOTPDevice(user=person, key=key).config_url, image_factory=SvgPathFillImage).to_string()
    text = b32encode(bytes.fromhex(key)).decode()
    context = {
        "form": form,
        "picture": f"data:image/svg+xml;base64,{b64encode(picture).decode()}",
        "key": " ".join(re.findall("....", text)),
    }
    return pages.render(request, "agencies/second_step_set_up.html", context)


def _second_step_anew(request: HttpRequest, person: Person) -> HttpResponse:
    # An open browser somebody finds must not be enough: a code is asked for again.
    form = forms.Code(request.POST or None)
    if form.is_valid():
        try:
            actions.check_code(by=person, code=form.cleaned_data["code"], when="gave a code again")
        except Refused as slip:
            form.add_error("code", str(slip))
        else:
            if request.POST.get("do") == "codes":
                codes = actions.new_recovery_codes(by=person)
                told = {"codes": codes, "wanted": reverse("home")}
                return pages.render(request, "agencies/recovery_codes.html", told)
            actions.reset_second_step(by=person, person=person, session=request.session.session_key)
            return redirect("second-step-set-up")
    left = actions.recovery_codes_left(person)
    return pages.render(request, "agencies/second_step_anew.html", {"left": left, "form": form})


def _verified(request: HttpRequest) -> bool:
    return bool(request.user.is_verified())  # type: ignore[union-attr]  # set by django-otp's middleware


def _take_second_step(request: HttpRequest, device: Device) -> None:
    second_step_taken(request, device)
    # A new session key: one that somebody else knew from before is worth nothing now.
    request.session.cycle_key()


def _wanted(request: HttpRequest) -> str:
    """Where somebody was going when they were asked to sign in."""
    return str(request.session.pop("wanted", reverse("home")))


# ---- a new password --------------------------------------------------------------------------------


@_GET_OR_POST
def reset_password(request: HttpRequest) -> HttpResponse:
    """Asking for a link to set a new password. The answer is the same for an address without an account."""
    form = forms.ResetPassword(request.POST or None)
    if form.is_valid():
        email = form.cleaned_data["email"]
        try:
            actions.count_link_request(email=email)
        except TooOften as slip:
            page = pages.render(request, "agencies/too_often.html", {"until": slip.until}, status=429)
            page.headers["Retry-After"] = _seconds(slip.until)
            return page
        mail.send_password_link(base=mail.base(request), email=email)
        return redirect("password-reset-sent")
    return pages.render(request, "agencies/password_reset.html", {"form": form})


def _seconds(until: datetime) -> str:
    return str(max(1, round((until - now()).total_seconds())))


class PasswordSent(django_views.PasswordResetDoneView):
    """That the link is on its way, if there is an account."""

    template_name = "agencies/password_sent.html"


class SetPassword(django_views.PasswordResetConfirmView):
    """The page the link leads to."""

    form_class = forms.NewPassword  # type: ignore[assignment]  # as theirs, with one field instead of two
    template_name = "agencies/password_set.html"
    success_url = reverse_lazy("password-reset-done")


class PasswordDone(django_views.PasswordResetCompleteView):
    """That the password is set."""

    template_name = "agencies/password_done.html"


# ---- people ----------------------------------------------------------------------------------------


@require_safe
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """The address in the e-mail. It leads on at once: a browser tells the address of a page with all it loads for it.

    That goes for a token that opens something: one that does not is worth nothing to anybody who reads it.
    """
    invited = actions.invitation_of(token)
    if not invited:
        return pages.render(request, "agencies/invitation_refused.html", status=404)
    request.session["invitation"] = invited.pk
    return redirect("account")


@_GET_OR_POST
def account(request: HttpRequest) -> HttpResponse:
    """Accepting the invitation whose link was opened: a name, a password, and then the second step."""
    opened = request.session.get("invitation")
    if opened is None:
        return pages.render(request, "agencies/invitation_again.html", status=404)
    invited = actions.open_invitations().filter(pk=opened).first()
    if not invited:
        return pages.render(request, "agencies/invitation_refused.html", status=404)
    somebody = Person(email=invited.email, name=invited.name)
    form = forms.Account(somebody, request.POST or None, initial={"name": invited.name})
    if form.is_valid():
        try:
            accepted = actions.accept_invitation(
                invitation=invited, name=form.cleaned_data["name"], password=form.cleaned_data["password"]
            )
        except Refused:
            return pages.render(request, "agencies/invitation_refused.html", status=404)
        logout(request)
        login(request, accepted, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("second-step-set-up")
    return pages.render(request, "agencies/invitation.html", {"form": form, "invitation": invited})


@_GET_OR_POST
@only(Role.ADMINISTRATOR)
def people(request: HttpRequest) -> HttpResponse:
    """Everybody with an account, and who is invited."""
    waiting = actions.open_invitations().order_by("email")
    if request.method == "POST":
        withdrawn = get_object_or_404(waiting, pk=_number(request, "withdraw"))
        actions.withdraw_invitation(by=whoever(request), invitation=withdrawn)
        messages.success(request, "The invitation is withdrawn")
        return redirect("people")
    everybody = Person.objects.order_by("name", "email").prefetch_related("memberships__agency", "memberships__region")
    context = {"people": everybody, "waiting": waiting, "held_back": last_held_back()}
    return pages.render(request, "agencies/people.html", context)


@_GET_OR_POST
@only(Role.ADMINISTRATOR)
def invite(request: HttpRequest) -> HttpResponse:
    """Inviting somebody to a role."""
    form = forms.Invite(request.POST or None)
    if form.is_valid():
        by = whoever(request)
        try:
            invited, token = actions.invite(by=by, **form.cleaned_data)
        except Refused as slip:
            form.add_error("email", str(slip))
        else:
            try:
                mail.send_invitation(base=mail.base(request), invitation=invited, token=token)
            except (OSError, SMTPException):
                actions.withdraw_invitation(by=by, invitation=invited)
                form.add_error("email", "The e-mail could not be sent: check the address, and try again later")
            else:
                messages.success(request, "The invitation is sent")
                return redirect("people")
    return pages.render(request, "agencies/invite.html", {"form": form})


@_GET_OR_POST
@only(Role.ADMINISTRATOR)
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody's roles, and whether they may sign in."""
    somebody = get_object_or_404(Person, pk=pk)
    by = whoever(request)
    form = forms.InPlace(request.POST if request.POST.get("do") == "give" else None)
    try:
        done = _change(request, by, somebody, form)
    except Refused as slip:
        done = None
        messages.error(request, str(slip))
    if done:
        messages.success(request, done)
        return redirect("person", pk=pk)
    context = {
        "form": form,
        "somebody": somebody,
        "oneself": by.pk == somebody.pk,
        "memberships": somebody.memberships.select_related("agency", "region").order_by("role", "pk"),
        "second_step": actions.has_second_step(somebody),
    }
    return pages.render(request, "agencies/person.html", context)


def _change(request: HttpRequest, by: Person, somebody: Person, form: forms.InPlace) -> str | None:
    """Do what a button of a person's page asks. Returns what was done; None where nothing was."""
    match request.POST.get("do"):
        case "give" if form.is_valid():
            actions.give_role(by=by, person=somebody, **form.cleaned_data)
            return "The role is given"
        case "take":
            taken = get_object_or_404(Membership, pk=_number(request, "membership"), person=somebody)
            actions.take_role(by=by, membership=taken)
            return "The role is taken away"
        case "deactivate":
            actions.deactivate(by=by, person=somebody)
            return "Their access has ended"
        case "reactivate":
            actions.reactivate(by=by, person=somebody)
            return "They can sign in again"
        case "reset":
            actions.reset_second_step(by=by, person=somebody)
            return "Their second step is reset: they are signed out, and set it up anew when they next sign in"
    return None


def _number(request: HttpRequest, name: str) -> int:
    """A number a form sent along; 0, which nothing has, where it is none."""
    given = request.POST.get(name, "")
    return int(given) if re.fullmatch("[0-9]{1,15}", given) else 0


# ---- the register ----------------------------------------------------------------------------------


def _regions(person: Person) -> QuerySet[Region]:
    """The regions whose register somebody keeps: an administrator all, regional staff their own."""
    regions = Region.objects.order_by("name")
    if has(person, Role.ADMINISTRATOR):
        return regions
    return regions.filter(memberships__person=person, memberships__role=Role.REGIONAL).distinct()


@_GET_OR_POST
@only(Role.ADMINISTRATOR, Role.REGIONAL)
def agencies(request: HttpRequest) -> HttpResponse:
    """The register, and a form to add to it."""
    by = whoever(request)
    regions = _regions(by)
    form = forms.AddAgency(regions, request.POST or None)
    if form.is_valid():
        try:
            added = actions.add_agency(by=by, **form.cleaned_data)
        except Refused as slip:
            form.add_error("code", str(slip))
        else:
            messages.success(request, f"{added.code} is in the register")
            return redirect("agencies")
    register = Agency.objects.filter(region__in=regions).select_related("region")
    return pages.render(request, "agencies/agencies.html", {"form": form, "register": register})


@_GET_OR_POST
@only(Role.ADMINISTRATOR, Role.REGIONAL)
def agency(request: HttpRequest, code: str) -> HttpResponse:
    """An agency of the register: its name and DAT, its last day, and from when it is open again."""
    by = whoever(request)
    found = get_object_or_404(Agency.objects.select_related("region"), code=code, region__in=_regions(by))
    do = request.POST.get("do")
    edit = forms.EditAgency(request.POST if do == "edit" else None, initial={"name": found.name, "dat": found.dat})
    close = forms.CloseAgency(request.POST if do == "close" else None, initial={"closed": found.closed})
    reopen = forms.ReopenAgency(request.POST if do == "reopen" else None)
    if edit.is_valid():
        actions.edit_agency(by=by, agency=found, **edit.cleaned_data)
        messages.success(request, "The register is changed")
        return redirect("agency", code=code)
    if close.is_valid():
        try:
            actions.close_agency(by=by, agency=found, **close.cleaned_data)
        except Refused as slip:
            close.add_error("closed", str(slip))
        else:
            messages.success(request, "The last day is in the register")
            return redirect("agency", code=code)
    if reopen.is_valid():
        try:
            actions.reopen_agency(by=by, agency=found, **reopen.cleaned_data)
        except Refused as slip:
            reopen.add_error("reopened", str(slip))
        else:
            messages.success(request, "The agency is open again")
            return redirect("agency", code=code)
    context = {"agency": found, "closures": found.closures.all(), "edit": edit, "close": close, "reopen": reopen}
    return pages.render(request, "agencies/agency.html", context)


# ---- the calendar ----------------------------------------------------------------------------------


@require_safe
@only(Role.REGIONAL, Role.NATIONAL, Role.ADMINISTRATOR)
def calendar(request: HttpRequest) -> HttpResponse:
    """By which day agencies submit for each month: those around this one, and all others that have an entry."""
    entries = {Month(first) for first in DueDay.objects.values_list("month", flat=True)}
    months = [Month.complete()]
    while len(months) < AHEAD:
        months.append(months[-1].after)
    while len(months) < AHEAD + BEHIND:
        months.insert(0, months[0].before)
    due = due_days(sorted({*months, *entries}))
    today = localdate()
    context = {
        "to_come": [(month, day) for month, day in due.items() if day >= today],
        "past": [(month, day) for month, day in reversed(due.items()) if day < today],
        "entries": entries,
        "keeps": has(whoever(request), Role.NATIONAL, Role.ADMINISTRATOR),
    }
    return pages.render(request, "agencies/calendar.html", context)


@_GET_OR_POST
@only(Role.NATIONAL, Role.ADMINISTRATOR)
def due_day(request: HttpRequest, month: str) -> HttpResponse:
    """The calendar's entry for a month: changed, or taken out."""
    by, asked = whoever(request), Month.named(month)
    if asked is None:
        raise Http404
    remove = request.POST.get("do") == "remove"
    form = forms.DueDay(request.POST if request.POST and not remove else None, initial={"due": asked.due})
    if remove:
        actions.remove_due_day(by=by, month=asked)
        messages.success(request, f"{asked.name} is due by {pages.day(asked.usual)}, as usual")
        return redirect("calendar")
    if form.is_valid():
        try:
            actions.set_due_day(by=by, month=asked, **form.cleaned_data)
        except Refused as slip:
            form.add_error("due", str(slip))
        else:
            messages.success(request, f"{asked.name} is due by {pages.day(asked.due)}")
            return redirect("calendar")
    entered = DueDay.objects.filter(month=asked.first).exists()
    return pages.render(request, "agencies/due_day.html", {"month": asked, "form": form, "entered": entered})


# ---- the audit trail -------------------------------------------------------------------------------


@require_safe
@only(Role.ADMINISTRATOR, Role.NATIONAL)
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what and when."""
    form = forms.AuditFilter(request.GET or None)
    page = Paginator(form.events(), EVENTS).get_page(request.GET.get("page"))
    asked = {name: value for name, value in request.GET.items() if name != "page" and value}
    context = {"form": form, "page": page, "asked": urlencode(asked)}
    return pages.render(request, "agencies/audit.html", context)


@require_safe
@only(Role.ADMINISTRATOR, Role.NATIONAL)
def audit_export(request: HttpRequest) -> StreamingHttpResponse | HttpResponseRedirect:
    """The same events as CSV."""
    form = forms.AuditFilter(request.GET or None)
    events = form.events()
    if form.errors:
        return redirect(f"{reverse('audit')}?{request.GET.urlencode()}")
    note("exported the audit trail", by=whoever(request), counts={"events": events.count()})
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_csv(events), content_type="text/csv; charset=utf-8", headers=headers)


class _Echo:
    """A file that gives back what is written to it, a line at a time."""

    def write(self, line: str) -> str:
        return line


def _csv(events: QuerySet[AuditEvent]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["when", "who", "agency", "action", "about", "counts", "from"])
    for event in events.iterator(chunk_size=2000):
        cells = [
            localtime(event.at).isoformat(timespec="seconds"),
            event.who,
            event.agency.code if event.agency else "",
            event.action,
            event.about,
            "; ".join(f"{name}: {value}" for name, value in event.counts.items()),
            event.address,
        ]
        yield writer.writerow([neutral(cell) for cell in cells])
