// Zones drawn over a picture: polygons in fractions of its width and height, moved by mouse, finger and keyboard.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const TOUCH_PX = 22; // half of what a finger needs
const STEP = 0.01;
const LEAP = 0.05;
const LEAST = 3;
const MOST = 16;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value) => Math.min(1, Math.max(0, Math.round(value * 1000) / 1000));

// As contract/cameras.py has it.
const SMALLEST = 0.0005;
const turn = (a, b, c) => Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
const cross = ([a, b], [c, d]) => turn(a, b, c) * turn(a, b, d) < 0 && turn(c, d, a) * turn(c, d, b) < 0;

/** Why a polygon is no part of a picture, as the key of a sentence; null where it is one. */
export function fault(points) {
  const sides = points.map((point, index) => [point, points[(index + 1) % points.length]]);
  if (sides.some((one, index) => sides.slice(index + 1).some((other) => cross(one, other)))) return "zone_crossed";
  const area = Math.abs(sides.reduce((sum, [[x, y], [x2, y2]]) => sum + x * y2 - x2 * y, 0)) / 2;
  return area < SMALLEST ? "zone_tiny" : null;
}

function contains(points, [x, y]) {
  return points.reduce((inside, [x1, y1], index) => {
    const [x2, y2] = points[(index + 1) % points.length];
    return y1 <= y !== y2 <= y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1) ? !inside : inside;
  }, false);
}

/** `say` gives words; `title` names a zone; `changed` is called after each change, `refused` with a word where none can be. */
export class Drawing {
  #svg;
  #how;
  #held = null; // what a pointer holds: {zone, point} or {zone, from, start}
  zones = []; // {kind, name, points}
  chosen = -1;
  height = 750;

