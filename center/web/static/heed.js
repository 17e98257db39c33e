// What a camera shall report, and when the center is open: checkboxes and times.
import { say } from "./live.js";

const USUAL = [
  { days: [1, 2, 3, 4, 5], begin: "07:30", end: "11:30" },
  { days: [1, 2, 3, 4, 5], begin: "13:30", end: "17:00" },
];
const MOST = 21;

/** The kinds and hours of one camera's settings; null for what the station's own file says. */
export class Heed {
  #root;
  #changed;

  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
    root.addEventListener("input", (event) => {
      if (event.target.name === "own-hours" && !event.target.checked && !this.#rows.length) USUAL.forEach((each) => this.#add(each));
      this.#paint();
    });
    root.querySelector("[data-do=add]").addEventListener("click", () => {
      this.#add(USUAL[0]).querySelector("input").focus();
      this.#paint();
    });
  }

  take({ kinds, hours }) {
    this.#own("kinds").checked = kinds === null;
    for (const box of this.#kinds) box.checked = kinds === null || kinds.includes(box.value);
    this.#own("hours").checked = hours === null;
    for (const row of this.#rows) row.remove();
    for (const each of hours ?? []) this.#add(each);
    this.#paint();
  }

  settings() {
    return {
      kinds: this.#own("kinds").checked ? null : this.#kinds.filter((box) => box.checked).map((box) => box.value),
      hours: this.#own("hours").checked ? null : this.#rows.map(read),
    };
  }

  /** Why it cannot be saved, as the key of a sentence; the keyboard is put where it is wrong. */
  fault() {
    if (this.#own("hours").checked) return null;
    for (const row of this.#rows) {
      const { days, begin, end } = read(row);
      const wrong = !days.length ? "hours_days" : !(begin && begin < end) ? "hours_end" : null;
      if (!wrong) continue;
      row.querySelector(wrong === "hours_days" ? "[type=checkbox]" : "[name=end]").focus();
      return wrong;
    }
    return null;
  }

  get #rows() {
    return [...this.#root.querySelectorAll("fieldset[data-row]")];
  }

  get #kinds() {
    return [...this.#root.querySelectorAll("[name=kind]")];
  }

  #own(what) {
    return this.#root.querySelector(`[name=own-${what}]`);
  }

  #add({ days, begin, end }) {
    const row = document.getElementById("row-hours").content.firstElementChild.cloneNode(true);
    for (const box of row.querySelectorAll("[type=checkbox]")) box.checked = days.includes(Number(box.value));
    row.querySelector("[name=begin]").value = begin;
    row.querySelector("[name=end]").value = end;
    row.querySelector("button").addEventListener("click", () => {
      row.remove();
      this.#root.querySelector("[data-do=add]").focus();
      this.#paint();
    });
    this.#root.querySelector("[data-id=hours]").append(row);
    return row;
  }

  #paint() {
    for (const box of this.#kinds) box.disabled = this.#own("kinds").checked;
    this.#root.querySelector("[data-of=nothing]").hidden = this.#kinds.some((box) => box.checked);
    this.#root.querySelector("[data-of=hours]").hidden = this.#own("hours").checked;
    this.#root.querySelector("[data-do=add]").disabled = this.#rows.length >= MOST;
    this.#rows.forEach((row, index) => (row.querySelector("legend").textContent = say("hours_row", { n: index + 1 })));
    this.#changed();
  }
}

const read = (row) => ({
  days: [...row.querySelectorAll("[type=checkbox]:checked")].map((box) => Number(box.value)),
  begin: row.querySelector("[name=begin]").value,
  end: row.querySelector("[name=end]").value,
});
