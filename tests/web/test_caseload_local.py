"""What stays here, of a client and of an episode; consent; the history; and the sheet for the client."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone
from tests.web.conftest import follow

from cjit.dataset import Entity
from cjit.datasets.p import P
from cjit.datasets.q.example import EXAMPLE
from cjit.web.agencies.models import AuditEvent, Role
from cjit.web.caseload import actions, forms, questions
from cjit.web.caseload.models import Change, Client, Consent, Contact, Episode, Intervention, Note
from cjit.web.caseload.record import months_after
from cjit.web.caseload.record import shown as shown_as

TODAY = timezone.localdate
#: A whole record, begun half a year ago.
RECORD = {h: text for h, text in EXAMPLE.items() if text}
DATES = ("REFLD", "TRIAGED", "CPLANDT", "REFDATE")
KINDS = [field.header for field in P.entity(Entity.INTERVENTION) if field.codes]


def day(ago: int) -> date:
    return TODAY() - timedelta(days=ago)


def boxes(name: str, when: date) -> dict[str, str]:
    return {f"{name}_day": str(when.day), f"{name}_month": str(when.month), f"{name}_year": str(when.year)}


def words(answer) -> str:
    """What a page says, without its marks."""
    text = answer.text.split("<main", 1)[-1].split("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture
def episode(agency, keyworker) -> Episode:
    """An episode of a client on the caseload, complete."""
    typed = RECORD | {h: day(100 - 5 * place).strftime("%d/%m/%Y") for place, h in enumerate(DATES)}
    begun = actions.begin_client(by=keyworker, agency=agency, typed=typed)
    actions.save(by=keyworker, record=begun, typed=typed)
    actions.add_referral(by=keyworker, episode=begun, typed=typed)
    begun.refresh_from_db()
    return begun


@pytest.fixture
def browser(signed_in, keyworker):
    return signed_in(keyworker)


# ---- contacts --------------------------------------------------------------------------------------


def record_contact(browser, episode, on: date | None = None, **typed: str):
    return browser.post(
        reverse("contacts", args=[episode.pk]), {**boxes("on", on or TODAY()), "kind": "office", **typed}
    )


def test_a_contact_is_recorded_and_stays_here(browser, episode, keyworker):
    page = browser.get(reverse("contacts", args=[episode.pk])).text
    assert "Stays here" in page
    # Today, unless another day is typed.
    assert re.search(rf'name="on_year"[^>]*value="{TODAY().year}"', page)

    answer = record_contact(browser, episode, day(3), kind="home", note="Two lines\n<b>of it</b>")
    assert answer["Location"] == reverse("contacts", args=[episode.pk])
    [contact] = Contact.objects.all()
    assert (contact.on, contact.kind, contact.by) == (day(3), "home", keyworker)
    episode.refresh_from_db()
    assert episode.contact == episode.face_to_face == day(3)
    page = browser.get(reverse("contacts", args=[episode.pk])).text
    assert "Two lines<br>&lt;b&gt;of it&lt;/b&gt;" in page
    assert "The contact is recorded" in page


@pytest.mark.parametrize("style", ["%Y%m%d", "%d/%m/%Y", "%Y-%m-%d"])
def test_a_whole_date_in_the_box_of_the_day_is_that_day(browser, episode, style):
    record_contact(browser, episode, on_day=day(3).strftime(style))

    assert Contact.objects.get().on == day(3)


@pytest.mark.parametrize("kind", [kind for kind in Contact.Kind if kind is not Contact.Kind.OTHER])
def test_whether_a_contact_is_face_to_face_follows_from_its_kind(browser, episode, kind):
    record_contact(browser, episode, kind=kind)
    record_contact(browser, episode, kind=kind, face_to_face="no")
    record_contact(browser, episode, kind=kind, face_to_face="yes")

    said_yes, said_no, unsaid = Contact.objects.all()
    assert unsaid.face_to_face is (kind not in (Contact.Kind.TELEPHONE, Contact.Kind.MESSAGE))
    assert (said_yes.face_to_face, said_no.face_to_face) == (True, False)


def test_of_another_kind_of_contact_it_is_asked_whether_it_was_face_to_face(browser, episode):
    answer = record_contact(browser, episode, kind="other")
    assert "Select whether it was face to face, or equivalent" in answer.text
    assert not Contact.objects.exists()
    record_contact(browser, episode, kind="other", face_to_face="no")
    assert Contact.objects.get().face_to_face is False


def test_a_client_met_in_prison_is_in_prison_and_the_page_leads_to_the_closure(browser, episode):
    record_contact(browser, episode, kind="telephone", custody="on")
    record_contact(browser, episode, kind="prison")
    episode.refresh_from_db()

    assert [contact.custody for contact in Contact.objects.all()] == [True, True]
    assert episode.custody == TODAY()
    assert reverse("episode-close", args=[episode.pk]) in browser.get(reverse("contacts", args=[episode.pk])).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"kind": ""}, "Select how the contact was held"),
        ({"on_day": ""}, "Enter a day that exists, like 27 3 2026"),
        ({"on_day": "", "on_month": "", "on_year": ""}, "Enter the date of the contact"),
        ({"on_day": "31", "on_month": "2"}, "Enter a day that exists, like 27 3 2026"),
        ({"on_year": "1066"}, "Enter a day that exists, like 27 3 2026"),
        (boxes("on", TODAY() + timedelta(days=1)), "The date of the contact must be today or earlier"),
    ],
    ids=["no kind", "no day", "no date", "no such day", "long ago", "tomorrow"],
)
def test_what_is_wrong_with_a_contact_is_said_at_its_place_and_what_was_typed_stays(browser, episode, typed, said):
    answer = record_contact(browser, episode, note="As typed", **typed)

    assert answer.text.count(said) == 2
    assert "There is a problem" in answer.text
    assert "<title>Error: Contacts" in answer.text
    assert "As typed</textarea>" in answer.text
    assert not Contact.objects.exists()


def test_a_contact_recorded_by_mistake_is_removed_once_that_is_sure(browser, episode, keyworker):
    record_contact(browser, episode)
    page = reverse("contact-remove", args=[Contact.objects.get().pk])

    assert "Remove this contact?" in browser.get(page).text
    assert Contact.objects.exists()
    assert browser.post(page)["Location"] == reverse("contacts", args=[episode.pk])
    assert not Contact.objects.exists()
    assert browser.get(page).status_code == 404


def test_long_lists_have_pages(browser, episode, keyworker):
    for ago in range(52):
        Contact.objects.create(episode=episode, on=day(ago), kind="office", face_to_face=True, by=keyworker)
    first = browser.get(reverse("contacts", args=[episode.pk])).text
    second = browser.get(reverse("contacts", args=[episode.pk]), {"page": 2}).text

    assert (first.count("Face to face, or equivalent</p>"), second.count("Face to face, or equivalent</p>")) == (50, 2)
    assert "Older" in first
    assert "Newer" in second


# ---- interventions ---------------------------------------------------------------------------------


def assess(browser, episode, on: date | None = None, **typed):
    page = reverse("interventions", args=[episode.pk])
    return browser.post(page, {**boxes("on", on or TODAY()), "kinds": ["RECHSE", "RECPEER"], **typed})


def test_the_kinds_of_support_are_those_of_dataset_p_in_its_words(browser, episode):
    page = words(browser.get(reverse("interventions", args=[episode.pk])))

    assert list(forms.SUPPORT) == KINDS
    assert len(KINDS) == 14
    for header, said in forms.SUPPORT.items():
        assert P.by_header[header].label.lower() == f"client provided with {said}".lower()
        assert said in page


def test_an_assessment_is_recorded_and_the_next_is_due_half_a_year_on(browser, episode):
    page = reverse("interventions", args=[episode.pk])
    due = months_after(episode.started, 6)
    assert f"The next assessment is due on {due.day} {due:%B %Y}." in words(browser.get(page))

    assert assess(browser, episode, day(2), note="All of it")["Location"] == page
    due = months_after(day(2), 6)
    shown = words(browser.get(page))
    assert Intervention.objects.get().kinds == ["RECHSE", "RECPEER"]
    assert f"The next assessment is due on {due.day} {due:%B %Y}." in shown
    assert "Stays here" in shown
    assert "All of it" in shown


def test_an_assessment_that_is_late_is_said_to_be(browser, episode):
    Episode.objects.update(review=day(1))
    due = day(1)
    assert f"The next assessment was due on {due.day} {due:%B %Y}." in words(
        browser.get(reverse("interventions", args=[episode.pk]))
    )


def test_an_assessment_may_find_that_nothing_was_provided(browser, episode):
    assess(browser, episode, kinds=[forms.NOTHING])
    assert Intervention.objects.get().kinds == []

    assert "not both" in assess(browser, episode, kinds=[forms.NOTHING, "RECHSE"]).text
    assert "Select what the client was provided with" in assess(browser, episode, kinds=[]).text
    assert Intervention.objects.count() == 1


def test_an_assessment_before_the_caseload_is_refused_at_its_date(browser, episode):
    answer = assess(browser, episode, day(99))
    assert answer.text.count("The date of the assessment must be on or after the caseload start date") == 2
    assert not Intervention.objects.exists()


def test_before_the_caseload_there_is_nothing_to_assess_and_the_page_leads_to_its_start(browser, agency, keyworker):
    begun = actions.begin_client(by=keyworker, agency=agency, typed={"FINITIAL": "A"})
    page = browser.get(reverse("interventions", args=[begun.pk])).text

    assert reverse("questions", args=[begun.pk, "plan"]) in page
    assert "Record an assessment" not in page


def test_the_assessment_on_leaving_is_ticked_for_who_has_left_and_is_the_last(browser, episode, keyworker):
    typed = {"DISD": f"{day(1):%d/%m/%Y}", "CJDISRSN": "10"}
    actions.close_episode(by=keyworker, episode=episode, typed=typed)
    page = reverse("interventions", args=[episode.pk])
    shown = browser.get(page)

    assert re.search(r'name="leaving" type="checkbox" value="on"\s+checked', shown.text)
    assert "The assessment at the time the client left the caseload is due." in words(shown)
    assess(browser, episode, leaving="on")
    assert "None is due any more" in words(browser.get(page))


def test_an_assessment_recorded_by_mistake_is_removed_once_that_is_sure(browser, episode):
    assess(browser, episode)
    page = reverse("intervention-remove", args=[Intervention.objects.get().pk])

    assert "Remove this assessment?" in browser.get(page).text
    browser.post(page)
    assert not Intervention.objects.exists()


# ---- notes -----------------------------------------------------------------------------------------


def test_a_note_is_kept_with_its_lines_and_its_writer(browser, episode, keyworker):
    page = reverse("client-notes", args=[episode.client_id])
    assert "Enter the note" in browser.post(page, {"text": " "}).text
    browser.post(page, {"text": "First\nsecond <i>"})
    shown = browser.get(page).text

    assert Note.objects.get().by == keyworker
    assert "First<br>second &lt;i&gt;" in shown
    assert keyworker.name in shown
    assert "Stays here" in shown


def test_a_note_that_is_too_long_is_given_back(browser, episode):
    answer = browser.post(reverse("client-notes", args=[episode.client_id]), {"text": "x" * 8001})
    assert "Enter 8,000 characters or fewer" in answer.text
    assert "x" * 8001 in answer.text
    assert not Note.objects.exists()


# ---- consent ---------------------------------------------------------------------------------------


def answer_consent(browser, episode, given: str = "yes", **typed: str):
    told = {
        **boxes("on", TODAY()),
        "given": given,
        "wording": "May we?",
        "evidence": "signed form in the file",
        **typed,
    }
    return browser.post(reverse("client-consent", args=[episode.client_id]), told)


def test_consent_is_recorded_with_its_day_its_words_and_its_evidence(browser, episode, keyworker):
    page = reverse("client-consent", args=[episode.client_id])
    assert "No answer is recorded." in words(browser.get(page))

    answer_consent(browser, episode, **boxes("on", day(4)))
    [kept] = Consent.objects.all()
    assert (kept.given, kept.on, kept.wording, kept.by) == (True, day(4), "May we?", keyworker)
    shown = words(browser.get(page))
    for said in ("The client consents.", "May we?", "signed form in the file", f"Recorded by {keyworker.name}"):
        assert said in shown


def test_the_words_to_ask_with_are_those_of_the_agency(browser, episode, manager, agency):
    actions.set_practice(by=manager, agency=agency, file_name="x.csv", consent_wording="Our own words?")
    page = browser.get(reverse("client-consent", args=[episode.client_id])).text
    assert "Our own words?</textarea>" in page


def test_consent_is_evidenced_and_to_decline_needs_no_evidence(browser, episode):
    assert "Enter how the client’s consent can be shown" in answer_consent(browser, episode, evidence="").text
    assert "Select whether the client consents" in answer_consent(browser, episode, given="").text
    assert not Consent.objects.exists()
    answer_consent(browser, episode, given="no", evidence="", wording="")
    assert Consent.objects.get().given is False


def test_consent_of_tomorrow_is_refused_at_its_date(browser, episode):
    answer = answer_consent(browser, episode, **boxes("on", TODAY() + timedelta(days=1)))
    assert answer.text.count("The date of the answer must be today or earlier") == 2


def test_who_declines_before_any_extract_is_never_extracted_and_the_page_says_so(browser, episode):
    page = reverse("client-consent", args=[episode.client_id])
    assert "Nothing about the client is extracted. What is recorded here stays here" in words(browser.get(page))
    answer_consent(browser, episode, given="no")
    assert "The client does not consent. Nothing about them is extracted." in words(browser.get(page))


def test_what_a_withdrawal_does_is_said_before_and_after(browser, episode):
    page = reverse("client-consent", args=[episode.client_id])
    answer_consent(browser, episode)
    Client.objects.update(extracted=timezone.now())

    before = words(browser.get(page))
    assert "The next extract says only that they withdrew" in before
    assert "It takes effect with that extract" in before
    answer_consent(browser, episode, given="no", evidence="")
    after = words(browser.get(page))
    assert "The client does not consent any more." in after
    assert "on which the national side forgets them" in after
    assert [kept.given for kept in Consent.objects.all()] == [False, True]


# ---- the history -----------------------------------------------------------------------------------


def test_the_history_says_what_changed_as_people_read_it_the_newest_first(browser, episode, keyworker):
    actions.save(by=keyworker, record=episode, typed={"HOUSING": "1"}, why="")
    shown = words(browser.get(reverse("client-history", args=[episode.client_id])))

    assert "What is the client's current housing situation?" in shown
    assert "Client's initials" not in shown
    for header in ("CJRFLS", "DRUG1"):
        assert shown_as(header, EXAMPLE[header]) in shown
    assert shown.index("added a referral") < shown.index("began a client")
    assert f"{keyworker.name} began a client" in shown


def test_the_history_reads_what_is_no_field_of_the_dataset(browser, episode, keyworker):
    record_contact(browser, episode, kind="home")
    assess(browser, episode, kinds=["RECHSE"])
    answer_consent(browser, episode)
    typed = {"DISD": f"{day(1):%d/%m/%Y}", "CJDISRSN": "13"}
    actions.close_episode(by=keyworker, episode=episode, typed=typed, destination="BAI")
    actions.take_back_closure(by=keyworker, episode=episode)
    shown = words(browser.get(reverse("client-history", args=[episode.client_id])))

    for said in ("Home visit", "Housing support", "Yes – client consents", "Belmarsh", "Transferred – in custody"):
        assert said in shown
    assert "took back a closure (correction)" in shown
    assert "RECHSE" not in shown


def test_a_reason_in_the_history_is_of_the_group_of_its_episode_or_as_it_is(browser, episode, keyworker):
    Change.objects.create(
        client=episode.client, at=timezone.now(), who="Somebody", what="changed", fields={"CJDISRSN": ["", "99"]}
    )
    assert "Transferred – not in custody" in words(browser.get(reverse("client-history", args=[episode.client_id])))


def test_the_history_reads_an_answer_that_is_no_number_and_a_field_of_another_dataset(browser, episode, keyworker):
    actions.save(by=keyworker, record=episode, typed={"CHILDWTH": "98"})
    Change.objects.create(
        client=episode.client, at=timezone.now(), who="Somebody", what="changed", fields={"SUBMID": ["", "1"]}
    )
    shown = words(browser.get(reverse("client-history", args=[episode.client_id])))
    assert "client declined to answer" in shown
    assert "Submid nothing 1" in shown


def test_the_history_has_pages(browser, episode):
    for _ in range(50):
        Change.objects.create(client=episode.client, at=timezone.now(), who="Somebody", what="looked", fields={})
    page = reverse("client-history", args=[episode.client_id])
    assert "began a client" not in words(browser.get(page))
    assert "began a client" in words(browser.get(page, {"page": 2}))


# ---- for the client --------------------------------------------------------------------------------


def test_every_field_that_is_asked_has_plain_words_for_the_client():
    asked = [h for group in (questions.CLIENT_DETAILS, *questions.GROUPS, questions.CLOSURE) for h in group.headers]
    later_answers = {"SINITIAL", "DISABLE2", "DISABLE3", "EHCSC2", "EHCSC3", "DRUG3"}
    assert {header for header in asked if questions.field(header).plain == ""} == later_answers
    assert all(questions.field(header).plain is not None for header in asked)
    assert all(group.plain for group in (questions.CLIENT_DETAILS, *questions.GROUPS, questions.CLOSURE))


def test_the_sheet_tells_the_client_what_is_recorded_and_no_technical_id(browser, episode, agency):
    answer_consent(browser, episode, **boxes("on", day(4)))
    answer = browser.get(reverse("client-summary", args=[episode.client_id]))
    shown = words(answer)

    for said in (
        "Initials M, O",
        "Heroin",
        "14 February 1986",
        "NE8 1",
        agency.name,
        f"{day(4).day} {day(4):%B %Y} you agreed",
    ):
        assert said in shown
    due = months_after(episode.started, 6)
    assert f"by {due.day} {due:%B %Y}" in shown
    assert "give the reference C10042" in shown
    for technical in (episode.client.clientid, episode.episodid, episode.referrals.get().referid, agency.code):
        assert technical not in shown


def test_the_sheet_says_who_may_see_it_by_what_the_client_answered(browser, episode):
    page = reverse("client-summary", args=[episode.client_id])
    assert "You have not been asked yet" in words(browser.get(page))
    answer_consent(browser, episode, given="no")
    assert "you said no to sharing it" in words(browser.get(page))
    Client.objects.update(extracted=timezone.now())
    assert "what was shared before is deleted there" in words(browser.get(page))


def test_the_sheet_of_a_client_without_answers_says_what_there_is(browser, agency, keyworker):
    begun = actions.begin_client(by=keyworker, agency=agency, typed={"FINITIAL": "A"})
    shown = words(browser.get(reverse("client-summary", args=[begun.client_id])))
    assert "Initials A" in shown
    assert "Drugs and alcohol" not in shown
    actions.remove_episode(by=keyworker, episode=begun)
    assert browser.get(reverse("client-summary", args=[begun.client_id])).status_code == 200


# ---- whose it is, and what is told elsewhere -------------------------------------------------------

OF_A_CLIENT = ("client-consent", "client-notes", "client-history", "client-summary")
OF_AN_EPISODE = ("contacts", "interventions")


@pytest.mark.parametrize("role", [Role.PROVIDER, Role.KEYWORKER, Role.MANAGER, Role.REGIONAL, Role.ADMINISTRATOR])
def test_of_another_agency_or_in_another_role_nothing_is_there(
    signed_in, person_with, other_agency, browser, episode, role
):
    record_contact(browser, episode)
    assess(browser, episode)
    place = {Role.REGIONAL: {"region": episode.agency.region}, Role.ADMINISTRATOR: {}}
    somebody = signed_in(person_with(role, **place.get(role, {"agency": other_agency})))
    pages = [reverse(name, args=[episode.client_id]) for name in OF_A_CLIENT]
    pages += [reverse(name, args=[episode.pk]) for name in OF_AN_EPISODE]
    pages += [reverse("contact-remove", args=[Contact.objects.get().pk])]
    pages += [reverse("intervention-remove", args=[Intervention.objects.get().pk])]
    before = Change.objects.count()

    for page in pages:
        assert somebody.get(page).status_code == 404
        # 405 where nothing is ever sent, by anybody.
        assert somebody.post(page, {"given": "yes", "text": "x"}).status_code in (404, 405)
    assert Change.objects.count() == before
    assert Contact.objects.exists()


def test_no_text_of_a_note_a_contact_or_a_consent_is_in_the_audit_trail(browser, episode):
    browser.post(reverse("client-notes", args=[episode.client_id]), {"text": "Zebedee"})
    record_contact(browser, episode, note="Zebedee")
    assess(browser, episode, note="Zebedee")
    answer_consent(browser, episode, evidence="Zebedee", wording="Zebedee")

    assert Contact.objects.get().note == Consent.objects.get().evidence == "Zebedee"
    assert "Zebedee" not in str(list(AuditEvent.objects.values()))


def test_a_page_asks_the_database_as_often_whatever_there_is(
    browser, episode, keyworker, django_assert_max_num_queries
):
    for ago in range(40):
        Contact.objects.create(episode=episode, on=day(ago), kind="office", face_to_face=True, by=keyworker)
        Intervention.objects.create(episode=episode, on=day(ago), kinds=["RECHSE"], by=keyworker)
        Note.objects.create(client=episode.client, text="x", by=keyworker)
        actions.record_consent(by=keyworker, client=episode.client, given=True, on=day(ago))
    for name in (*OF_A_CLIENT, *OF_AN_EPISODE):
        with django_assert_max_num_queries(16):
            browser.get(reverse(name, args=[episode.client_id if name in OF_A_CLIENT else episode.pk]))


# ---- in a browser ----------------------------------------------------------------------------------


@pytest.fixture
def visitor(browser):
    return browser


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_a_keyworker_records_a_contact_an_assessment_and_consent(tab, live_server, episode, script):
    page = tab(reverse("contacts", args=[episode.pk]), 390, java_script_enabled=script)
    page.get_by_label("Home visit").check()
    follow(page.get_by_role("button", name="Record the contact"))
    assert Contact.objects.get().face_to_face

    page.goto(live_server.url + reverse("interventions", args=[episode.pk]))
    page.get_by_label("None of these").check()
    page.get_by_label("Housing support").check()
    if not script:
        # The script unticks what excludes what is ticked.
        page.get_by_label("None of these").uncheck()
    follow(page.get_by_role("button", name="Record the assessment"))
    assert Intervention.objects.get().kinds == ["RECHSE"]

    page.goto(live_server.url + reverse("client-consent", args=[episode.client_id]))
    follow(page.get_by_role("button", name="Record the answer"))
    page.get_by_role("link", name="Select whether the client consents").click()
    page.get_by_label("Yes").check()
    page.get_by_label("Evidence").fill("signed form in the file")
    follow(page.get_by_role("button", name="Record the answer"))
    assert page.get_by_text("The client consents.").is_visible()


@pytest.mark.browser
def test_the_sheet_is_printed_on_one_page_without_navigation(tab, browser, episode):
    answer_consent(browser, episode)
    page = tab(reverse("client-summary", args=[episode.client_id]))
    sheet = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", sheet)) == 1

    page.emulate_media(media="print")
    for screen_only in ("What is due", "Sign out", "Accessibility statement"):
        assert not page.get_by_text(screen_only).first.is_visible()
    assert page.get_by_text("If something is wrong").is_visible()


@pytest.mark.browser
def test_the_sheet_has_a_button_to_print_or_says_how(tab, episode):
    address = reverse("client-summary", args=[episode.client_id])
    page = tab(address)
    page.evaluate("window.print = () => { document.title = 'printed' }")
    page.get_by_role("button", name="Print").click()
    assert page.title() == "printed"
    assert tab(address, java_script_enabled=False).get_by_text("use your browser’s print command").is_visible()
