// The devices: problems first.
import { boot, say, text, rows, everySecond, Live, post } from "./live.js";

const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const ORDER = ["lost", "revoked", "warn", "unknown", "offline", "ok"];
const PROBLEMS = new Set(["lost", "revoked", "warn"]);

const CELL_HEIGHT = { o: 6, w: 11, l: 16 }; // the worse, the higher: never by colour alone
const SURE_MS = 5000;

const live = new Live("/stream?view=devices", paint);

// Free space is read in gigabytes, unless little is left.
const disk = (value) => (value !== null && value >= 10000 ? unit(value / 1000, "GB") : unit(value, "MB"));
const unit = (value, name) => (value === null ? "–" : `${Math.round(value)}${name && ` ${name}`}`);

// A word that is not in our list is shown as it came: a new device may bring it.
function inWords(trouble) {
  const [word, what = ""] = trouble.split(":");
  const words = say(`trouble_${word}`, { what });
  return words.startsWith("trouble_") ? trouble : words;
}

const remark = (item) => [...item.why.map((why) => say(`why_${why}`)), inWords(item.trouble ?? "")].filter(Boolean).join("; ");
const about = (alert) => (alert.kind === "trouble" ? inWords(alert.detail) : say(`why_${alert.kind}`) + (alert.detail && ` (${alert.detail})`));

const wall = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit", timeZone: boot.zone });
const moment = (at) => wall.format(at).replace(",", "");

// The bars of one mark, as center/web/devices.py draws them.
function drawn(strip, mark) {
  const bars = strip.matchAll(new RegExp(`${mark}+`, "g"));
  return [...bars].map((run) => `M${run.index} 16V${16 - CELL_HEIGHT[mark]}H${run.index + run[0].length}V16z`).join("");
}

function stripWords(strip) {
  const hours = (mark) => {
    const cells = strip.split(mark).length - 1;
    return `${Math.floor(cells / 4)}:${String((cells % 4) * 15).padStart(2, "0")}`;
  };
  return say("strip_words", { well: hours("o"), warn: hours("w"), lost: hours("l"), none: hours("-") });
}

async function send(path) {
  try {
    await post(path, {});
    nodes.fault.hidden = true;
  } catch (refused) {
    text(nodes.fault, refused.message);
    nodes.fault.hidden = false;
  }
}

// A device leaves the list with the second press: the first one only asks.
function forget(button, item) {
  if (button.dataset.sure) {
    button.disabled = true;
    send(`/api/devices/${item.station}/${item.device}/forget`).finally(() => (button.disabled = false));
    return;
  }
  button.dataset.sure = "yes";
  text(button, say("forget_sure"));
  setTimeout(() => {
    delete button.dataset.sure;
    text(button, say("forget_ask"));
  }, SURE_MS);
}

function paintAlerts(alerts, names) {
  nodes.alerts.hidden = !alerts.length;
  rows(nodes["alert-rows"], alerts, (one) => one.id, (row, one) => {
    const cell = (name) => row.querySelector(`[data-c="${name}"]`);
    const open = one.ended_at === null;
    row.dataset.open = open ? "yes" : "no";
    text(cell("what"), about(one));
    text(cell("whose"), one.device ? `${one.station}/${one.device}` : say("alert_center"));
    text(cell("when"), open ? say("alert_since", { time: moment(one.begun_at) }) : say("alert_over", { time: moment(one.begun_at), end: moment(one.ended_at) }));
    text(cell("seen"), one.acknowledged_at === null ? "" : say("alert_seen", { who: names[one.acknowledged_by], time: moment(one.acknowledged_at) }));
    const button = cell("see");
    if (!button) return;
    button.hidden = !open || one.acknowledged_at !== null;
    button.onclick = () => send(`/api/alerts/${one.id}/acknowledge`);
  });
}

function ago(at, now) {
  if (at === null) return "–";
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  if (seconds < 10) return say("seen_now");
  if (seconds < 60) return say("seconds_ago", { n: seconds - (seconds % 5) });
  if (seconds < 3600) return say("minutes_ago", { n: Math.floor(seconds / 60) });
  return say("hours_ago", { n: Math.floor(seconds / 3600) });
}

function paint({ reached, alerts, names, ...devices }) {
  paintAlerts(alerts, names);
  const items = Object.values(devices).sort((one, two) =>
    ORDER.indexOf(one.level) - ORDER.indexOf(two.level) || one.name.localeCompare(two.name));
  const problems = items.filter((item) => PROBLEMS.has(item.level)).length;
  nodes.frame.hidden = nodes.legend.hidden = !items.length;
  nodes.sum.dataset.level = problems || !reached ? "warn" : items.length ? "ok" : "none";
  text(nodes.sum, !reached ? say("devices_cut_off") : !items.length ? say("devices_none") : problems ? say("devices_problems", { n: problems }) : say("devices_all_well"));
  rows(nodes.rows, items, (item) => item.name, (row, item) => {
    const cell = (name) => row.querySelector(`[data-c="${name}"]`);
    row.querySelector(".mark").dataset.level = item.level;
    text(cell("status").querySelector("b"), say(`status_${item.level}`));
    text(cell("kind"), item.kind_known ? say(`kind_${item.kind}`) : item.kind);
    text(cell("name"), item.name);
    text(cell("seen"), ago(item.seen_at, live.now()));
    text(cell("version"), item.version ?? "–");
    text(cell("temperature"), unit(item.temperature_c, "°C"));
    text(cell("disk"), disk(item.disk_free_mb));
    text(cell("memory"), unit(item.memory_mb, "MB"));
    text(cell("outbox"), unit(item.outbox_depth, ""));
    text(cell("words"), remark(item));
    const strip = cell("strip").firstElementChild;
    if (strip.dataset.of !== item.strip) {
      strip.dataset.of = item.strip;
      strip.setAttribute("aria-label", stripWords(item.strip));
      for (const path of strip.children) path.setAttribute("d", drawn(item.strip, path.dataset.l));
    }
    const button = cell("forget");
    if (!button) return;
    button.hidden = ["ok", "warn"].includes(item.level) && !item.why.includes("silent");
    button.onclick = () => forget(button, item);
  });
}

live.start();
everySecond(() => paint(live.state));
