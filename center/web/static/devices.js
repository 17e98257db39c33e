// The devices: problems first.
import { say, text, rows, everySecond, Live } from "./live.js";

const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const ORDER = ["lost", "warn", "unknown", "offline", "ok"];
const PROBLEMS = new Set(["lost", "warn"]);

const live = new Live("/stream?view=devices", paint);

// Free space is read in gigabytes, unless little is left.
const disk = (value) => (value !== null && value >= 10000 ? unit(value / 1000, "GB") : unit(value, "MB"));
const unit = (value, name) => (value === null ? "–" : `${Math.round(value)}${name && ` ${name}`}`);

// A word that is not in our list is shown as it came: a new device may bring it.
function remark(item) {
  const [word, what = ""] = (item.trouble ?? "").split(":");
  const trouble = say(`trouble_${word}`, { what });
  return [...item.why.map((why) => say(`why_${why}`)), trouble.startsWith("trouble_") ? item.trouble : trouble].filter(Boolean).join("; ");
}

function ago(at, now) {
  if (at === null) return "–";
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  if (seconds < 10) return say("seen_now");
  if (seconds < 60) return say("seconds_ago", { n: seconds - (seconds % 5) });
  if (seconds < 3600) return say("minutes_ago", { n: Math.floor(seconds / 60) });
  return say("hours_ago", { n: Math.floor(seconds / 3600) });
}

function paint({ reached, ...devices }) {
  const items = Object.values(devices).sort((one, two) =>
    ORDER.indexOf(one.level) - ORDER.indexOf(two.level) || one.name.localeCompare(two.name));
  const problems = items.filter((item) => PROBLEMS.has(item.level)).length;
  nodes.frame.hidden = !items.length;
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
    text(cell("remark"), remark(item));
  });
}

live.start();
everySecond(() => paint(live.state));
