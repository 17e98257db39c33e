// One camera: what it sees, still or live, and the zones that are drawn over it.
import { boot, say, text, newId, everySecond, Live, Refused, post } from "./live.js";
import { remark, figures } from "./seen.js";
import { Drawing, fault } from "./zones.js";
import { Heed } from "./heed.js";

const ASK_AFTER_MS = 9.5 * 60_000; // the center ends a look after ten minutes
const HIDDEN_MS = 30_000;
const MOST = 16;
const NAME = /^[a-z][a-z0-9_]{0,31}$/;
const STARTS = {
  citizen: [[0.05, 0.25], [0.48, 0.25], [0.48, 0.95], [0.05, 0.95]],
  officer: [[0.55, 0.2], [0.95, 0.2], [0.95, 0.75], [0.55, 0.75]],
  zone: [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]],
  mask: [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]],
};
const LACKS = { citizen: "zone_lack_citizen", officer: "zone_lack_officer" }; // what is said where one is missing

const station = boot.counter;
const path = `/api/cameras/${encodeURIComponent(station)}`;
const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const note = document.getElementById("note");
const live = new Live("/stream?view=cameras", paint);

// --- what the camera sees ---

const clock = new Intl.DateTimeFormat("vi-VN", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: boot.zone });

let watching = false;
let asking = 0;
let hiding = 0;

function paint(state) {
  const item = state[station];
  if (!item) return location.reload(); // it was taken off the list
  nodes.mark.dataset.level = item.level;
  text(nodes.status, say(`status_${item.level}`));
  text(nodes.remark, remark(item));
  nodes.remark.hidden = !remark(item);
  text(nodes.figures, figures(item));
  if (watching) tell({ waiting: "look_asking", none: "look_asking", coming: "look_is_live", silent: "look_silent" }[item.coming]);
}

function tell(key, values) {
  nodes.state.hidden = !key;
  nodes.state.toggleAttribute("data-live", key === "look_is_live");
  text(nodes.state, key ? say(key, values) : "");
}

function show(source) {
  nodes.picture.src = source;
  nodes.picture.hidden = false;
  nodes.idle.hidden = true;
}

function begin() {
  clearTimeout(asking);
  watching = true;
  nodes.ask.hidden = true;
  text(nodes.live, say("look_stop"));
  tell("look_asking");
  show(`${path}/live?${newId()}`);
  asking = setTimeout(() => {
    end();
    nodes.ask.hidden = false;
    nodes["go-on"].focus();
  }, ASK_AFTER_MS);
}

// The last picture stays, to draw on; the connection does not.
function end() {
  clearTimeout(asking);
  watching = false;
  text(nodes.live, say("look_live"));
  const picture = nodes.picture;
  if (!picture.naturalWidth) return clear();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  canvas.getContext("2d").drawImage(picture, 0, 0);
  show(canvas.toDataURL("image/jpeg", 0.9));
  tell("look_taken", { time: clock.format(live.now()) });
}

function clear() {
  nodes.picture.removeAttribute("src");
  nodes.picture.hidden = true;
  nodes.idle.hidden = false;
  tell(null);
}

async function still() {
  if (watching) return end(); // what is seen now is the newest picture
  nodes.still.disabled = true;
  tell("look_asking");
  try {
    const answer = await fetch(`${path}/still`, { headers: { "Accept-Language": boot.lang } });
    if (!answer.ok) throw new Refused(answer.status, "", (await answer.json()).message);
    const taken = live.now() - Number(answer.headers.get("picture-age-ms"));
    show(await asAddress(await answer.blob()));
    tell("look_taken", { time: clock.format(taken) });
  } catch (error) {
    clear();
    text(nodes.idle, error instanceof Refused ? error.message : say("unreachable"));
  } finally {
    nodes.still.disabled = false;
  }
}

const asAddress = (blob) =>
  new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });

