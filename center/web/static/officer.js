// The officer's desk: one ticket, one large button, a few small ones, and who waits.
import { boot, say, text, rows, running, minutes, clock, everySecond, Live, Refused, post } from "./live.js";

const SHOWN = 12;
const LOCK_MS = 250; // the button means something else now: the rest of a double click must not press it
const counter = boot.counter;
let claim = true; // a desk that was refused once takes the counter only when the officer says so
let busy = false;
let watching = false; // another desk has this counter, or this officer another counter
let other = null; // who is to be asked before their counter is taken

const nodes = {};
for (const node of document.querySelectorAll("[data-id]")) nodes[node.dataset.id] = node;
const find = document.getElementById("find");

const live = new Live(() => `/stream?view=officer&counter=${counter}${claim ? "&claim=1" : ""}`, paint);

// --- what is shown ---

const serviceName = (id) => live.state.services.find((service) => service.id === id)?.[boot.lang] ?? id;

function paint(state, keys) {
  const { counter: here, ticket, phase } = state;
  if (keys.has("lease") || keys.has("places")) paintLease(state.lease, state.places[boot.me.account]);
  nodes.title.title = `${say("counter")} ${here.label} · ${here.services.map(serviceName).join(", ")}`;
  text(nodes.title, nodes.title.title);
  text(nodes.state, say(`state_${here.state}`));
  nodes.state.dataset.state = here.state;
  nodes.watched.hidden = !state.watched;

  const what = phase === "called" && ticket.recalls
    ? say("now_called_again", { n: ticket.recalls, max: state.max_recalls })
    : say(`now_${phase === "idle" ? "none" : phase}`);
  text(nodes.what, what);
  nodes.now.setAttribute("aria-label", what);
  const next = state.waiting[0];
  text(nodes.number, ticket ? ticket.number : phase === "idle" ? say("ready") : say(`state_${here.state}`));
  nodes.number.classList.toggle("rest", !ticket);
  nodes.facts.hidden = !ticket;
  nodes.hint.hidden = Boolean(ticket);
  text(nodes.hint, next ? say("next_is", { number: next.number, service: serviceName(next.service) }) : say("nobody_waits"));
  if (ticket) {
    text(nodes.service, serviceName(ticket.service));
    nodes.kind.hidden = nodes["kind-name"].hidden = ticket.priority !== "priority";
    text(nodes["running-name"], say(phase === "serving" ? "since_start" : "since_call"));
  }
  const fresh = nodes.outcomes.hidden && phase === "serving";
  nodes.outcomes.hidden = phase !== "serving";
  if (fresh) for (const choice of nodes.outcomes.querySelectorAll("input")) choice.checked = false;
  text(nodes["primary-text"], say(`do_${state.primary}`));
  nodes.pause.hidden = watching || !state.allowed.includes("pause");
  nodes.close.hidden = watching || !state.allowed.includes("close");
  for (const button of document.querySelectorAll("[data-action]")) disable(button, watching || !state.allowed.includes(button.dataset.action));
  disable(nodes.primary, watching || !state.ready);
  if (!ticket && nodes.transfer.open) nodes.transfer.close();
  for (const button of nodes["to-service"].children) button.hidden = button.dataset.service === ticket?.service;
  for (const other of state.counters) {
    const button = nodes["to-counter"].querySelector(`[data-counter="${CSS.escape(other.id)}"] small`);
    if (button) text(button, other.state === "open" ? "" : say(`state_${other.state}`));
  }

  text(nodes.count, state.waiting_count);
  rows(nodes.waiting, state.waiting.slice(0, SHOWN), (item) => item.id, (row, item) => {
    fillLine(row, item);
    text(row.querySelector(".when"), minutes(live.now() - item.issued_at));
  });
  nodes.more.hidden = state.waiting_count <= SHOWN;
  text(nodes.more, say("more_waiting", { n: state.waiting_count - SHOWN }));
  rows(nodes.aside, state.aside, (item) => item.id, (row, item) => {
    fillLine(row, item);
    const button = row.querySelector("button");
    disable(button, watching);
    button.setAttribute("aria-label", say("requeue_number", { number: item.number }));
    button.onclick = () => act(`/api/tickets/${encodeURIComponent(item.id)}/requeue`, { version: item.version });
  });
  nodes["aside-none"].hidden = state.aside.length > 0;
  const { figures } = state;
  text(nodes["figure-served"], figures.served);
  text(nodes["figure-no_show"], figures.no_show);
  text(nodes["figure-service_time"], figures.service_ms === null ? "–" : minutes(figures.service_ms));
  text(nodes["figure-wait_time"], figures.wait_ms === null ? "–" : minutes(figures.wait_ms));
  search(state);
}

