// All cameras: problems first.
import { boot, say, text, rows, everySecond, Live } from "./live.js";
import { ORDER, PROBLEMS, ago, place, remark, figures } from "./seen.js";

const nodes = Object.fromEntries([...document.querySelectorAll("[data-id]")].map((node) => [node.dataset.id, node]));
const live = new Live("/stream?view=cameras", paint);

function paint({ reached, ...cameras }) {
  const items = Object.values(cameras).sort((one, two) =>
    ORDER.indexOf(one.level) - ORDER.indexOf(two.level) || one.station.localeCompare(two.station));
  const problems = items.filter((item) => PROBLEMS.has(item.level)).length;
  nodes.sum.dataset.level = problems || !reached ? "warn" : items.length ? "ok" : "none";
  text(nodes.sum, !reached ? say("devices_cut_off") : !items.length ? say("cameras_none") : problems ? say("cameras_problems", { n: problems }) : say("cameras_all_well"));
  rows(nodes.rows, items, (item) => item.station, (row, item) => {
    const cell = (name) => row.querySelector(`[data-c="${name}"]`);
    row.firstElementChild.href = `/cameras/${encodeURIComponent(item.station)}`;
    row.querySelector(".mark").dataset.level = item.level;
    text(cell("place"), say("camera_at", { place: place(item) }));
    text(cell("status"), say(`status_${item.level}`));
    text(cell("remark"), remark(item));
    cell("remark").hidden = !remark(item);
    text(cell("figures"), figures(item));
    text(cell("seen"), ago(item.seen_at, live.now()));
    cell("watched").hidden = !item.watched;
  });
}

live.start();
everySecond(() => paint(live.state));
