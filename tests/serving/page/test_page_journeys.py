"""What a person does on the page, from a dropped song to the reasons, in a real browser."""

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import FileChooser, Page, expect

pytestmark = pytest.mark.browser

DROP = """([name, text, kind]) => {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: kind }));
  return carried;
}"""


def drop(page: Page, path: Path) -> None:
    """Drag a file over the page and let it go, as far as a script can."""
    text = base64.b64encode(path.read_bytes()).decode()
    carried = page.evaluate_handle(DROP, [path.name, text, "audio/wav"])
    page.dispatch_event("body", "dragenter", {"dataTransfer": carried})
    expect(page.locator("#veil")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": carried})
    expect(page.locator("#veil")).to_be_hidden()


def heard(page: Page) -> None:
    """Wait until the answer stands there."""
    expect(page.locator(".verdict-title")).to_be_visible(timeout=30_000)


class TestASong:
    def test_dropped_it_is_answered_with_what_the_service_says(self, visit, page_url, songs):
        page = visit(page_url)
        with page.expect_response("**/predict") as response:
            drop(page, songs("Slow Harbour", seconds=20))
        heard(page)
        told = response.value.json()
        expect(page.get_by_role("heading", name="Slow Harbour")).to_be_visible()
        shown = page.locator("#genres-title ~ ul .bar-name").all_inner_texts()
        assert shown == [one["genre"].replace("_", " ") for one in told["genres"]][: len(shown)]
        for one in told["genres"][:3]:
            row = page.locator(".bar-row", has_text=one["genre"]).first
            assert abs(float(row.locator(".bar-number").inner_text().strip("<>%")) - 100 * one["probability"]) <= 1
        assert page.title().startswith("Slow Harbour")

    def test_the_honest_set_is_said_in_words_with_its_promise(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator(".verdict-title")).to_have_text("Rock or pop")
        expect(page.locator(".verdict-text")).to_contain_text("9 of 10 songs")

    def test_liking_is_a_range_within_the_catalogue(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        appeal = page.locator(".appeal")
        expect(appeal).to_contain_text("Between the 31st and the 95th of 100 songs.")
        expect(appeal).to_contain_text("unsure")
        # 31 % to 95 % of a hundred songs are 64.
        assert appeal.locator(".strip .within").count() == 64

    def test_what_a_model_was_not_taught_is_said(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("bare"))
        heard(page)
        for sentence in ("not taught liking", "not taught what listeners feel", "tells no moments", "does not know"):
            expect(page.locator("#song")).to_contain_text(sentence)
        expect(page.locator(".facts")).to_contain_text("cannot be told")

    def test_doubts_stand_at_the_top(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("unlike and abstain"))
        heard(page)
        first = page.locator(".song > *").first
        expect(first).to_have_class("notice")
        expect(first).to_contain_text("unlike anything")
        add(page, songs("abstain"))
        expect(page.locator(".verdict-title")).to_have_text("Too unsure to say")
        expect(page.locator(".song > .notice")).to_contain_text("too unsure")

    def test_a_name_with_markup_is_only_text(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("<img src=x onerror=document.title=1>"))
        heard(page)
        expect(page.locator("#song-title")).to_have_text("<img src=x onerror=document.title=1>")
        assert page.locator("main img").count() == 0

    def test_an_example_is_fetched_and_answered(self, visit, standin):
        page = visit(standin.url)
        page.get_by_role("button", name="Yellow Bird").click()
        heard(page)
        expect(page.get_by_role("heading", name="Yellow Bird")).to_be_visible()
        # That one is answered by a newcomer on trial, and the page does not hide it.
        expect(page.locator(".song-head .badge")).to_have_text("on trial")

    @pytest.mark.parametrize(("second", "times"), [("CC BY 4.0", 1), ("CC0 1.0", 2)])
    def test_a_licence_that_all_examples_share_is_told_once(self, visit, standin, second, times):
        standin.second_licence = second
        page = visit(standin.url)
        expect(page.locator(".example")).to_have_count(2)
        expect(page.locator("#examples").get_by_text("CC")).to_have_count(times)

    def test_without_examples_there_is_no_shelf(self, visit, standin):
        standin.examples = False
        page = visit(standin.url)
        expect(page.locator("#choose")).to_be_visible()
        page.wait_for_load_state("networkidle")
        expect(page.locator("#examples")).to_be_hidden()

    def test_it_works_behind_a_prefix(self, visit, standin, songs, add):
        page = visit(standin.url + "behind/a/prefix/")
        add(page, songs("Slow Harbour"))
        heard(page)


class TestAgainstTheRealService:
    """What the stand-in cannot show: that page and service speak of the same things."""

    @pytest.fixture
    def page(self, visit, served, songs, add) -> Page:
        page = visit(str(served.client.base_url) + "/")
        add(page, songs("Slow Harbour", seconds=12))
        heard(page)
        return page

    def test_reasons_come_and_can_be_heard(self, page):
        page.locator(".why-ask button").click()
        expect(page.locator(".band").first).to_be_visible(timeout=60_000)
        expect(page.locator(".reason").first).to_be_visible()

    def test_the_nearest_songs_are_those_of_its_catalogue(self, page, served):
        expect(page.locator(".similar-song").first).to_be_visible()
        assert page.locator(".similar-song").count() == min(10, served.client.get("/model").json()["catalogue_songs"])

    def test_its_examples_stand_there_with_their_licences(self, visit, served):
        examples = served.client.get("/examples").json()
        page = visit(str(served.client.base_url) + "/")
        expect(page.locator(".example")).to_have_count(len(examples))
        for licence in {example["licence"] for example in examples}:
            expect(page.locator("#examples")).to_contain_text(licence)

    def test_a_thumb_is_kept_and_taken_back(self, page):
        up = page.get_by_role("button", name="I like it")
        up.click()
        expect(page.locator(".thumb-note")).to_contain_text("Kept")
        up.click()
        expect(page.locator(".thumb-note")).to_have_text("Taken back.")

    def test_the_way_back_and_the_model_are_told(self, page, served):
        page.locator(".lineage summary").click()
        card = served.client.get("/model").json()
        expect(page.locator(".chain li").first).to_be_visible()
        expect(page.locator(".chain")).to_contain_text(f"{card['name']} {card['version']}")
        expect(page.locator(".model")).to_contain_text(f"It knows {len(card['genres'])} genres")

    def test_moments_and_facts_are_those_of_the_answer(self, visit, served, songs, add):
        page = visit(str(served.client.base_url) + "/")
        with page.expect_response("**/predict") as response:
            add(page, songs("Slow Harbour", seconds=12))
        heard(page)
        told = response.value.json()
        expect(page.locator(".moment")).to_have_count(len(told["moments"]))
        expect(page.locator(".facts .dim + dd").first).to_be_visible()
        if tempo := told["facts"]["tempo"]:
            expect(page.locator(".facts")).to_contain_text(f"{tempo['bpm']:.0f}")

    def test_the_interface_page_works_under_its_policy(self, visit, served, songs):
        page = visit(str(served.client.base_url) + "/api")
        page.get_by_text("/predict", exact=True).first.click()
        page.get_by_role("button", name="Try it out").click()
        page.locator("input[type=file]").set_input_files(songs("Slow Harbour"))
        page.get_by_role("button", name="Execute").click()
        expect(page.get_by_text('"version": "7"').first).to_be_visible(timeout=30_000)


class TestListening:
    def test_a_moment_plays_from_there(self, visit, page_url, songs, add):
        page = visit(page_url)
        add(page, songs("Slow Harbour", seconds=20))
        heard(page)
        moments = page.locator(".moment")
        chosen = moments.nth(moments.count() // 2)
        chosen.click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        minutes, seconds = page.locator(".times .time").inner_text().split(":")
        left = float(chosen.evaluate("(one) => parseFloat(one.style.left)"))
        assert 60 * int(minutes) + int(seconds) >= int(left / 100 * 20)
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()

    def test_the_outline_is_as_loud_as_the_song(self, visit, page_url):
        page = visit(page_url)
        loudness = page.evaluate(
            """async () => {
              const { peaksOf } = await import(new URL("page/waveform.js", location.href));
              const rate = 8000, seconds = 4, bytes = new DataView(new ArrayBuffer(44 + 2 * rate * seconds));
              const text = (at, word) => [...word].forEach((one, i) => bytes.setUint8(at + i, one.charCodeAt(0)));
              text(0, "RIFF"); text(8, "WAVEfmt "); text(36, "data");
              bytes.setUint32(4, bytes.byteLength - 8, true); bytes.setUint32(16, 16, true);
              bytes.setUint16(20, 1, true); bytes.setUint16(22, 1, true);
              bytes.setUint32(24, rate, true); bytes.setUint32(28, 2 * rate, true);
              bytes.setUint16(32, 2, true); bytes.setUint16(34, 16, true);
              bytes.setUint32(40, 2 * rate * seconds, true);
              for (let i = 0; i < rate * seconds; i += 1) {
                const loud = i < rate ? 0 : i < 2 * rate ? 0.25 : 0.5;
                bytes.setInt16(44 + 2 * i, 32767 * loud * Math.sin(i), true);
              }
              return peaksOf(new Blob([bytes]));
            }"""
        )
        quarter = len(loudness) // 4
        assert max(loudness[: quarter - 1]) < 0.01
        assert loudness[quarter + 5] == pytest.approx(0.5, abs=0.02)
        assert min(loudness[2 * quarter + 1 :]) > 0.97

    def test_what_the_browser_cannot_decode_has_no_outline_but_an_answer(self, visit, standin, tmp_path, add):
        broken = tmp_path / "odd.wav"
        broken.write_bytes(b"RIFF" + bytes(5_000))
        page = visit(standin.url)
        add(page, broken)
        heard(page)
        expect(page.locator(".stage-note")).to_contain_text("browser cannot")

    @pytest.mark.parametrize(("tone_hz", "passes"), [(1_000, True), (250, False), (4_000, False)])
    def test_a_band_leaves_only_what_lies_in_it(self, visit, page_url, tone_hz, passes):
        page = visit(page_url)
        level = page.evaluate(
            """async (tone) => {
              const { filters } = await import(new URL("page/player.js", location.href));
              const context = new OfflineAudioContext(1, 48000, 48000);
              const source = new OscillatorNode(context, { frequency: tone });
              const quiet = new GainNode(context, { gain: 0.05 });
              const chain = filters(context, { low: 800, high: 1250 });
              [source, quiet, ...chain, context.destination].reduce((from, to) => from.connect(to));
              source.start();
              const samples = (await context.startRendering()).getChannelData(0).slice(24000);
              return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length) / (0.05 / Math.SQRT2);
            }""",
            tone_hz,
        )
        assert (level > 1.0) if passes else (level < 0.3)

    def test_a_recording_by_the_microphone_is_answered(self, visit, standin):
        page = visit(standin.url, permissions=["microphone"])
        page.get_by_role("button", name="Record", exact=True).click()
        expect(page.get_by_role("group", name="Recording")).to_be_visible()
        page.wait_for_timeout(1_200)
        page.get_by_role("button", name="Stop and listen").click()
        heard(page)
        expect(page.locator("#song-title")).to_contain_text("Recording, ")
        assert standin.requests("predict")[0]["bytes"] > 1_000

    def test_a_discarded_recording_is_sent_nowhere(self, visit, standin):
        page = visit(standin.url, permissions=["microphone"])
        page.get_by_role("button", name="Record", exact=True).click()
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_role("button", name="Record", exact=True)).to_be_focused()
        assert standin.requests("predict") == []

    def test_a_refused_microphone_is_explained(self, visit, page_url):
        refusing = (
            'navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotAllowedError"); };'
        )
        page = visit(page_url, script=refusing)
        page.get_by_role("button", name="Record", exact=True).click()
        expect(page.locator(".recorder")).to_contain_text("not allowed")

    def test_where_there_is_no_recorder_there_is_no_button(self, visit, page_url):
        page = visit(page_url, script="delete window.MediaRecorder;")
        expect(page.locator("#choose")).to_be_visible()
        assert page.get_by_role("button", name="Record").count() == 0


class TestWhy:
    def test_bands_and_moments_are_shown_and_can_be_heard(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour", seconds=20))
        heard(page)
        page.locator(".why-ask button").click()
        bands = page.locator(".band")
        expect(bands.first).to_be_visible()
        assert {sign.inner_text() for sign in page.locator(".band-sign").all()} == {"+", "−"}
        bands.nth(4).click()
        expect(bands.nth(4)).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".band-note")).to_contain_text("You hear only")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        page.get_by_role("button", name="Hear all of it").click()
        expect(bands.nth(4)).to_have_attribute("aria-pressed", "false")
        reasons = page.locator(".reason")
        reasons.nth(10).click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        # It stops by itself at the moment's end, less than half a second later.
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=5_000)

    def test_the_bands_shown_add_up_to_all_that_was_told(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour", seconds=20))
        heard(page)
        with page.expect_response("**/explain") as response:
            page.locator(".why-ask button").click()
        told = sum(band["nats"] for band in response.value.json()["bands"])
        page.locator(".why .fold summary").click()
        cells = page.locator(".why table").first.locator("td").all_inner_texts()
        assert sum(float(cell.replace("−", "-")) for cell in cells) == pytest.approx(told, abs=0.005 * len(cells))

    def test_another_genre_can_be_held_against_it(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        heard(page)
        page.locator(".why-ask button").click()
        expect(page.locator(".why-sentence")).to_contain_text("Rock:")
        page.get_by_label("rather than").select_option("pop")
        expect(page.locator(".why-sentence")).to_contain_text("Rock rather than pop:")
        assert standin.requests("explain") == [{"genre": "rock"}, {"genre": "rock", "rather_than": "pop"}]

    def test_a_model_without_network_says_so(self, visit, standin, songs, add):
        standin.refuse("explain", "no_network", status=409)
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        heard(page)
        page.locator(".why-ask button").click()
        expect(page.locator(".why .notice")).to_contain_text("no network to explain")


class TestSimilarSongs:
    def test_they_come_with_what_listeners_did(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        first = page.locator(".similar-song").first
        expect(first).to_contain_text("Harbour Lights")
        for part in ("Jackalopes", "0.94", "61% liked it (49–72%)", "64 listeners"):
            expect(first).to_contain_text(part)
        expect(page.locator(".similar-song").nth(2)).to_contain_text("too few listeners")
        assert standin.requests("similar")[0]["prediction_id"].startswith("prediction-of-")

    def test_when_another_model_took_over_the_song_is_sent_again(self, visit, standin, songs, add):
        standin.refuse("similar", "outdated", status=409)
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator(".similar-song").first).to_be_visible()
        assert [set(fields) for fields in standin.requests("similar")] == [{"file", "count"}]

    def test_a_model_without_catalogue_says_so(self, visit, standin, songs, add):
        standin.refuse("similar", "no_catalogue")
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator(".similar")).to_contain_text("no catalogue")


class TestThumbs:
    def test_a_thumb_is_kept_turned_and_taken_back(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        up, down = page.get_by_role("button", name="I like it"), page.get_by_role("button", name="I do not like it")
        note = page.locator(".thumb-note")
        expect(note).to_contain_text("nothing else")
        up.click()
        expect(up).to_have_attribute("aria-pressed", "true")
        expect(note).to_contain_text("Kept")
        down.click()
        expect(down).to_have_attribute("aria-pressed", "true")
        expect(up).to_have_attribute("aria-pressed", "false")
        expect(note).to_contain_text("Kept")
        down.click()
        expect(note).to_have_text("Taken back.")
        events = [body["events"][0] for body in standin.requests("feedback")]
        assert [(one["kind"], one["value"]) for one in events] == [("like", 1), ("like", 0), ("like", None)]
        assert len({one["event_id"] for one in events}) == 3
        assert {one["prediction_id"] for one in events} == {"prediction-of-Slow Harbour.wav"}

    def test_one_that_was_not_kept_does_not_look_kept(self, visit, standin, songs, add):
        standin.refuse("feedback", "failed")
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        up = page.get_by_role("button", name="I like it")
        up.click()
        expect(page.locator(".thumb-note")).to_contain_text("Not kept.")
        expect(up).to_have_attribute("aria-pressed", "false")


class TestTheWayBack:
    def test_from_the_answer_to_code_and_data(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator(".model")).to_contain_text("Trained on 304 songs (collection emotify)")
        page.locator(".lineage summary").click()
        steps = page.locator(".chain li")
        expect(steps.first).to_contain_text("This answer")
        heads = [text.split("\n")[0] for text in steps.all_inner_texts()]
        assert [head.split()[1] for head in heads[1:5]] == ["model", "run", "code", "data"]
        expect(steps.nth(3)).to_contain_text("ee87691c0ffee0000000000000000000deadbeef")
        expect(page.locator(".chain")).to_contain_text("dvc checkout")


class TestSeveralSongs:
    def test_a_bad_one_does_not_stop_the_others(self, visit, page_url, songs, tmp_path, add):
        text = tmp_path / "notes.txt"
        text.write_text("no music")
        page = visit(page_url)
        add(page, songs("One"), text, songs("Two", seed=2))
        rows = page.locator(".song-row")
        expect(rows.nth(0)).to_have_attribute("data-status", "done", timeout=30_000)
        expect(rows.nth(1)).to_have_attribute("data-status", "failed", timeout=30_000)
        expect(rows.nth(2)).to_have_attribute("data-status", "done", timeout=30_000)
        rows.nth(1).locator(".song-open").click()
        expect(page.locator("#song .notice")).to_contain_text("not a recording")
        expect(page.locator("#song-title")).to_be_focused()
        rows.nth(2).locator(".song-open").click()
        expect(page.locator("#song-title")).to_have_text("Two")

    def test_two_at_a_time_are_sent(self, visit, standin, songs, add):
        standin.delay_s = 0.4
        page = visit(standin.url)
        add(page, *(songs(f"Song {at}") for at in range(5)))
        expect(page.locator('.song-row[data-status="done"]')).to_have_count(5)
        assert standin.most_at_once == 2

    def test_each_can_be_cancelled_and_the_rest_goes_on(self, visit, standin, songs, add):
        standin.delay_s = 1.5
        page = visit(standin.url)
        add(page, *(songs(f"Song {at}") for at in range(4)))
        page.get_by_role("button", name="Cancel Song 0").click()  # on its way
        page.get_by_role("button", name="Cancel Song 3").click()  # waits for its turn
        rows = page.locator(".song-row")
        for at, status in enumerate(["cancelled", "done", "done", "cancelled"]):
            expect(rows.nth(at)).to_have_attribute("data-status", status)
        assert sorted(one["name"] for one in standin.requests("predict"))[-2:] == ["Song 1.wav", "Song 2.wav"]

    def test_one_can_be_taken_off_the_list(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("One"), songs("Two"))
        expect(page.locator('.song-row[data-status="done"]')).to_have_count(2)
        page.get_by_role("button", name="Take One off the list").click()
        expect(page.locator("#song-title")).to_have_text("Two")
        page.get_by_role("button", name="Take Two off the list").click()
        expect(page.locator("#welcome")).to_be_visible()
        expect(page.locator("#choose")).to_be_focused()

    def test_progress_of_upload_and_of_thinking_is_told(self, visit, standin, songs, add):
        standin.delay_s = 1.0
        page = visit(standin.url)
        session = page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", slow)
        page.evaluate(
            """() => {
              window.seen = [];
              new MutationObserver(() => window.seen.push(document.querySelector(".song-state")?.textContent))
                .observe(document.getElementById("songs"), { subtree: true, childList: true, characterData: true });
            }"""
        )
        add(page, songs("Long", seconds=90))
        heard(page)
        seen = page.evaluate("window.seen")
        assert any(text and text.startswith("Sending: ") for text in seen)
        assert "The model is listening …" in seen


class TestLanguageAndLight:
    def test_chinese_is_spoken_where_the_browser_asks_for_it(self, visit, page_url, songs, add):
        page = visit(page_url, locale="zh-CN")
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        add(page, songs("Slow Harbour"))
        heard(page)
        expect(page.get_by_role("heading", name="流派")).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("heading", name="Genres")).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == "en"
        page.reload()
        assert page.evaluate("document.documentElement.lang") == "en"

    def test_a_switch_keeps_the_song_its_reasons_and_its_thumb(self, visit, standin, songs, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        heard(page)
        page.get_by_role("button", name="I like it").click()
        expect(page.locator(".thumb-note")).to_contain_text("Kept")
        page.locator(".why-ask button").click()
        expect(page.locator(".bands")).to_be_visible()
        page.get_by_role("button", name="中文").click()
        expect(page.locator(".verdict-title")).to_have_text("摇滚或流行")
        expect(page.locator(".why-sentence")).to_contain_text("支持")
        expect(page.get_by_role("button", name="喜欢", exact=True)).to_have_attribute("aria-pressed", "true")
        assert len(standin.requests("predict")) == len(standin.requests("explain")) == 1
        expect(page.get_by_role("button", name="中文")).to_be_focused()

    def test_dark_follows_the_system_and_the_switch(self, visit, page_url):
        page = visit(page_url, color_scheme="dark")
        paper = "getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(paper)
        page.get_by_role("button", name="Light").click()
        light = page.evaluate(paper)
        assert sum(json.loads(dark.replace("rgb(", "[").replace(")", "]"))) < 150
        assert sum(json.loads(light.replace("rgb(", "[").replace(")", "]"))) > 600
        page.reload()
        assert page.evaluate(paper) == light

    def test_nothing_moves_for_those_who_do_not_want_it(self, visit, standin, songs, add):
        standin.delay_s = 2.0
        page = visit(standin.url, reduced_motion="reduce")
        add(page, songs("Slow Harbour"))
        expect(page.locator(".song-progress")).to_contain_text("listening")
        assert page.evaluate("document.getAnimations().length") == 0
        heard(page)


class TestByKeyboardAlone:
    def test_from_the_first_tab_to_a_thumb(self, visit, standin, songs):
        page = visit(standin.url)
        choosers: list[FileChooser] = []
        page.on("filechooser", lambda chooser: choosers.append(chooser))
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Choose files")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        for _ in range(100):
            if choosers:
                break
            page.wait_for_timeout(50)
        choosers[0].set_files(songs("Slow Harbour", seconds=20))
        heard(page)
        self.tab_to(page, "I like it")
        page.keyboard.press("Space")
        expect(page.locator(".thumb-note")).to_contain_text("Kept")
        self.tab_to(page, "Play")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Pause")).to_be_focused()
        page.keyboard.press("Enter")
        self.tab_to(page, "Position in the song")
        page.keyboard.press("End")
        expect(page.locator(".times .time")).to_have_text("0:20")
        page.keyboard.press("Home")
        page.keyboard.press("Tab")
        expect(page.locator(".moment").first).to_be_focused()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".moment").nth(1)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        self.tab_to(page, "Why?")
        page.keyboard.press("Enter")
        expect(page.locator(".bands")).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("End")
        page.keyboard.press("Space")
        expect(page.locator(".band").last).to_have_attribute("aria-pressed", "true")

    @staticmethod
    def tab_to(page: Page, name: str) -> None:
        """Press Tab until what has this name has the focus."""
        at = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
        for _ in range(60):
            if page.evaluate(at) == name:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab never comes to {name!r}")

    def test_a_screen_reader_is_told_what_happens(self, visit, standin, songs, tmp_path, add):
        page = visit(standin.url)
        add(page, songs("Slow Harbour"))
        expect(page.locator("#progress")).to_have_text("Slow Harbour: rock or pop.")
        words = tmp_path / "words.txt"
        words.write_text("no music")
        add(page, words)
        expect(page.locator("#alarm")).to_contain_text("not a recording")
