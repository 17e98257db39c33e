// How a camera is, in words: as center/web/devices.py says it.
import { say } from "./live.js";

export const ORDER = ["lost", "revoked", "warn", "unknown", "offline", "ok"];
export const PROBLEMS = new Set(["lost", "revoked", "warn"]);

export const place = (item) => (item.label === null ? item.station : `${say("counter")} ${item.label}`);
export const figures = (item) => (item.clips === null ? "" : say("camera_figures", { clips: item.clips, held: item.held ?? "–" }));

// A word that is not in our list is shown as it came: a new camera may bring it.
function inWords(trouble) {
  const [word, what = ""] = trouble.split(":");
  const words = say(`trouble_${word}`, { what });
  return words.startsWith("trouble_") ? trouble : words;
}

export const remark = (item) => [...item.why.map((why) => say(`why_${why}`)), inWords(item.trouble ?? "")].filter(Boolean).join("; ");

export function ago(at, now) {
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  if (seconds < 10) return say("seen_now");
  if (seconds < 60) return say("seconds_ago", { n: seconds - (seconds % 5) });
  if (seconds < 3600) return say("minutes_ago", { n: Math.floor(seconds / 60) });
  return say("hours_ago", { n: Math.floor(seconds / 3600) });
}