function fillLine(row, item) {
  text(row.querySelector("b"), item.number);
  text(row.querySelector("em"), item.priority === "priority" ? say("priority") : "");
  const words = item.state === "waiting" ? [serviceName(item.service)] : [say(`aside_${item.state}`)];
  if (item.only_here) words.push(say("only_here"));
  text(row.querySelector(".tags span"), words.join(" · "));
}

function tick() {
  const { ticket, phase, waiting } = live.state;
  if (ticket) {
    text(nodes.waited, minutes((ticket.called_at ?? live.now()) - ticket.issued_at));
    text(nodes.running, running(live.now() - ((phase === "serving" ? ticket.started_at : ticket.called_at) ?? live.now())));
  }
  for (const item of waiting.slice(0, SHOWN)) {
    const row = nodes.waiting.querySelector(`[data-key="${CSS.escape(item.id)}"]`);
    if (row) text(row.querySelector(".when"), minutes(live.now() - item.issued_at));
  }
}

function disable(button, off) {
  if (off) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

// --- who works here ---

function paintLease(lease, place) {
  const mine = lease !== null && lease.mark === boot.me.mark;
  watching = !mine;
  if (mine) claim = true;
  else if (lease !== null) claim = false;
  document.body.classList.toggle("watching", watching);
  nodes.lease.hidden = !watching;
  if (!watching) return;
  const time = lease && clock(lease.since);
  other = lease !== null && lease.account !== boot.me.account ? lease.who : null;
  const label = live.state.counters.find((each) => each.id === place)?.label;
  if (other) text(nodes["lease-text"], say("lease_taken", { who: other, time }));
  else if (lease) text(nodes["lease-text"], say("lease_self", { time }));
  else text(nodes["lease-text"], label ? say("lease_elsewhere", { counter: label }) : say("lease_free"));
  text(nodes["lease-take"], other ? say("lease_take_from", { who: other }) : say("lease_take"));
}

nodes["lease-take"].addEventListener("click", () => {
  if (!other) return take();
  text(nodes["take-title"], say("lease_sure", { who: other }));
  nodes.take.showModal();
});
nodes["take-yes"].addEventListener("click", take);

async function take() {
  try {
    await post(`/api/counters/${counter}/lease`, {});
    claim = true;
    live.refresh();
    nodes.primary.focus();
  } catch (error) {
    tell(error.message);
  }
}

// --- what is done ---

/** One command at a time: while one is on its way, every further press is ignored. */
async function act(path, body, done) {
  if (busy || watching) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    const answer = await post(path, body, { onWait: () => tell(say("sending"), true) });
    tell(done ? say(done, { number: answer.ticket?.number }) : "", true);
    return answer;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
    if (error.status) live.refresh(); // what the officer saw was not what is
  } finally {
    setTimeout(() => {
      busy = false;
      document.body.classList.remove("busy");
    }, LOCK_MS);
  }
}

const ask = (action, body = {}, done) =>
  act(`/api/counters/${counter}/${action}`, { seen: live.state.counter.revision, ...body }, done);

function tell(words, good = false) {
  nodes.say.replaceChildren();
  if (!words) return;
  const line = document.createElement("p");
  line.textContent = words;
  line.classList.toggle("good", good);
  nodes.say.append(line);
}

