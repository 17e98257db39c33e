// The rating tablet: a press is kept here, with its key, until the center has confirmed it.
import { boot, text, everySecond, Live, post, tap, newId } from "./live.js";

const THANKS_MS = 4000;
const GUARD_MS = 350; // a finger already on its way when the faces appear has chosen nothing

const counter = boot.counter;
const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const SHELF = `ratings:${counter}`;
const home = boot.lang;
let language = home;
let asked = null; // the ticket whose faces are on the screen
let askedAt = 0;
let thanksUntil = 0;
let sending = false;
let done = localStorage.getItem(`rated:${counter}`); // a reload must not ask again

const say = (key) => boot.both[language][key] ?? key;
const other = () => (language === "vi" ? "en" : "vi");
const kept = () => JSON.parse(localStorage.getItem(SHELF) ?? "[]");
const keep = (presses) => localStorage.setItem(SHELF, JSON.stringify(presses));

const live = new Live(`/stream?view=rating&counter=${counter}`, show);

function show({ armed }) {
  const open = armed && armed.ticket !== done && armed.until > live.now() ? armed : null;
  const thanking = performance.now() < thanksUntil && !open;
  if (open && open.ticket !== asked) {
    askedAt = performance.now();
    text(nodes.number, open.number);
  }
  asked = open?.ticket ?? null;
  nodes.ask.hidden = !open;
  nodes.for.hidden = !open;
  nodes.thanks.hidden = !thanking;
  nodes.idle.hidden = Boolean(open) || thanking;
  if (!open && !thanking && language !== home) speak(home);
}

function press(level) {
  if (!asked || performance.now() - askedAt < GUARD_MS) return;
  keep([...kept(), { key: newId(), ticket: asked, level }]); // first: then the thank-you is true
  done = asked;
  localStorage.setItem(`rated:${counter}`, done);
  thanksUntil = performance.now() + THANKS_MS;
  show(live.state);
  setTimeout(() => show(live.state), THANKS_MS + 20);
  send();
}

async function send() {
  if (sending) return;
  sending = true;
  try {
    for (let press = kept()[0]; press; press = kept()[0]) {
      try {
        await post(`/api/counters/${counter}/rating`, { ticket: press.ticket, level: press.level }, { key: press.key });
      } catch (error) {
        if (!error.status || error.status >= 500) return; // it stays, and goes when the center can store it
        console.warn(`rating ${press.key} was refused by the center: ${error.code}`);
      }
      keep(kept().filter((each) => each.key !== press.key));
    }
  } finally {
    sending = false;
  }
}

function speak(to) {
  language = to;
  document.documentElement.lang = to;
  for (const node of document.querySelectorAll("[data-say]")) text(node, say(node.dataset.say));
  for (const level of live.state.scale) {
    const face = nodes.ask.querySelector(`[data-level="${level.level}"]`);
    text(face.querySelector("b"), level[to]);
    text(face.querySelector("i"), level[other()]);
    face.querySelector("i").lang = other();
  }
  text(nodes.language, say("other_language"));
  nodes.language.lang = other();
}

for (const face of nodes.ask.querySelectorAll("[data-level]")) tap(face, () => press(Number(face.dataset.level)));
tap(nodes.language, () => speak(other()));
document.addEventListener("link", (event) => event.detail && send());
live.start();
everySecond(() => show(live.state));
setInterval(send, 5000);
send();
