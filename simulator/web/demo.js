// The counters of the demo: what their pins and panels are, drawn; what a finger does to them, sent to their pins.

// The center's own page script; whatever stands before its name, the newest file is served.
import { boot, post, say, text } from "/static/demo/live.js";

const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 800;
const SILENCE_MS = 35000;
const TONE_HZ = 1760;
const LIFT_MS = 60; // a key is down on the picture for as long as its contact is closed by the shortest click

const parts = {}; // "broker", "services", "camera" and each counter by its id, as the world describes them
let desks = {}; // counters as the queue has them, by id
const faces = {
  1: '<path d="M31 69q19-17 38 0" /><circle cx="36" cy="44" r="5"/><circle cx="64" cy="44" r="5"/>',
  2: '<path d="M32 60q18 14 36 0" /><circle cx="36" cy="44" r="5"/><circle cx="64" cy="44" r="5"/>',
  3: '<path d="M28 56q22 34 44 0z" class="full"/><circle cx="36" cy="42" r="5"/><circle cx="64" cy="42" r="5"/>',
};
const signs = {
  next: '<path d="M92 15l17 13-17 13M108 28H60" />',
  recall: '<path d="M52 22a14 14 0 1 0 1 11M54 12v11H43" />',
  no_show: '<path d="M29 17l22 22M51 17L29 39" />',
  pause: '<path d="M32 16v24M48 16v24" />',
};

// --- the world, live ---

let retry = FIRST_RETRY_MS;
let silence = 0;

function connect() {
  const source = new EventSource("/demo/stream");
  const lost = () => {
    source.close();
    clearTimeout(silence);
    document.getElementById("offline").hidden = false;
    setTimeout(connect, retry);
    retry = Math.min(retry * 2, LAST_RETRY_MS);
  };
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE_MS);
  };
  heard();
  source.onerror = lost;
  source.addEventListener("beat", heard);
  source.addEventListener("parts", (event) => {
    heard();
    retry = FIRST_RETRY_MS;
    document.getElementById("offline").hidden = true;
    const fresh = JSON.parse(event.data);
    Object.assign(parts, fresh);
    for (const name of Object.keys(fresh)) paint(name);
    if (Object.keys(fresh).some((name) => name !== "camera")) lookAtQueue();
  });
}

function paint(name) {
  if (name === "broker") paintBroker(parts.broker);
  else if (name === "services") paintServices(parts.services);
  else if (name === "camera") paintCamera(parts.camera);
  else paintCounter(parts[name]);
}

// --- the queue, looked at shortly after anything changed ---

let looking = 0;

function lookAtQueue() {
  clearTimeout(looking);
  looking = setTimeout(async () => {
    try {
      const response = await fetch("/api/state", { signal: AbortSignal.timeout(3000) });
      if (response.ok) await paintQueue(await response.json());
    } catch {
      // No answer: the stream notices and says so; the next look comes with its return.
    }
    looking = setTimeout(lookAtQueue, 2000);
  }, 60);
}

async function paintQueue(queue) {
  desks = Object.fromEntries(queue.counters.map((counter) => [counter.id, counter]));
  for (const row of document.querySelectorAll("#services button")) {
    text(row.querySelector(".waiting"), say("waiting", { n: queue.waiting[row.dataset.service] ?? 0 }));
  }
  for (const counter of queue.counters) {
    const section = document.getElementById(`counter-${counter.id}`);
    if (section) paintDesk(section, counter, counter.ticket && (await ticketOf(counter)));
  }
}

async function ticketOf(counter) {
  const response = await fetch(`/api/tickets/${counter.ticket}`, { signal: AbortSignal.timeout(3000) });
  return response.ok ? (await response.json()).ticket : null;
}

function paintDesk(section, counter, ticket) {
  const state = ticket ? ticket.state : counter.state;
  text(section.querySelector(".now"), say(`desk_${state}`, { number: ticket?.number }));
  const act = section.querySelector(".act");
  const action = { called: "start", serving: "finish", closed: "open", paused: "open" }[state];
  act.hidden = !action;
  act.dataset.action = action ?? "";
  if (action) text(act, say(`do_${state === "paused" ? "resume" : action}`));
}