function primary() {
  const { primary: action, ready } = live.state;
  if (!ready) return;
  if (action === "open" || action === "resume") return ask("open");
  if (action === "finish") {
    return ask("finish", { outcome: nodes.outcomes.querySelector(":checked")?.value ?? null }, "finished");
  }
  return ask(action);
}

function side(action) {
  if (watching) return;
  if (action === "recall" && live.state.phase === "called") return ask(action); // once too often: the center says why not
  if (!live.state.allowed.includes(action)) return;
  if (action !== "transfer") return ask(action);
  text(nodes["transfer-title"], say("transfer_title", { number: live.state.ticket.number }));
  nodes.transfer.showModal();
}

nodes.primary.addEventListener("click", (event) => event.detail < 2 && primary());
nodes.primary.addEventListener("keydown", (event) => event.repeat && event.preventDefault()); // a held Enter
nodes.pause.addEventListener("click", () => ask("pause"));
nodes.close.addEventListener("click", () => ask("close"));
for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", () => side(button.dataset.action));
nodes.transfer.addEventListener("click", (event) => {
  const { service, counter: to } = event.target.closest("button")?.dataset ?? {};
  if (!service && !to) return;
  nodes.transfer.close();
  ask("transfer", service ? { to_service: service } : { to_counter: to });
});

// --- finding a number ---

const plain = (words) => words.trim().toUpperCase();

function search(state) {
  const wanted = plain(find.value);
  const found = wanted ? [...state.waiting, ...state.aside].filter((item) => item.number.includes(wanted)).slice(0, 5) : [];
  nodes.found.hidden = found.length === 0;
  nodes.lists.classList.toggle("searching", Boolean(wanted));
  nodes["found-none"].hidden = !wanted || found.length > 0;
  rows(nodes.found, found, (item) => item.id, (row, item) => {
    fillLine(row, item);
    const button = row.querySelector("button");
    button.setAttribute("aria-label", say("call_number", { number: item.number }));
    button.onclick = () => callNumber(item.number);
    disable(button, watching || !state.allowed.includes("call"));
  });
}

async function callNumber(number) {
  if (!live.state.allowed.includes("call")) return;
  if (await ask("call", { number })) {
    find.value = "";
    search(live.state);
    nodes.primary.focus();
  }
}

find.addEventListener("input", () => search(live.state));
find.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    find.value = "";
    search(live.state);
  } else if (event.key === "Enter" && find.value.trim()) {
    callNumber(plain(find.value));
  }
});

// --- keys: not while typing, and they can be switched off (WCAG 2.1.4) ---

const KEYS = { r: "recall", t: "transfer", p: "park", v: "no_show" };
let keysOn = localStorage.getItem("keys") !== "off";

function paintKeys() {
  nodes.keys.setAttribute("aria-pressed", String(keysOn));
  text(nodes.keys, say(keysOn ? "shortcuts_on" : "shortcuts_off"));
  document.body.classList.toggle("no-keys", !keysOn);
}

nodes.keys.addEventListener("click", () => {
  keysOn = !keysOn;
  localStorage.setItem("keys", keysOn ? "on" : "off");
  paintKeys();
});
paintKeys();

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=radio]), textarea, select");
  if (!keysOn || typing || event.repeat || event.ctrlKey || event.altKey || event.metaKey || nodes.transfer.open) return;
  if (watching) return;
  if (event.key === "Enter") {
    if (!event.target.matches("button, a")) primary();
    return;
  }
  const outcome = nodes.outcomes.querySelectorAll("input")[Number(event.key) - 1];
  if (outcome && !nodes.outcomes.hidden) outcome.checked = true;
  else if (KEYS[event.key.toLowerCase()]) side(KEYS[event.key.toLowerCase()]);
  else if (event.key === "/") find.focus();
  else return;
  event.preventDefault();
});

live.start();
everySecond(tick);