nodes.live.addEventListener("click", () => (watching ? end() : begin()));
nodes["go-on"].addEventListener("click", begin);
nodes.still.addEventListener("click", still);
nodes.picture.addEventListener("load", () => {
  const ratio = nodes.picture.naturalWidth / nodes.picture.naturalHeight;
  nodes.stage.style.aspectRatio = ratio;
  nodes.stage.style.setProperty("--ratio", ratio);
  if (drawing.height !== 1000 / ratio) {
    drawing.height = 1000 / ratio;
    drawing.paint();
  }
});
nodes.picture.addEventListener("error", () => {
  if (!watching) return;
  clearTimeout(asking);
  watching = false;
  text(nodes.live, say("look_live"));
  clear();
  text(nodes.idle, say("look_failed"));
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden && watching) hiding = setTimeout(end, HIDDEN_MS); // nobody looks
});
addEventListener("pagehide", () => nodes.picture.removeAttribute("src"));

// --- zones and masks ---

let saved = null; // as the center has them: {revision, zones, masks, kinds, hours}
let before = ""; // the drawing as it was saved
let wrong = -1;

// What nobody has named is called by its kind and number: a mask always.
function title(zone) {
  if (zone.kind === "zone" && ["citizen", "officer"].includes(zone.name)) return say(`zone_${zone.name}`);
  const [, number] = /^(?:zone|mask)_(\d+)$/.exec(zone.name) ?? [];
  return number ? `${say(`zone_${zone.kind}`)} ${number}` : zone.name;
}
const drawing = new Drawing(nodes.drawing, { say, title, changed: paintList, refused: (key) => complain(say(key)) });

const drawn = (kind) => drawing.zones.filter((zone) => zone.kind === kind).map(({ name, points }) => ({ name, points }));
const asText = () => JSON.stringify([drawn("zone"), drawn("mask"), heed.settings()]);
const heed = new Heed(nodes.heed, paintList);

function take(settings) {
  saved = settings;
  const of = (kind, list) => (list ?? []).map(({ name, points }) => ({ kind, name, points: points.map((point) => [...point]) }));
  drawing.zones = [...of("zone", settings.zones), ...of("mask", settings.masks)];
  heed.take(settings);
  before = asText();
  wrong = -1;
  drawing.choose(drawing.zones.length ? 0 : -1);
}

function paintList() {
  const mould = document.getElementById("row-zone");
  while (nodes.list.children.length > drawing.zones.length) nodes.list.lastElementChild.remove();
  drawing.zones.forEach((zone, index) => {
    const row = nodes.list.children[index] ?? nodes.list.appendChild(mould.content.firstElementChild.cloneNode(true));
    const [pick, input, remove] = row.children;
    const own = zone.kind === "mask" || !["citizen", "officer"].includes(zone.name);
    row.dataset.kind = zone.kind;
    row.dataset.name = zone.name;
    row.classList.toggle("named", own);
    row.toggleAttribute("data-wrong", index === wrong);
    text(pick.lastElementChild, own && title(zone) === zone.name ? say(`zone_${zone.kind}`) : title(zone));
    pick.setAttribute("aria-pressed", String(index === drawing.chosen));
    pick.onclick = () => {
      drawing.choose(index);
      drawing.focus();
    };
    input.hidden = !own;
    if (input.value !== zone.name) input.value = zone.name;
    if (index === wrong) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    input.onfocus = () => drawing.chosen !== index && drawing.choose(index);
    input.oninput = () => {
      zone.name = input.value.trim();
      drawing.paint();
      paintList();
    };
    remove.setAttribute("aria-label", `${say("zone_remove")}: ${title(zone)}`);
    remove.onclick = () => {
      drawing.zones.splice(index, 1);
      wrong = -1;
      drawing.choose(Math.min(index, drawing.zones.length - 1));
      (nodes.list.children[drawing.chosen]?.firstElementChild ?? document.querySelector("[data-add]")).focus();
    };
  });
  const names = drawn("zone").map((zone) => zone.name);
  const lacks = Object.keys(LACKS).filter((name) => names.length && !names.includes(name));
  nodes.own.hidden = saved === null || names.length > 0;
  nodes.lack.hidden = !lacks.length;
  text(nodes.lack, lacks.map((name) => say(LACKS[name])).join(" "));
  const changed = saved !== null && asText() !== before;
  for (const button of [nodes.save, nodes.undo]) disable(button, !changed);
  text(nodes.changed, changed ? say("zone_changed") : "");
  if (changed) nodes.say.replaceChildren();
  for (const button of document.querySelectorAll("[data-add]")) {
    disable(button, saved === null || drawing.zones.some((zone) => zone.kind === "zone" && zone.name === button.dataset.add));
  }
}

