// What every page shares: the live stream, commands that are safe to repeat, and small helpers for the document.

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 800; // a page must be live again within a second of the center's return
const CONNECT_MS = 3000; // a host without power answers nothing at all
const SILENCE_MS = 35000; // two heartbeats missed

export const boot = JSON.parse(document.getElementById("boot").textContent);

/** The words of a key in the page's language, with its places filled. */
export function say(key, values = {}) {
  return (boot.words[key] ?? key).replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** A random identifier; crypto.randomUUID is missing on plain HTTP, which is what a center's network speaks. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keeps a page's state equal to the center's: snapshot, then changes by key; reconnects by itself. */
export class Live {
  #url;
  #paint;
  #source = null;
  #timer = 0;
  #retry = FIRST_RETRY_MS;
  #id = boot.id;
  #server = boot.server;
  state = boot.state;
  online = true;
  offset = boot.now - Date.now();

  /** `url` may be a function: it is asked at every connection. `paint(state, keys)` gets the names of what changed. */
  constructor(url, paint) {
    this.#url = typeof url === "function" ? url : () => url;
    this.#paint = paint;
  }

  /** Paint what the page came with and go live. A page calls this last, when all of it is there. */
  start() {
    this.#paint(this.state, new Set(Object.keys(this.state)));
    this.#connect();
    addEventListener("online", () => this.refresh());
    addEventListener("pagehide", () => this.#drop());
    addEventListener("pageshow", (event) => event.persisted && this.refresh());
  }

  /** The center's clock in milliseconds. */
  now() {
    return Date.now() + this.offset;
  }

  /** Ask for a new snapshot, as after a refusal. */
  refresh() {
    this.#retry = FIRST_RETRY_MS;
    this.#connect();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #connect() {
    this.#drop();
    const source = (this.#source = new EventSource(this.#url()));
    const lost = () => {
      if (source === this.#source) this.#lost();
    };
    this.#watch(CONNECT_MS, lost);
    source.onerror = lost;
    const on = (name, take) =>
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#watch(SILENCE_MS, lost);
        take(JSON.parse(event.data));
      });
    on("snapshot", (message) => this.#replace(message));
    on("delta", (message) => this.#change(message));
    on("beat", (message) => this.#beat(message));
  }

  #watch(milliseconds, lost) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(lost, milliseconds);
  }

  #lost() {
    this.#drop();
    this.#link(false);
    this.#timer = setTimeout(() => this.#connect(), this.#retry * (0.75 + Math.random() / 4));
    this.#retry = Math.min(this.#retry * 2, LAST_RETRY_MS);
    if (boot.me) stillIn(); // a stream that is refused looks like one that cannot be reached
  }

  #beat(message) {
    this.offset = message.now - Date.now();
  }

  #replace(message) {
    this.#beat(message);
    this.#retry = FIRST_RETRY_MS;
    if (message.asset !== boot.asset && sessionStorage.getItem("asset") !== message.asset) {
      sessionStorage.setItem("asset", message.asset); // once: a stale cache must not reload for ever
      location.reload();
      return;
    }
    const keys = new Set([...Object.keys(this.state), ...Object.keys(message.state)]);
    this.#id = message.id;
    this.#server = message.server;
    this.state = message.state;
    this.#link(true);
    this.#paint(this.state, keys);
  }

  #change(message) {
    if (message.id <= this.#id) return;
    this.#id = message.id;
    this.state = { ...this.state, ...message.set };
    for (const key of message.drop) delete this.state[key];
    this.#paint(this.state, new Set([...Object.keys(message.set), ...message.drop]));
  }

  #link(online) {
    if (online === this.online) return;
    this.online = online;
    document.documentElement.classList.toggle("offline", !online);
    for (const badge of document.querySelectorAll(".badge-offline")) badge.hidden = online;
    document.dispatchEvent(new CustomEvent("link", { detail: online }));
  }
}

