// The ticket kiosk: one touch is one ticket, whatever the finger and the network do.
import { boot, text, clock, everySecond, Live, post, tap, newId } from "./live.js";

const IDLE_MS = 60000;
const WARN_MS = 15000;
const LOCK_MS = 1200; // a double tap must not press what appears under the finger
const GIVE_UP_MS = 60000;
const SLOW_MS = 2500;

const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const home = boot.lang;
let language = home;
let priority = false;
let taking = false;
let lockedUntil = 0;
let quietSince = performance.now();
let shown = null; // the ticket on the screen

const say = (key, values = {}) =>
  (boot.both[language][key] ?? key).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);

const live = new Live("/stream?view=kiosk", paint);

// --- what is shown ---

function paint(state) {
  for (const service of state.services) {
    const tile = nodes.tiles.querySelector(`[data-service="${CSS.escape(service.id)}"]`);
    if (!tile) return location.reload(); // the center offers another set of services now
    text(tile.querySelector("b"), service[language]);
    text(tile.querySelector("i"), service[other()]);
    tile.querySelector("i").lang = other();
    const busy = tile.querySelector("em");
    const before = service.before[priority ? "priority" : "normal"];
    text(busy, busyWords(before, service.counters.length > 0));
    busy.dataset.busy = before.at_once ? "no" : "yes";
  }
}

function busyWords({ people, exact, at_once }, manned) {
  const said = manned ? [] : [say("kiosk_no_counter")];
  if (people) said.push(say(exact ? "kiosk_before" : "kiosk_before_about", { n: people }));
  else if (manned) said.push(say(at_once ? "kiosk_at_once" : "kiosk_before_none"));
  return said.join(", ");
}

function aheadWords(people, exact) {
  if (!people) return say(exact ? "kiosk_ahead_none" : "kiosk_no_counter");
  if (people === 1) return say(exact ? "kiosk_ahead_one" : "kiosk_ahead_one_about");
  return say(exact ? "kiosk_ahead" : "kiosk_ahead_about", { n: people });
}

const other = () => (language === "vi" ? "en" : "vi");

function repaint() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-say]")) text(node, say(node.dataset.say));
  text(nodes.ask, say(priority ? "kiosk_priority_on" : "kiosk_ask"));
  text(nodes["priority-name"], say(priority ? "kiosk_priority_off" : "kiosk_priority"));
  nodes["priority-who"].hidden = nodes.how.hidden = priority;
  nodes.priority.setAttribute("aria-pressed", String(priority));
  nodes.screen.dataset.priority = priority ? "yes" : "no";
  text(nodes.language, say("other_language"));
  nodes.language.lang = other();
  nodes.groups.replaceChildren(...say("kiosk_priority_list").split("|").map((group) => {
    const item = document.createElement("li");
    item.textContent = group;
    return item;
  }));
  paint(live.state);
  if (shown) paintTicket(shown);
}

function paintTicket({ ticket, ahead, ahead_exact }) {
  const service = live.state.services.find((item) => item.id === ticket.service);
  text(nodes.number, ticket.number);
  nodes.number.dataset.long = ticket.number.length;
  nodes.tag.hidden = ticket.priority !== "priority";
  text(nodes.service, service[language]);
  text(nodes.ahead, aheadWords(ahead, ahead_exact));
  nodes.counters.hidden = !service.counters.length;
  text(nodes.counters, say("kiosk_counters", { list: service.counters.join(", ") }));
  text(nodes.taken, say("kiosk_today", { time: clock(ticket.issued_at) }));
}

/** Show one sheet instead of the tiles, or none; they are out of reach of finger and keyboard meanwhile. */
function sheet(name, focus) {
  for (const each of document.querySelectorAll(".sheet")) each.hidden = each !== nodes[name];
  nodes.screen.hidden = Boolean(name);
  lockedUntil = performance.now() + (name === "sheet-ticket" ? LOCK_MS : 400);
  if (focus) nodes[focus].focus({ focusVisible: false });
}

function goHome() {
  shown = null;
  priority = false;
  language = home;
  nodes.idle.hidden = true;
  sheet(null);
  repaint();
}

// --- what is done ---

const open = (act) => () => {
  if (performance.now() >= lockedUntil) act();
};

async function take(service) {
  if (taking) return;
  taking = true;
  const key = newId(); // one touch, one key: however often it is sent
  text(nodes.taking, say("kiosk_taking"));
  nodes["taking-ok"].hidden = true;
  sheet("sheet-taking");
  const slow = setTimeout(() => text(nodes.taking, say("kiosk_still")), SLOW_MS);
  try {
    shown = await post("/api/tickets", { service, priority: priority ? "priority" : "normal" }, {
      key, forMs: GIVE_UP_MS, headers: { "Accept-Language": language },
    });
    paintTicket(shown);
    sheet("sheet-ticket", "done");
  } catch (error) {
    text(nodes.taking, error.status ? error.message : say("kiosk_failed"));
    nodes["taking-ok"].hidden = false;
  } finally {
    clearTimeout(slow);
    taking = false;
    quietSince = performance.now();
  }
}

for (const tile of nodes.tiles.children) tap(tile, open(() => live.online && take(tile.dataset.service)));
tap(nodes.priority, open(() => {
  if (priority) {
    priority = false;
    repaint();
  } else sheet("sheet-priority", "priority-yes");
}));
tap(nodes["priority-yes"], open(() => {
  priority = true;
  sheet(null);
  repaint();
}));
tap(nodes["priority-no"], open(() => sheet(null)));
tap(nodes.help, open(() => sheet("sheet-help", "help-ok")));
tap(nodes["help-ok"], open(() => sheet(null)));
tap(nodes["taking-ok"], open(goHome));
tap(nodes.done, open(goHome));
tap(nodes.stay, () => {});
tap(nodes.language, open(() => {
  language = other();
  repaint();
}));

document.addEventListener("link", (event) => {
  nodes.away.hidden = event.detail;
  for (const tile of nodes.tiles.children) tile.toggleAttribute("aria-disabled", !event.detail);
});

// --- nobody there any more ---

for (const sign of ["pointerdown", "keydown"]) {
  addEventListener(sign, () => (quietSince = performance.now()), { capture: true });
}
addEventListener("contextmenu", (event) => event.preventDefault());

setInterval(() => {
  const atHome = !shown && !priority && language === home && [...document.querySelectorAll(".sheet")].every((each) => each.hidden);
  if (atHome || taking) quietSince = performance.now();
  const left = IDLE_MS - (performance.now() - quietSince);
  if (left <= 0) return goHome();
  nodes.idle.hidden = left > WARN_MS;
  text(nodes["idle-text"], say("kiosk_idle", { n: Math.ceil(left / 1000) }));
}, 250);

live.start();
everySecond(() => text(nodes.clock, clock(live.now())));
