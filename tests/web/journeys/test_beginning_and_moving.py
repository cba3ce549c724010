"""A caseload that begins with the last file, on its first morning; and a client who moves: given, when, then."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils import timezone
from tests.web.conftest import awaited, follow
from tests.web.journeys.test_keyworking import fills, presses, spoken

from cjit.web.caseload import actions
from cjit.web.caseload.models import Episode

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("working")]


@pytest.fixture
def agency(agency):
    agency.dat = "A09B"
    agency.save()
    return agency


def test_the_first_morning_after_an_import(somebody, manager, keyworker, agency, csv_of):
    # given a manager with the file the agency sent last, of a client whose care plan is of November 2025
    max_ = somebody()
    max_.signs_in(manager)
    max_.goes_to("/caseload/import/")
    max_.sees("When were the last assessments of interventions made?", "The file has no contacts")
    max_.pictured("import")
    file = {"name": "last.csv", "mimeType": "text/csv", "buffer": csv_of({"AGNCY": agency.code})}
    max_.page.set_input_files("input[type=file]", file)
    presses(max_, "Read the file")
    awaited(max_.page)
    today = timezone.localdate()
    max_.sees("1 client with 1 episode and 1 referral would be imported", f"counted from {spoken(today)}")
    presses(max_, "Import them")
    awaited(max_.page)
    max_.sees("were imported")

    # when a keyworker looks at what is due the next morning
    kit = somebody(viewport={"width": 390, "height": 800})
    kit.signs_in(keyworker)
    kit.sees("No contact recorded here since the import (1)", "Imported on " + spoken(today))
    words = kit.page.inner_text("body")
    assert "No contact for 2 months" not in words
    assert "verdue" not in words
    kit.pictured("first-morning")

    # then neither the client's page nor the closure takes the client to have disengaged, or offers a date
    episode = Episode.objects.get()
    said = f"No contact is recorded here since the import of {spoken(today)}: record the last one"
    kit.goes_to(f"/caseload/clients/{episode.client_id}/")
    kit.sees(said)
    kit.goes_to(f"/caseload/episodes/{episode.pk}/close/")
    kit.sees(said)
    assert not kit.page.get_by_role("button", name="Close as").count()
    kit.pictured("first-morning-close")

    # and once the last contact is recorded, what is due goes by that
    follow(kit.page.get_by_role("link", name=said))
    kit.sees("There was no other contact after 20 November 2025")
    kit.pictured("first-morning-contacts")
    last = today - timedelta(days=5)
    for part, content in zip(("day", "month", "year"), (last.day, last.month, last.year), strict=True):
        kit.page.locator(f"[name=on_{part}]").fill(str(content))
    kit.page.get_by_label("At the service", exact=True).check(force=True)
    presses(kit, "Record the contact")
    kit.goes_to("/caseload/due/")
    kit.sees("Nothing is due")
    episode.refresh_from_db()
    assert (episode.contact, episode.face_to_face) == (last, last)


@pytest.fixture
def moving(agency, keyworker) -> Episode:
    """Given a client of whom a file said no more than SR3 4 and Sunderland."""
    begun = actions.begin_client(by=keyworker, agency=agency, typed={"FINITIAL": "M", "SINITIAL": "S"})
    actions.save(by=keyworker, record=begun, typed={"TRIAGED": f"{date(2026, 3, 2):%d/%m/%Y}", "PC": "SR3 4"})
    assert Episode.objects.get().values["DAT"] == "A12B"
    return begun


def test_a_client_moves_is_homeless_and_goes_abroad(somebody, keyworker, moving):
    kit = somebody(viewport={"width": 390, "height": 800})
    kit.signs_in(keyworker)
    here = f"/caseload/episodes/{moving.pk}/living/"
    kit.goes_to(here)
    box = kit.page.locator("[name=PC]")

    def saved(words: str = "") -> dict[str, str]:
        """What is recorded once the page has saved itself, and says `words`."""
        kit.page.get_by_role("status").filter(has_text="Saved at").wait_for()
        if words:
            kit.page.get_by_text(words).first.wait_for()
        return {header: Episode.objects.get().values.get(header, "") for header in ("PC", "UTLA", "DAT")}

    def told() -> None:
        """What the page said before is gone, so that the next saving is seen."""
        kit.page.evaluate("document.querySelector('[data-told]').textContent = ''")

    # when the whole postcode of another town is typed, the DAT of the old one goes
    box.fill("M1 1AE")
    assert saved() == {"PC": "M1 1AE", "UTLA": "E08000003", "DAT": "B18B"}
    kit.sees("Where the client lives")

    # when they have no home any more, the DAT is that of the agency, and the authority is asked
    told()
    kit.page.get_by_label("No fixed abode (ZZ99 3VZ)").check(force=True)
    assert saved() == {"PC": "ZZ99 3VZ", "UTLA": "", "DAT": "A09B"}
    assert kit.page.locator("[data-question=UTLA]").is_visible()
    kit.sees("the area in which they were last of no fixed abode")
    kit.pictured("no-fixed-abode")

    # when they go abroad it is not, and only that is ticked
    told()
    kit.page.get_by_label("Lives abroad, outside the UK (ZZ99 3VZ)").check(force=True)
    assert not kit.page.get_by_label("No fixed abode (ZZ99 3VZ)").is_checked()
    abroad = {"PC": "ZZ99 3VZ", "UTLA": "", "DAT": "Z00B"}
    assert saved("The client lives outside the UK: the DAT of residence is “Out of England”") == abroad
    kit.pictured("abroad")
    kit.goes_to(here)
    assert kit.page.get_by_label("Lives abroad, outside the UK (ZZ99 3VZ)").is_checked()
    assert not kit.page.locator("[data-question=UTLA]").is_visible()

    # when they come to Scotland, the page says what is recorded
    box.fill("EH1 1BB")
    assert not kit.page.get_by_label("Lives abroad, outside the UK (ZZ99 3VZ)").is_checked()
    assert saved("The client lives in Scotland")["DAT"] == "Z00B"
    kit.pictured("scotland")

    # when somebody has chosen another DAT, and they move again, the page asks which is right
    actions.save(by=keyworker, record=moving, typed={"PC": "NE8 1HH", "DAT": "A12B"})
    kit.goes_to(here)
    box.fill("M1 1AE")
    still = "The postcode is now in Manchester, and the DAT of residence is still Sunderland: choose which is right"
    assert saved(still)["DAT"] == "A12B"
    presses(kit, "Save and continue")
    kit.sees("Which DAT of residence is right?", still)
    kit.pictured("moved")
    kit.page.locator("[name=DAT-right]").first.check(force=True)
    presses(kit, "Save and continue")
    assert Episode.objects.get().values["DAT"] == "B18B"
    kit.goes_to(here)
    assert still not in kit.page.inner_text("body")


def test_without_javascript_a_move_and_both_ticks_are_the_same(somebody, keyworker, moving):
    kit = somebody(java_script_enabled=False)
    kit.signs_in(keyworker)
    here = f"/caseload/episodes/{moving.pk}/living/"

    def saves() -> dict[str, str]:
        presses(kit, "Save and come back later")
        kit.goes_to(here)
        return {header: Episode.objects.get().values.get(header, "") for header in ("PC", "UTLA", "DAT")}

    kit.goes_to(here)
    fills(kit.page, PC="M1 1AE")
    assert saves() == {"PC": "M1 1AE", "UTLA": "E08000003", "DAT": "B18B"}

    kit.page.get_by_label("Lives abroad, outside the UK (ZZ99 3VZ)").check(force=True)
    assert saves() == {"PC": "ZZ99 3VZ", "UTLA": "", "DAT": "Z00B"}
    assert "The client lives outside the UK" in kit.page.inner_text("body")

    kit.page.get_by_label("Lives abroad, outside the UK (ZZ99 3VZ)").uncheck(force=True)
    kit.page.get_by_label("No fixed abode (ZZ99 3VZ)").check(force=True)
    assert saves() == {"PC": "ZZ99 3VZ", "UTLA": "", "DAT": "A09B"}
    assert kit.page.get_by_label("No fixed abode (ZZ99 3VZ)").is_checked()
    assert not kit.page.get_by_label("Lives abroad, outside the UK (ZZ99 3VZ)").is_checked()