/** Load the page anew, which leads to the login, if nobody is logged in here any more. */
async function stillIn() {
  try {
    const answer = await fetch("/api/me", { signal: AbortSignal.timeout(CONNECT_MS) });
    if (answer.status === 401) location.reload();
  } catch {
    // No contact at all: the stream goes on trying.
  }
}

/** The center refused, or could not be reached: `status` 0. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** POST a command. The same key goes with every try, so that a lost answer never becomes a second execution. */
export async function post(path, body, { key = newId(), headers = {}, forMs = 5000, onWait } = {}) {
  const until = Date.now() + forMs;
  let refused = new Refused(0, "unreachable", say("unreachable"));
  for (let wait = FIRST_RETRY_MS; ; wait = Math.min(wait * 2, LAST_RETRY_MS)) {
    let answer;
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": key, "Accept-Language": boot.lang, ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(4000),
      });
      const content = await response.json();
      if (response.status < 500) answer = { response, content };
      else if (content.message) refused = new Refused(response.status, content.code, content.message); // may pass
    } catch {
      // No answer: the center may or may not have heard. Only the same key may be sent again.
    }
    if (answer?.response.ok) return answer.content;
    if (answer?.content.code === "login_needed") location.reload();
    if (answer) throw new Refused(answer.response.status, answer.content.code, answer.content.message);
    if (Date.now() + wait > until) throw refused;
    onWait?.();
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** One finger, one action: long presses and small slips count once, a second finger not at all. */
export function tap(element, act) {
  let finger = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.isPrimary && event.button === 0) finger = event.pointerId;
  });
  element.addEventListener("pointercancel", () => (finger = null));
  element.addEventListener("pointerup", (event) => {
    if (event.pointerId !== finger) return;
    finger = null;
    const box = element.getBoundingClientRect();
    const slip = 16;
    if (event.clientX < box.left - slip || event.clientX > box.right + slip) return;
    if (event.clientY < box.top - slip || event.clientY > box.bottom + slip) return;
    act(event);
  });
  element.addEventListener("click", (event) => event.detail === 0 && act(event)); // keyboard, assistive technology
  element.addEventListener("contextmenu", (event) => event.preventDefault());
}

export const $ = (name, root = document) => root.querySelector(`[data-id="${name}"]`);

/** Set an element's text, touching the document only when it differs. */
export function text(element, words) {
  words = String(words);
  if (element.textContent !== words) element.textContent = words;
}

/** Fill a list from its <template>: rows are kept by key, so that focus and screen readers are not disturbed. */
export function rows(list, items, keyOf, fill) {
  const mould = document.getElementById(list.dataset.row);
  const kept = new Map();
  for (const row of [...list.children]) {
    if (row.dataset.key) kept.set(row.dataset.key, row);
    else row.remove();
  }
  let place = list.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let row = kept.get(key);
    kept.delete(key);
    if (!row) {
      row = mould.content.firstElementChild.cloneNode(true);
      row.dataset.key = key;
    }
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
    fill(row, item);
  }
  for (const row of kept.values()) row.remove();
}

const pad = (number) => String(number).padStart(2, "0");

/** A running time as 06:21 or 1:06:21. */
export function running(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const clock = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return seconds < 3600 ? clock : `${Math.floor(seconds / 3600)}:${clock}`;
}

/** A wait in whole minutes. */
export function minutes(milliseconds) {
  const n = Math.floor(milliseconds / 60000);
  return n < 1 ? say("just_now") : say("minutes", { n });
}

/** An instant as the center's wall clock, 09:41. */
export function clock(at) {
  return new Intl.DateTimeFormat("vi-VN", { hour: "2-digit", minute: "2-digit", timeZone: boot.zone }).format(at);
}

/** Call `tick` at once and then once a second, on the second. */
export function everySecond(tick) {
  tick();
  setTimeout(() => everySecond(tick), 1000 - (Date.now() % 1000));
}