  constructor(svg, how) {
    this.#svg = svg;
    this.#how = how;
    svg.addEventListener("pointerdown", (event) => this.#take(event));
    svg.addEventListener("pointermove", (event) => this.#move(event));
    // A finger that holds something does not scroll; any other one does.
    svg.addEventListener("touchstart", (event) => this.#hit(event.touches[0]) && event.preventDefault(), { passive: false });
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => this.#drop());
    svg.addEventListener("keydown", (event) => this.#key(event));
    svg.addEventListener("click", (event) => event.detail === 0 && event.target.dataset.after && this.#halve(Number(event.target.dataset.after)));
    new ResizeObserver(() => this.paint()).observe(svg);
  }

  choose(index) {
    this.chosen = index;
    this.paint();
    this.#how.changed();
  }

  /** Put the keyboard on a corner. */
  focus(point = 0) {
    this.#svg.querySelector(`[data-at="${this.chosen}:${point}"]`)?.focus();
  }

  paint() {
    const focused = document.activeElement?.dataset?.at;
    const scale = WIDTH / (this.#svg.clientWidth || WIDTH);
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${this.height}`);
    const order = this.zones.map((_, index) => index).sort((one, two) => (one === this.chosen) - (two === this.chosen));
    const parts = order.flatMap((index) => this.#shape(this.zones[index], index, scale));
    const zone = this.zones[this.chosen];
    if (zone) {
      const between = this.#between();
      zone.points.forEach((point, index) => {
        parts.push(...this.#dot(zone, point, index, scale));
        if (between[index]) parts.push(...this.#plus(zone, between[index], index, scale));
      });
    }
    this.#svg.replaceChildren(...parts);
    if (focused) this.#svg.querySelector(`[data-at="${focused}"]`)?.focus();
  }

  #at([x, y]) {
    return [x * WIDTH, y * this.height];
  }

  #shape(zone, index, scale) {
    const points = zone.points.map((point) => this.#at(point).join(",")).join(" ");
    const under = node("polygon", { class: "under", points });
    const shape = node("polygon", { class: index === this.chosen ? "shape on" : "shape", points, "data-name": zone.name, "data-kind": zone.kind });
    const top = zone.points.reduce((one, two) => (two[1] < one[1] ? two : one));
    const [x, y] = this.#at([zone.points.reduce((sum, point) => sum + point[0], 0) / zone.points.length, top[1]]);
    const tag = node("text", { class: "tag", x, y: y + 38 * scale, "font-size": 17 * scale, "text-anchor": "middle" });
    tag.textContent = this.#how.title(zone);
    return [under, shape, tag];
  }

  #dot(zone, point, index, scale) {
    const [cx, cy] = this.#at(point);
    const label = this.#how.say("zone_point", { n: index + 1, name: this.#how.title(zone), x: Math.round(point[0] * 100), y: Math.round(point[1] * 100) });
    const hit = node("circle", { class: "hit", cx, cy, r: TOUCH_PX * scale, tabindex: 0, role: "button", "aria-label": label, "aria-describedby": "zone-hint", "data-at": `${this.chosen}:${index}`, "data-point": index });
    return [hit, node("circle", { class: "dot", cx, cy, r: 9 * scale })];
  }

  #plus(zone, place, index, scale) {
    const [cx, cy] = this.#at(place);
    const label = this.#how.say("zone_between", { n: index + 1, name: this.#how.title(zone) });
    const arm = 5 * scale;
    return [
      node("circle", { class: "hit", cx, cy, r: TOUCH_PX * scale, tabindex: 0, role: "button", "aria-label": label, "data-at": `${this.chosen}:${index}+`, "data-after": index }),
      node("circle", { class: "more", cx, cy, r: 9 * scale }),
      node("path", { class: "plus", d: `M${cx - arm} ${cy}h${2 * arm}M${cx} ${cy - arm}v${2 * arm}` }),
    ];
  }

  #fraction(event) {
    const box = this.#svg.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** What is below a pointer: a corner, a place between two, or a zone. The nearest, and the chosen zone first. */
  #hit(event) {
    const box = this.#svg.getBoundingClientRect();
    const away = ([x, y]) => Math.hypot(event.clientX - box.left - x * box.width, event.clientY - box.top - y * box.height);
    const points = this.zones[this.chosen]?.points ?? [];
    const near = (what, places) => places.map((place, index) => ({ [what]: index, px: place ? away(place) : Infinity }));
    const found = [...near("point", points), ...near("after", this.#between())].sort((one, two) => one.px - two.px)[0];
    if (found?.px <= TOUCH_PX) return found;
    const inside = (index) => contains(this.zones[index].points, this.#fraction(event));
    if (points.length && inside(this.chosen)) return { zone: this.chosen };
    const zone = this.zones.findLastIndex((_, index) => inside(index));
    return zone < 0 ? null : { zone };
  }

  /** Where a corner may be added: between two that are far enough from each other. */
  #between() {
    const points = this.zones[this.chosen]?.points ?? [];
    if (points.length >= MOST) return [];
    const [width, height] = [this.#svg.clientWidth, this.#svg.clientHeight];
    return points.map(([x1, y1], index) => {
      const [x2, y2] = points[(index + 1) % points.length];
      return Math.hypot((x2 - x1) * width, (y2 - y1) * height) < 5 * TOUCH_PX ? null : [(x1 + x2) / 2, (y1 + y2) / 2];
    });
  }

  #take(event) {
    const found = event.isPrimary && event.button === 0 && this.#hit(event);
    if (!found) return;
    event.preventDefault();
    this.#svg.setPointerCapture(event.pointerId);
    if (found.point !== undefined) this.#held = { point: found.point };
    else if (found.after !== undefined) {
      this.#insert(found.after, this.#fraction(event).map(within));
      this.#held = { point: found.after + 1 };
    } else if (found.zone === this.chosen) this.#held = { from: this.#fraction(event), start: this.zones[found.zone].points };
    else return this.choose(found.zone);
    if (this.#held.point !== undefined) this.focus(this.#held.point);
  }

  #move(event) {
    if (!this.#held) {
      this.#svg.style.cursor = event.pointerType === "mouse" && this.#hit(event) ? "pointer" : "";
      return;
    }
    const [x, y] = this.#fraction(event);
    const zone = this.zones[this.chosen];
    if (this.#held.point !== undefined) this.#put(this.#held.point, [within(x), within(y)]);
    else {
      const { from, start } = this.#held;
      const room = (axis, by) => Math.min(1 - Math.max(...start.map((one) => one[axis])), Math.max(-Math.min(...start.map((one) => one[axis])), by));
      const [dx, dy] = [room(0, x - from[0]), room(1, y - from[1])];
      zone.points = start.map((one) => [within(one[0] + dx), within(one[1] + dy)]);
      this.#done();
    }
  }

  #drop() {
    this.#held = null;
  }

  #key(event) {
    const { point, after } = event.target.dataset;
    const zone = this.zones[this.chosen];
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (after !== undefined && (event.key === "Enter" || event.key === " ")) this.#halve(Number(after));
    else if (point === undefined) return;
    else if (KEYS[event.key]) {
      const step = event.shiftKey ? LEAP : STEP;
      const [dx, dy] = KEYS[event.key];
      const [x, y] = zone.points[Number(point)];
      this.#put(Number(point), [within(x + dx * step), within(y + dy * step)]);
    } else if (event.key === "Delete" || event.key === "Backspace") this.#remove(Number(point));
    else if (event.key === "+" || event.key === "Insert") this.#halve(Number(point));
    else return;
    event.preventDefault();
  }

  #halve(index) {
    const { points } = this.zones[this.chosen];
    const next = points[(index + 1) % points.length];
    if (this.#insert(index, [within((points[index][0] + next[0]) / 2), within((points[index][1] + next[1]) / 2)])) this.focus(index + 1);
  }

  #insert(index, point) {
    const zone = this.zones[this.chosen];
    if (zone.points.length >= MOST) return this.#how.refused("zone_many");
    zone.points = zone.points.toSpliced(index + 1, 0, point);
    this.#done();
    return true;
  }

  #remove(index) {
    const zone = this.zones[this.chosen];
    if (zone.points.length <= LEAST) return this.#how.refused("zone_few");
    zone.points = zone.points.toSpliced(index, 1);
    this.#done();
    this.focus(Math.min(index, zone.points.length - 1));
  }

  #put(index, point) {
    this.zones[this.chosen].points = this.zones[this.chosen].points.with(index, point);
    this.#done();
  }

  #done() {
    this.paint();
    this.#how.changed();
  }
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