// --- drawing ---

function paintServices(services) {
  const list = document.getElementById("services");
  if (list.children.length) return;
  for (const service of services) {
    const row = document.getElementById("service").content.firstElementChild.cloneNode(true);
    const button = row.firstElementChild;
    button.dataset.service = service.id;
    text(row.querySelector("b"), service.letter);
    text(row.querySelector(".name"), service[boot.lang]);
    text(row.querySelector(".waiting"), say("waiting", { n: 0 }));
    button.addEventListener("click", () => takeNumber(service.id, button));
    list.append(row);
  }
}

function paintBroker(broker) {
  const button = document.getElementById("broker");
  button.setAttribute("aria-checked", String(broker.running));
  button.parentElement.classList.toggle("off", !broker.running);
  text(document.getElementById("broker-state"), say(broker.running ? "broker_on" : "broker_off", broker));
  for (const counter of Object.values(parts)) if (counter.callpad) paintCounter(counter); // they say so, too
}

function paintCounter(counter) {
  const section = document.getElementById(`counter-${counter.id}`) ?? drawCounter(counter);
  const panel = section.querySelector(".panel");
  const glass = section.querySelector(".glass");
  if (glass.dataset.svg !== counter.panel.svg) {
    glass.dataset.svg = counter.panel.svg;
    glass.innerHTML = counter.panel.svg; // drawn by the simulated panel itself
    glass.firstElementChild.setAttribute("aria-label", `${say("panel")}: ${counter.panel.shown.replace("\n", ", ") || "–"}`);
  }
  panel.classList.toggle("plugged", counter.panel.plugged);
  panel.classList.toggle("unplugged", !counter.panel.plugged);
  panel.querySelector(".switch").setAttribute("aria-checked", String(counter.panel.plugged));
  text(panel.querySelector(".cable-state"), say(counter.panel.plugged ? "cable_in" : "cable_out"));
  for (const device of ["rating", "callpad"]) paintPad(section.querySelector(`.${device}`), counter[device]);
  section.querySelector(".buzzer").classList.toggle("on", counter.rating.buzzer);
  tone(counter.id, counter.rating.buzzer);
}

function paintPad(pad, state) {
  pad.classList.toggle("dead", !state.powered);
  for (const key of pad.querySelectorAll(".key")) {
    const lit = state.leds[key.dataset.button];
    key.classList.toggle("lit", lit);
    key.setAttribute("aria-label", `${key.dataset.name}, ${say(lit ? "light_on" : "light_off")}`);
  }
  const outbox = pad.querySelector(".outbox");
  // A rating waits in its pad until the broker is back; a call cannot wait, so the call pad says why nothing happens.
  const calls = pad.classList.contains("callpad");
  const away = calls && parts.broker?.running === false;
  const kept = state.outbox > 0;
  outbox.classList.toggle("kept", kept || away);
  const waiting = kept ? say("outbox", { n: state.outbox }) : calls ? "" : say("outbox_0");
  text(outbox, !state.powered ? say("no_power") : away ? say("unreachable") : waiting);
}

function paintCamera(camera) {
  const section = document.getElementById(`counter-${camera.counter}`);
  if (!section) return; // its counter comes with the same line
  let box = section.querySelector(".camera");
  if (!box) {
    box = document.getElementById("camera").content.firstElementChild.cloneNode(true);
    section.append(box);
    box.querySelector(".lens").addEventListener("click", () => {
      touch({ do: parts.camera.covered ? "uncover" : "cover", counter: camera.counter });
    });
    box.querySelector(".switch-row").hidden = Boolean(camera.video);
    box.querySelector(".live").href = `/cameras/${camera.counter}`;
  }
  box.classList.toggle("dead", !camera.running);
  const image = box.querySelector("img");
  image.hidden = !camera.picture;
  if (camera.picture) image.src = `data:image/jpeg;base64,${camera.picture}`;
  const caption = camera.video ? say("camera_video", { name: camera.video }) : "";
  text(box.querySelector("figcaption"), camera.running ? caption : say("camera_off"));
  const { count, newest } = camera.incidents;
  text(box.querySelector(".count"), count ? say("incidents_n", { n: count }) : say("incidents_0"));
  const list = box.querySelector(".incidents");
  list.replaceChildren(...newest.map(incidentLine));
  box.querySelector(".lens").setAttribute("aria-checked", String(camera.covered));
  text(box.querySelector(".lens-state"), say(camera.covered ? "lens_covered" : "lens_free"));
}

