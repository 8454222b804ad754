"""What a person is told when something goes wrong, and what the page does about it by itself."""

import pytest
from playwright.sync_api import expect

from earmark.serving.errors import KINDS

pytestmark = pytest.mark.browser

# What no waiting helps against; busy services are asked again, below.
AT_ONCE = {
    "too_large": "too large",
    "too_long": "too long",
    "not_audio": "not a recording",
    "cut_off": "ends in the middle",
    "too_short": "too short",
    "unreadable": "cannot be decoded",
    "empty": "empty",
    "failed": "failed on this one",
    "timed_out": "took too long",
    "no_champion": "no model in service",
}


class TestRefusals:
    @pytest.mark.parametrize("code", AT_ONCE)
    def test_each_is_said_in_words_with_the_requests_id_at_hand(self, visit, standin, songs, add, code):
        standin.refuse("predict", code)
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        box = page.locator("#song .notice")
        expect(box).to_contain_text(AT_ONCE[code])
        box.locator("summary").click()
        expect(box).to_contain_text(f"request-{code}")
        expect(box).to_contain_text(f"The service's own words on {code}.")
        expect(box).to_contain_text(f"status {int(KINDS[code].status)}")

    def test_the_id_can_be_copied(self, visit, standin, songs, add):
        standin.refuse("predict", "failed")
        page = visit(standin.url, permissions=["clipboard-read", "clipboard-write"])
        add(page, songs("Slow Harbour"))
        page.locator("#song .notice summary").click()
        page.get_by_role("button", name="Copy: Request").click()
        expect(page.locator("#song .notice .done")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == "request-failed"

    def test_a_code_that_the_page_does_not_know_still_has_words(self, visit, standin, songs, add):
        standin.refuse("predict", "brand_new", status=418)
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator("#song .notice")).to_contain_text("Something unexpected")

    def test_trying_again_helps_and_the_focus_is_not_lost(self, visit, standin, songs, add):
        standin.refuse("predict", "failed")
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".verdict-title")).to_be_visible()
        expect(page.locator("#song-title")).to_be_focused()

    def test_what_the_file_is_to_blame_for_is_not_tried_again(self, visit, standin, songs, add):
        standin.refuse("predict", "too_short")
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator("#song .notice")).to_be_visible()
        assert page.get_by_role("button", name="Try again").count() == 0


class TestABusyService:
    @pytest.mark.parametrize(("code", "status"), [("busy", 429), ("rate_limited", 429), ("overloaded", 503)])
    def test_it_is_asked_again_when_it_says_so_and_the_page_tells(self, visit, standin, songs, add, code, status):
        standin.refuse("predict", code, status=status, retry_after="2", times=2)
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator(".song-state")).to_contain_text("Trying again in 2 seconds")
        expect(page.locator(".song-state")).to_contain_text("Trying again in 1 second.")
        expect(page.locator(".verdict-title")).to_be_visible()
        assert len(standin.requests("predict")) == 1

    def test_a_wait_of_an_hour_is_left_to_the_person(self, visit, standin, songs, add):
        standin.refuse("predict", "rate_limited", status=429, retry_after="3600")
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator("#song .notice")).to_contain_text("Too many requests")

    def test_waiting_can_be_cancelled(self, visit, standin, songs, add):
        standin.refuse("predict", "busy", retry_after="60")
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator(".song-state")).to_contain_text("Trying again")
        page.get_by_role("button", name="Cancel Slow Harbour").click()
        expect(page.locator(".song-row")).to_have_attribute("data-status", "cancelled")
        assert standin.requests("predict") == []


class TestAServiceThatIsNotThere:
    def test_without_a_champion_the_page_explains_itself_before_the_first_song(self, visit, standin):
        standin.refuse("model", "no_champion")
        page = visit(standin.url)
        expect(page.locator("#state")).to_contain_text("no model in service yet")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#state")).to_be_empty()

    def test_a_line_that_is_down_is_said_and_mended(self, visit, standin, songs, add):
        page = visit(standin.url)
        expect(page.locator(".example").first).to_be_visible()
        page.context.set_offline(True)
        add(page, songs("Slow Harbour"))
        expect(page.locator("#song .notice")).to_contain_text("cannot be reached")
        page.context.set_offline(False)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".verdict-title")).to_be_visible()

    def test_a_proxys_page_in_the_place_of_json_is_no_riddle(self, visit, standin, songs, add):
        page = visit(standin.url)
        page.route("**/predict", lambda route: route.fulfill(status=504, body="<html>Gateway Time-out</html>"))
        add(page, songs("Slow Harbour"))
        expect(page.locator("#song .notice")).to_contain_text("took too long")


class TestAKey:
    def test_it_is_asked_for_once_and_kept_for_the_tab(self, visit, standin, songs, add):
        standin.key = "sesame"
        page = visit(standin.url)
        page.wait_for_load_state("networkidle")
        expect(page.get_by_role("dialog")).to_have_count(0)  # looking around asks for nothing
        add(page, songs("One"), songs("Two"))
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("asks for a key")
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("not accepted")
        page.get_by_label("API key").fill("sesame")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator('.song-row[data-status="done"]')).to_have_count(2)
        expect(page.locator(".example").first).to_be_visible()
        page.reload()
        add(page, songs("One"))
        expect(page.locator(".verdict-title")).to_be_visible()
        assert page.evaluate("[sessionStorage.length, JSON.stringify(localStorage).includes('sesame')]") == [1, False]

    def test_without_it_the_song_waits_with_a_reason(self, visit, standin, songs, add):
        standin.key = "sesame"
        page = visit(standin.url)
        add(page, songs("One"))
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.locator("#song .notice")).to_contain_text("asks for a key")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("dialog")).to_be_visible()
