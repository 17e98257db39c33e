// The hall board: each call gets its seconds in the large place, one after another; the list beside it never waits.
import { boot, say, text, rows, clock, everySecond, Live } from "./live.js";

const SHOW_MS = 5000; // the least a call stays in the large place
const HURRY_MS = 3000; // … when others wait for it
const SHOWN = 7;
const SHIFT_EVERY_MS = 60000;

const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const known = new Set(boot.state.calls.map((call) => call.key));
let large = rest(boot.state.calls);
let coming = []; // called, and not yet in the large place
let timer = 0;

const live = new Live("/stream?view=board", paint);

function paint(state, keys) {
  if (keys.has("calls")) take(state);
  text(nodes.next, state.next.join(" · ") || "–");
  text(nodes.waiting, state.waiting);
}

function take(state) {
  const here = new Map(state.calls.map((call) => [call.key, call]));
  const fresh = state.calls.filter((call) => !known.has(call.key)).reverse();
  for (const call of fresh) known.add(call.key);
  if (known.size > 500) {
    known.clear();
    for (const key of here.keys()) known.add(key);
  }
  // Whoever sits at the counter already needs no announcement; a second call of a number replaces its first.
  coming = [...coming, ...fresh].filter((call) => here.get(call.key)?.state === "called");
  // A call whose citizen came, or did not come, gives the large place up at once.
  large = state.calls.find((call) => call.number === large?.number) ?? null;
  if (large?.state !== "called") {
    clearTimeout(timer);
    timer = 0;
    if (!coming.length) large = rest(state.calls);
  }
  if (!timer) advance();
  show(state);
}

/** What stands large while nothing is announced: the newest call that still waits for its citizen, else the newest. */
function rest(calls) {
  return calls.find((call) => call.state === "called") ?? calls[0] ?? null;
}

function advance() {
  timer = 0;
  if (!coming.length) return;
  large = coming.shift();
  nodes.now.classList.remove("flash");
  void nodes.now.offsetWidth; // starts the animation again
  nodes.now.classList.add("flash");
  timer = setTimeout(() => {
    advance();
    show(live.state);
  }, coming.length ? HURRY_MS : SHOW_MS);
}

function show(state) {
  nodes.call.hidden = !large;
  nodes.welcome.hidden = Boolean(large);
  if (large) {
    nodes.now.classList.toggle("past", large.state !== "called");
    if (large.state !== "called") nodes.now.classList.remove("flash");
    text(nodes.invite, say(large.state === "called" ? "board_invite" : "board_before"));
    text(nodes.number, large.number);
    nodes.number.dataset.long = large.number.length;
    text(nodes.counter, large.counter);
    text(nodes.service, state.services[large.service]?.[boot.lang] ?? "");
  }
  const waits = new Set(coming.map((call) => call.key));
  const others = state.calls.filter((call) => call.key !== large?.key).slice(0, SHOWN);
  rows(nodes.calls, others, (call) => call.key, (row, call) => {
    text(row.querySelector("b"), call.number);
    text(row.querySelector("span"), call.counter);
    row.className = waits.has(call.key) ? "coming" : call.state === "called" ? "" : "done";
  });
}

const day = new Intl.DateTimeFormat(boot.lang === "en" ? "en-GB" : "vi-VN", {
  weekday: "long", day: "2-digit", month: "2-digit", year: "numeric", timeZone: boot.zone,
});
// The panel runs for weeks: move the picture by a few pixels, and begin anew each night.
const STEPS = [[0, 0], [2, 1], [4, 2], [4, 4], [2, 4], [0, 3], [-2, 2], [-4, 0], [-4, -2], [-2, -4], [0, -4], [2, -2]];
let step = 0;
setInterval(() => {
  const [x, y] = STEPS[(step = (step + 1) % STEPS.length)];
  document.body.style.translate = `${x}px ${y}px`;
  if (live.online && performance.now() > 72e6 && clock(live.now()).startsWith("03")) location.reload();
}, SHIFT_EVERY_MS);

live.start();
everySecond(() => {
  text(nodes.clock, clock(live.now()));
  text(nodes.date, day.format(live.now()));
});