function disable(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

const usable = (event) => event.currentTarget.getAttribute("aria-disabled") !== "true";

function add(what) {
  const kind = what === "mask" ? "mask" : "zone";
  if (drawing.zones.filter((zone) => zone.kind === kind).length >= MOST) return complain(say("zone_full"));
  let name = what;
  const taken = new Set(drawing.zones.filter((zone) => zone.kind === kind).map((zone) => zone.name));
  for (let n = 1; kind === "mask" || what === "zone" ? taken.has((name = `${what}_${n}`)) : false; n++);
  const index = kind === "zone" ? drawing.zones.findLastIndex((zone) => zone.kind === "zone") + 1 : drawing.zones.length;
  drawing.zones.splice(index, 0, { kind, name, points: STARTS[what] });
  wrong = -1;
  drawing.choose(index);
  drawing.focus();
}

/** The first zone whose name cannot be, or -1. */
function misnamed() {
  return drawing.zones.findIndex((zone, index) =>
    !NAME.test(zone.name) || drawing.zones.findIndex((other) => other.kind === zone.kind && other.name === zone.name) !== index);
}

async function save() {
  wrong = misnamed();
  if (wrong >= 0) return accuse(say("zone_names", { name: drawing.zones[wrong].name || "–" }));
  wrong = drawing.zones.findIndex((zone) => fault(zone.points));
  if (wrong >= 0) return accuse(say(fault(drawing.zones[wrong].points), { name: title(drawing.zones[wrong]) }));
  const late = heed.fault();
  if (late) return complain(say(late));
  try {
    const { revision } = saved;
    const of = (kind) => (drawn(kind).length ? drawn(kind) : null); // where nothing is drawn the file's own stay
    take(await ask("PUT", { revision, ...heed.settings(), zones: of("zone"), masks: of("mask") }));
    complain(say("zone_saved"), true);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    wrong = drawing.zones.findIndex((zone) => error.message.startsWith(`${zone.kind}s.${zone.name}:`));
    if (error.status === 409 || error.status === 412) complain(say("zone_stale"));
    else accuse(error.message);
  }
}

function accuse(words) {
  if (wrong >= 0) drawing.choose(wrong);
  complain(words);
}

async function ask(method, body) {
  let answer;
  try {
    const headers = { "Accept-Language": boot.lang };
    if (body) headers["Content-Type"] = "application/json";
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(8000) });
  } catch {
    throw new Refused(0, "unreachable", say("unreachable"));
  }
  const content = await answer.json();
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Refused(answer.status, content.code, content.message);
  return content;
}

function complain(words, good = false, where = nodes.say) {
  const line = document.createElement("p");
  line.textContent = words;
  line.classList.toggle("good", good);
  where.replaceChildren(line);
}

async function load() {
  try {
    take(await ask("GET"));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    complain(error.message);
    if (!error.status || error.status >= 500) setTimeout(load, 3000);
  }
}

for (const button of document.querySelectorAll("[data-add]")) button.addEventListener("click", (event) => usable(event) && add(button.dataset.add));
nodes.save.addEventListener("click", (event) => usable(event) && save());
nodes.undo.addEventListener("click", (event) => usable(event) && load());
addEventListener("beforeunload", (event) => saved !== null && asText() !== before && event.preventDefault());

// --- keeping a recording ---

nodes.keep.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = nodes.keep.querySelector("button");
  button.disabled = true;
  try {
    await post(`${path}/keep`, { before_s: 30, after_s: 30, note: note.value.trim() });
    note.value = "";
    complain(say("keep_done"), true, nodes["keep-say"]);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    complain(error.message, false, nodes["keep-say"]);
  } finally {
    button.disabled = false;
  }
});

paintList();
live.start();
load();
everySecond(() => paint(live.state));
