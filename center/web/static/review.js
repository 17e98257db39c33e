// The review pages: keys, a player that knows where the incident is, and a list that grows by itself.
const $ = (name) => document.querySelector(`[data-id="${name}"]`);
const LOOK_EVERY_MS = 15000;
const COMES_EVERY_MS = 5000;

const list = $("list");
const video = $("video");
const typing = (node) => node.closest("input, textarea, select, [contenteditable]");

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
  const act = keys[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

const keys = list
  ? { j: () => step(1), k: () => step(-1) }
  : {
      j: () => $("older")?.click(),
      k: () => $("newer")?.click(),
      s: jump,
      p: () => (video?.paused ? video.play() : video?.pause()),
      d: () => ($("next") ?? $("done")).click(),
    };

// --- the list ---

function step(by) {
  const links = [...list.querySelectorAll(".grid a")];
  const at = links.indexOf(document.activeElement);
  links[at < 0 ? 0 : Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
}

// What the center would draw now takes the place of what is there; what has not changed stays the same element.
async function refresh() {
  const answer = await fetch(location.href);
  if (answer.redirected) location.reload(); // nobody is logged in here any more
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [now, sum] = ["list", "sum"].map((name) => page.querySelector(`[data-id="${name}"]`));
  if (!now) return;
  $("sum").dataset.waiting = sum.dataset.waiting;
  if ($("sum").textContent !== sum.textContent) $("sum").textContent = sum.textContent;
  if (now.innerHTML === list.innerHTML) return;
  const focus = document.activeElement?.closest("li")?.dataset.key;
  const known = new Map([...list.querySelectorAll("li")].map((row) => [row.dataset.key, row]));
  for (const row of now.querySelectorAll("li")) {
    const old = known.get(row.dataset.key);
    if (old?.outerHTML === row.outerHTML) row.replaceWith(old);
  }
  list.replaceChildren(...now.childNodes);
  if (focus) list.querySelector(`li[data-key="${focus}"] a`)?.focus({ preventScroll: true });
}

if (list?.dataset.live) {
  setInterval(() => document.hidden || refresh().catch(() => {}), LOOK_EVERY_MS); // no contact: what is there stays
}

// --- a recording that is still to come ---

// It is shown as soon as it is here; what somebody has begun to write is not lost to that.
if ($("coming")) {
  const coming = setInterval(async () => {
    const answer = document.hidden ? null : await fetch(location.href).catch(() => null);
    if (answer?.redirected) location.reload();
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.querySelector('[data-id="coming"]')) return;
    clearInterval(coming);
    const begun = [...document.querySelectorAll("textarea, input")].some((field) => field.value !== field.defaultValue);
    if (begun) $("came").hidden = false;
    else location.reload();
  }, COMES_EVERY_MS);
}

// --- the player ---

function jump() {
  if (!video || !$("bar")) return;
  video.currentTime = Number($("bar").dataset.begin);
  video.play();
}

video?.addEventListener("error", async () => {
  const answer = await fetch(video.src, { headers: { range: "bytes=0-0" } }).catch(() => null);
  $("away").hidden = answer?.status !== 503;
});
video?.addEventListener("loadedmetadata", () => ($("away").hidden = true));

// Whoever plays it stands among those who looked, from the first picture on.
async function looked() {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.querySelector('[data-id="looks"]');
  if (now) $("looks").replaceChildren(...now.childNodes);
}
video?.addEventListener("playing", () => looked().catch(() => {}), { once: true });

if (video && $("bar")) {
  const { seconds } = $("bar").dataset;
  video.addEventListener("timeupdate", () => $("head").setAttribute("x", (video.currentTime / seconds) * 1000 - 3));
  $("bar").addEventListener("click", (event) => {
    const box = $("bar").getBoundingClientRect();
    video.currentTime = ((event.clientX - box.left) / box.width) * seconds;
  });
  $("jump").addEventListener("click", jump);
}
