"""Clips in a real Chromium, as whoever reviews them plays them."""

import base64
import shutil
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from firmware.devices.camera import mp4
from firmware.devices.camera.encoder import Encoder
from firmware.devices.camera.mp4 import Muxer, beginning_at
from firmware.devices.camera.ring import Packet
from tests.firmware.devices.camera.numbered import BITS, BLOCK, FPS, HEIGHT, WIDTH, encoded, time_of

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIRST = 9
LAST = 44
PLAYER = f"""
  const video = document.createElement("video"), canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", {{willReadFrequently: true}});
  const number = () => {{
    context.drawImage(video, 0, 0);
    const row = context.getImageData(0, {BLOCK // 2}, {BITS * BLOCK}, 1).data;
    let found = 0;
    for (let bit = 0; bit < {BITS}; bit++) if (row[(bit * {BLOCK} + {BLOCK // 2}) * 4] > 128) found |= 1 << bit;
    return found;
  }};
  const heard = (...names) => new Promise(done => {{
    for (const name of names) video.addEventListener(name, () => done(name), {{once: true}});
  }});
  window.load = async data => {{
    canvas.width = {WIDTH};
    canvas.height = {BLOCK};
    video.muted = true;
    document.body.append(video);
    const bytes = Uint8Array.from(atob(data), each => each.charCodeAt(0));
    video.src = URL.createObjectURL(new Blob([bytes], {{type: "video/mp4"}}));
    await Promise.race([new Promise(done => video.requestVideoFrameCallback(done)), heard("error")]);
    const ranges = video.seekable;
    return {{
      duration: video.duration, at: video.currentTime, number: number(), error: video.error?.message ?? null,
      seekable: ranges.length ? [ranges.start(0), ranges.end(ranges.length - 1)] : [],
    }};
  }};
  window.seen = async pictures => {{
    const found = [];
    for (const [time, expected] of pictures) {{
      const sought = heard("seeked", "error");
      video.currentTime = time;
      await sought;
      for (let looks = 0; looks < 200 && number() !== expected; looks++) // it is painted some time after it is sought
        await new Promise(requestAnimationFrame);
      found.push(number());
    }}
    return found;
  }};
  window.play = async from => {{
    video.currentTime = from;
    const over = heard("ended", "error");
    video.playbackRate = 4;
    await video.play();
    const how = await over;
    return {{how, at: video.currentTime, error: video.error?.message ?? null}};
  }};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if not shutil.which(CHROMIUM):
        pytest.skip("chromium is missing: sudo make system-packages")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def player(browser: Browser) -> Iterator[Page]:
    """A page with nothing but a video."""
    page = browser.new_page()
    page.evaluate(f"() => {{{PLAYER}}}")
    yield page
    page.close()


@pytest.fixture(scope="module")
def pieces() -> list[bytes]:
    """A clip that begins in the middle of a second, in its pieces."""
    packets = encoded(LAST + 1)
    encoder, muxer = Encoder(width=WIDTH, height=HEIGHT, fps=FPS), Muxer(width=WIDTH, height=HEIGHT, fps=FPS)
    clip: list[Packet] = [*beginning_at(time_of(FIRST), packets[:15], encoder), *packets[15:]]
    return [piece for piece in (*(muxer.add(packet) for packet in clip), muxer.end(time_of(LAST + 1))) if piece]


def _load(player: Page, video: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = player.evaluate("data => window.load(data)", base64.b64encode(video).decode())
    return loaded


def _seen(player: Page, first: int, beyond: int) -> list[int]:
    """Return the numbers that stand in the middle of each picture's time."""
    begins = [time_of(number) - time_of(FIRST) for number in range(first, beyond + 1)]
    middles = [(one + other) / 2000 for one, other in pairwise(begins)]
    pictures = list(zip(middles, range(first, beyond), strict=True))
    seen: list[int] = player.evaluate("pictures => window.seen(pictures)", pictures)
    return seen


def test_a_clip_is_exact_to_the_picture_in_a_browser(player: Page, pieces: list[bytes]) -> None:
    """A reviewer sees from the first picture of the pre-roll to the last one, each at its time, and nothing else."""
    loaded = _load(player, b"".join(pieces))

    seconds = pytest.approx((time_of(LAST + 1) - time_of(FIRST)) / 1000, abs=0.001)
    assert (loaded["error"], loaded["at"], loaded["number"]) == (None, 0, FIRST)
    assert loaded["duration"] == seconds
    assert loaded["seekable"] == [0, seconds]
    assert _seen(player, FIRST, LAST + 1) == list(range(FIRST, LAST + 1))
    played = player.evaluate("() => window.play(2)")
    assert (played["how"], played["error"], played["at"]) == ("ended", None, seconds)


@pytest.mark.parametrize("share", [0.4, 0.9999])
def test_a_clip_that_was_cut_and_mended_plays_to_its_end(player: Page, pieces: list[bytes], share: float) -> None:
    """After a power cut the clip's length is that of its whole seconds, and it plays to its end without an error."""
    video = b"".join(pieces)
    cut = video[: int(len(video) * share)]
    beyond = (15, 30)[share > 0.5]

    loaded = _load(player, cut[: mp4.whole_length(BytesIO(cut))])

    seconds = pytest.approx((time_of(beyond) - time_of(FIRST)) / 1000, abs=0.001)
    assert (loaded["error"], loaded["number"], loaded["duration"]) == (None, FIRST, seconds)
    assert _seen(player, FIRST, beyond) == list(range(FIRST, beyond))
    played = player.evaluate("() => window.play(0)")
    assert (played["how"], played["error"], played["at"]) == ("ended", None, seconds)


def test_a_clip_that_was_cut_and_not_mended_shows_what_is_there(player: Page, pieces: list[bytes]) -> None:
    """A card that is taken out of a dead device and read elsewhere shows what stands well before the cut."""
    video = b"".join(pieces)

    loaded = _load(player, video[: int(len(video) * 0.9)])

    assert (loaded["error"], loaded["number"]) == (None, FIRST)
    assert _seen(player, FIRST, 15) == list(range(FIRST, 15))  # a player decodes ahead, and stops where it cannot