function incidentLine({ kind, began, on }) {
  const line = document.createElement("li");
  const time = new Date(began).toLocaleTimeString(boot.lang === "en" ? "en-GB" : "vi-VN", { timeZone: boot.zone });
  line.textContent = say(on ? "incident_on" : "incident_line", { time, kind: say(`kind_${kind}`) });
  return line;
}

function drawCounter(counter) {
  const section = document.getElementById("counter").content.firstElementChild.cloneNode(true);
  section.id = `counter-${counter.id}`;
  const title = section.querySelector("h2");
  title.id = `${section.id}-title`;
  section.setAttribute("aria-labelledby", title.id);
  text(title, say("counter", counter));
  text(section.querySelector(".letters"), say("serves", { letters: counter.letters.join(", ") }));
  for (const [name, path] of [["officer", "/counter/"], ["rate", "/rate/"]]) {
    const link = section.querySelector(`a.${name}`);
    link.href = path + counter.id;
    link.target = `${name}-${counter.id}`;
    link.setAttribute("aria-label", `${link.textContent}, ${title.textContent}`);
  }
  section.querySelector(".stand").title = say(`codec_${counter.codec}`);
  const cable = section.querySelector(".cable .switch");
  cable.setAttribute("aria-label", `${say("cable")}, ${title.textContent}`);
  cable.addEventListener("click", () => {
    touch({ do: parts[counter.id].panel.plugged ? "unplug" : "plug", counter: counter.id });
  });
  section.querySelector(".act").addEventListener("click", (event) => act(counter.id, event.currentTarget));
  for (const device of ["rating", "callpad"]) {
    const keys = section.querySelector(`.${device} .keys`);
    const order = device === "rating" ? ["3", "2", "1"] : ["next", "recall", "no_show", "pause"];
    for (const button of order) keys.append(drawKey(counter.id, device, button));
  }
  const after = [...document.querySelectorAll(".counter")].find((other) => other.id > section.id);
  document.getElementById("counters").insertBefore(section, after ?? null);
  return section;
}

function drawKey(counter, device, button) {
  const key = document.createElement("button");
  key.type = "button";
  key.className = `key ${device === "rating" ? `level-${button}` : `key-${button}`}`;
  key.dataset.button = button;
  key.dataset.device = device;
  const led = '<svg class="led" viewBox="0 0 26 26" aria-hidden="true"><defs><radialGradient id="GLOW"><stop offset="0" stop-color="var(--light)" stop-opacity=".95"/><stop offset=".45" stop-color="var(--light)" stop-opacity=".5"/><stop offset="1" stop-color="var(--light)" stop-opacity="0"/></radialGradient></defs><circle class="glow" cx="13" cy="13" r="26" fill="url(#GLOW)"/><circle class="dome" cx="13" cy="13" r="7"/><circle cx="10.500" cy="10" r="2" fill="#fff" opacity=".55"/></svg>'
    .replaceAll("GLOW", `glow-${counter}-${device}-${button}`);
  const round = `<svg class="cap" viewBox="0 0 100 104" aria-hidden="true"><circle class="rim" cx="50" cy="54" r="48"/><circle class="top-face" cx="50" cy="47" r="46"/><g class="mark face" fill="none" stroke="var(--line-color)" stroke-width="5" stroke-linecap="round">${faces[button]}</g></svg>`;
  const width = button === "next" ? 170 : 80;
  const flat = `<svg class="cap" viewBox="0 0 ${width} 62" aria-hidden="true"><rect class="rim" y="4" width="${width}" height="58" rx="12"/><rect class="top-face" x="2" width="${width - 4}" height="54" rx="11"/><g class="mark" fill="none" stroke="${button === "next" ? "#fff" : "#2E3238"}" stroke-width="5" stroke-linecap="round" stroke-linejoin="round">${signs[button]}</g></svg>`;
  const name = say(device === "rating" ? `level_${button}` : button);
  key.dataset.name = name;
  key.innerHTML = `${led}${device === "rating" ? round : flat}<span class="name">${name}</span>`;
  finger(key, (down) => touch({ do: down ? "press" : "release", counter, device, button }));
  return key;
}

/** A finger on a key: closed while it is down, by touch, mouse or keyboard. */
function finger(key, move) {
  let down = false;
  let lift = 0;
  const set = (now) => {
    if (now === down) return;
    down = now;
    clearTimeout(lift);
    if (down) key.classList.add("down");
    else lift = setTimeout(() => key.classList.remove("down"), LIFT_MS);
    move(down);
  };
  key.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    key.setPointerCapture(event.pointerId);
    set(true);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) key.addEventListener(end, () => set(false));
  key.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      if (!event.repeat) set(true);
    }
  });
  key.addEventListener("keyup", () => set(false));
  key.addEventListener("blur", () => set(false));
  key.addEventListener("contextmenu", (event) => event.preventDefault());
  key.addEventListener("click", (event) => {
    // Assistive technology clicks without a finger: a short press.
    if (event.detail === 0 && !down && !event.pointerType) {
      set(true);
      setTimeout(() => set(false), 120);
    }
  });
}

// --- doing ---

let line = Promise.resolve(); // one after the other: a release must not overtake its press

function touch(ask) {
  line = line.then(async () => {
    try {
      await fetch("/demo/do", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(ask),
        signal: AbortSignal.timeout(4000),
      });
    } catch {
      // The board lost power or the center is away: the page shows both, and the finger can press again.
    }
  });
  return line;
}

/** Send a command; return its answer, or nothing where it was refused, and say why. */
async function ask(path, body) {
  try {
    return await post(path, body);
  } catch (refused) {
    announce("", say("refused", { message: refused.message }));
    return null;
  } finally {
    lookAtQueue();
  }
}

function announce(bold, words) {
  const slip = document.getElementById("slip");
  const strong = document.createElement("b");
  strong.textContent = bold;
  slip.replaceChildren(...(bold ? [strong, " "] : []), words);
  slip.classList.remove("slip-in");
  void slip.offsetWidth; // begin the animation anew
  slip.classList.add("slip-in");
}

async function takeNumber(service, button) {
  if (button.dataset.busy) return; // one touch is one ticket
  button.dataset.busy = "1";
  const answer = await ask("/api/tickets", { service, priority: "normal" });
  delete button.dataset.busy;
  if (!answer) return;
  const { ticket, ahead } = answer;
  const before = ahead > 1 ? say("ahead", { n: ahead }) : ahead ? say("ahead_one") : say("ahead_none");
  announce(say("taken", ticket), before);
}

async function act(counter, button) {
  const action = button.dataset.action;
  if (!action || button.dataset.busy) return;
  button.dataset.busy = "1";
  await ask(`/api/counters/${counter}/${action}`, { seen: desks[counter]?.revision ?? null });
  delete button.dataset.busy;
}

document.getElementById("broker").addEventListener("click", () => {
  touch({ do: "broker", running: !parts.broker?.running });
});

// --- the tone of the rating pads ---

const sound = document.getElementById("sound");
let audio = null;
const tones = {};

sound.addEventListener("click", () => {
  sound.setAttribute("aria-checked", String(sound.getAttribute("aria-checked") !== "true"));
});
addEventListener("pointerdown", () => (audio ??= new AudioContext()), { once: true });

function tone(counter, on) {
  if (on === Boolean(tones[counter])) return;
  if (!on) {
    tones[counter].stop();
    delete tones[counter];
  } else if (audio && sound.getAttribute("aria-checked") === "true") {
    const gain = new GainNode(audio, { gain: 0.06 });
    tones[counter] = new OscillatorNode(audio, { type: "square", frequency: TONE_HZ });
    tones[counter].connect(gain).connect(audio.destination);
    tones[counter].start();
  }
}

connect();
