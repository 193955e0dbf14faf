// The console: draws what /web/api tells, and draws it again when /web/api/events says that something
// changed.  Every text from the service enters the page as a text node, never as markup.
"use strict";

const API = "/web/api/";
const main = document.getElementById("main");
let me = null;      // who is signed in, or null
let events = null;  // the open event stream
let drawn = 0;      // number of the newest drawing: a slower, older answer is thrown away
let shown = "";     // the address that the page was drawn for
let everybody = true; // an administrator sees all, or only what is his own

// ---- small tools -------------------------------------------------------------------------------

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

class Told extends Error {}  // a sentence for the reader

async function ask(path) {
  const reply = await fetch(API + path, { credentials: "same-origin" }).catch(() => null);
  if (!reply) throw new Told("The service does not answer. This page tries again by itself.");
  const body = await reply.json().catch(() => ({}));
  if (reply.status === 401) { toSignIn(); throw new Told("Please sign in."); }
  if (!reply.ok) throw new Told(body.message || `The service answered ${reply.status}.`);
  return body;
}

function mine(query = "") {
  if (!me.admin || everybody) return query ? `?${query}` : "";
  return `?mine=1${query ? `&${query}` : ""}`;
}

const TONES = {
  online: "good", success: "good", "waiting-for-nodes": "busy", "waiting-for-ep": "warn", failed: "bad",
  offline: "idle", stopped: "idle",
};
const WORDS = { "waiting-for-ep": "waiting for endpoint", "waiting-for-nodes": "at the endpoint", success: "done" };

function state(word) {
  return el("span", { class: `state ${TONES[word] || "idle"}` }, WORDS[word] || String(word || "unknown"));
}

function ago(seconds) {
  if (!seconds) return "never";
  const age = Math.max(0, Date.now() / 1000 - seconds);
  if (age < 60) return `${Math.round(age)} s ago`;
  if (age < 3600) return `${Math.round(age / 60)} min ago`;
  if (age < 86400) return `${Math.round(age / 3600)} h ago`;
  return `${Math.round(age / 86400)} d ago`;
}

function when(seconds) {
  if (!seconds) return el("span", {}, "never");
  const date = new Date(seconds * 1000);
  return el("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(seconds));
}

function took(seconds) {
  if (seconds < 0.0005) return "< 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return `${Math.round(seconds / 60)} min`;
}

// On a phone each row becomes a card (console.css), so every cell carries its column's name; the roles say
// what it is even then.
function table(caption, heads, rows) {
  const names = heads.map((h) => h.replace("#", ""));
  const head = el("tr", { role: "row" }, heads.map((h, i) =>
    el("th", { scope: "col", role: "columnheader", class: h.startsWith("#") ? "n" : null }, names[i])));
  for (const line of rows) [...line.cells].forEach((cell, i) => cell.setAttribute("data-label", names[i]));
  return el("div", { class: "scroll" }, el("table", { role: "table", "aria-label": caption },
    el("thead", { role: "rowgroup" }, head), el("tbody", { role: "rowgroup" }, rows)));
}

function row(cells, attributes) {
  return el("tr", { role: "row", ...attributes }, cells.map((c) => {
    if (typeof c === "number") return el("td", { role: "cell", class: "n" }, c.toLocaleString());
    const none = c === null || c === undefined || c === "";
    return el("td", { role: "cell", class: none ? "none" : null }, none ? "–" : c);
  }));
}

function facts(pairs) {
  return el("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function figures(pairs) {
  return el("ul", { class: "figures" }, pairs.map(([value, name]) =>
    el("li", {}, el("b", {}, typeof value === "number" ? value.toLocaleString() : value), name)));
}

// In tables; the whole of it is on the thing's own page.
function brief(text) {
  return text && text.length > 80 ? el("span", { title: text }, `${text.slice(0, 79)}…`) : text;
}

const link = (href, text) => el("a", { href }, text);
const id = (text) => el("span", { class: "id" }, text);

// ---- pages -------------------------------------------------------------------------------------

function whose() {
  if (!me.admin) return null;
  const box = el("input", { type: "checkbox", id: "everybody", checked: everybody });
  box.checked = everybody;
  box.addEventListener("change", () => { everybody = box.checked; draw(false); });
  return el("label", { class: "choice", for: "everybody" }, box, " everybody's");
}

function endpointRow(endpoint, child) {
  const workers = endpoint.total_workers === undefined ? null
    : `${endpoint.total_workers - (endpoint.idle_workers || 0)} of ${endpoint.total_workers}`;
  const asked = Object.entries(endpoint.user_endpoint_config || {}).map(([k, v]) => `${k} ${JSON.stringify(v)}`).join(", ");
  return row([
    el("span", {}, child ? el("span", { class: "under", "aria-hidden": "true" }, "↳ ") : null,
      link(`#/endpoint/${endpoint.id}`, brief(child ? endpoint.owner : endpoint.name || endpoint.id)),
      asked ? el("span", { class: "asked" }, asked) : null),
    state(endpoint.status), child ? endpoint.local_user : brief(endpoint.owner), endpoint.waiting, endpoint.running,
    workers, when(endpoint.last_seen),
  ], child ? { class: "child" } : {});
}

const ENDPOINT_HEADS = ["Endpoint", "State", "Owner / account", "#Waiting", "#Running", "Workers busy", "Last seen"];

async function endpointsPage() {
  const { endpoints, totals } = await ask(`endpoints${mine()}`);
  const rows = [];
  const known = new Set(endpoints.filter((e) => !e.parent).map((e) => e.id));
  for (const parent of endpoints.filter((e) => !e.parent)) {
    rows.push(endpointRow(parent, false));
    for (const child of endpoints.filter((e) => e.parent === parent.id)) rows.push(endpointRow(child, true));
  }
  for (const own of endpoints.filter((e) => e.parent && !known.has(e.parent))) rows.push(endpointRow(own, false));
  return [
    el("div", { class: "heading" }, el("h1", {}, me.admin && everybody ? "All endpoints" : "My endpoints"), whose()),
    figures([[totals.online, "online"], [totals.known, "known"], [totals.waiting, "tasks waiting"],
      [totals.running, "tasks at endpoints"]]),
    rows.length
      ? table("Endpoints", ENDPOINT_HEADS, rows)
      : el("p", { class: "empty" }, "No endpoint yet. On the machine that should run tasks: ",
        el("code", {}, "globus-compute-endpoint configure --multi-user NAME")),
  ];
}

async function endpointPage(endpointId) {
  const e = await ask(`endpoints/${endpointId}`);
  const depth = e.queue_depth === undefined ? null
    : `${e.queue_depth.toLocaleString()} messages, ${e.queue_consumers || 0} reading`;
  const page = [
    el("h1", {}, e.name || e.id, " ", state(e.status)),
    el("div", { class: "card" }, facts([
      ["Id", id(e.id)], ["Kind", e.kind], ["Owner", e.owner], ["Runs as", e.local_user],
      ["Started by", e.parent ? link(`#/endpoint/${e.parent}`, id(e.parent)) : null],
      ["Host", e.hostname], ["Version", e.version], ["Caller's Python", e.python_version],
      ["Engine", [e.engine_type, e.provider_type].filter(Boolean).join(", ")],
      ["Batch queue", e.queue], ["Allocation", e.account],
      ["Workers", e.total_workers === undefined ? null : `${e.total_workers}, ${e.idle_workers || 0} idle`],
      ["Nodes", e.managers === undefined ? null : String(e.managers)],
      ["Tasks", `${e.waiting.toLocaleString()} waiting, ${e.running.toLocaleString()} at the endpoint`],
      ["Task queue", depth], ["Last seen", when(e.last_seen)], [e.parent ? "Used" : "Registered", when(e.since)],
      ["Locked until", e.locked_until ? new Date(e.locked_until * 1000).toLocaleString() : null],
    ])),
  ];
  if (e.last_error) page.push(el("h2", {}, "Last error"), el("pre", { class: "bad" }, e.last_error));
  if (e.user_endpoint_config && Object.keys(e.user_endpoint_config).length) {
    page.push(el("h2", {}, "Configuration asked for"),
      el("pre", {}, JSON.stringify(e.user_endpoint_config, null, 2)));
  }
  if (e.children) {
    page.push(el("h2", {}, "User endpoints"),
      table("User endpoints", ENDPOINT_HEADS, e.children.map((c) => endpointRow(c, true))));
  }
  page.push(el("h2", {}, "Newest tasks"), tasksTable(e.tasks));
  return page;
}

function tasksTable(tasks) {
  if (!tasks || !tasks.length) return el("p", { class: "empty" }, "No tasks.");
  return table("Tasks", ["Task", "Function", "State", "Owner", "Submitted", "#Took"], tasks.map((t) => row([
    link(`#/task/${t.id}`, id(t.id.slice(-12))), brief(t.function_name), state(t.status), brief(t.owner), when(t.submitted),
    el("span", { class: "n" }, t.finished ? took(t.finished - t.submitted) : "–"),
  ])));
}

const TASK_STATES = ["", "waiting-for-ep", "waiting-for-nodes", "success", "failed"];

async function tasksPage() {
  const query = new URLSearchParams(location.hash.split("?")[1] || "");
  const { tasks, next } = await ask(`tasks${mine(query.toString())}`);
  const select = el("select", { id: "state" }, TASK_STATES.map((s) =>
    el("option", { value: s, selected: s === (query.get("status") || "") }, WORDS[s] || s || "every state")));
  select.addEventListener("change", () => {
    location.hash = select.value ? `#/tasks?status=${select.value}` : "#/tasks";
  });
  const page = [
    el("div", { class: "heading" }, el("h1", {}, me.admin && everybody ? "All tasks" : "My tasks"), whose()),
    el("div", { class: "filters" }, el("label", { for: "state" }, "State ", select)),
    tasksTable(tasks),
  ];
  if (next) {
    query.set("before", next);
    page.push(el("p", {}, link(`#/tasks?${query}`, "Older tasks")));
  }
  return page;
}

const STEPS = {
  "waiting-for-nodes": "waiting for a node", "waiting-for-launch": "at a node", running: "running",
  "execution-start": "function starts", "execution-end": "function ends",
  "exec-start": "function starts", "exec-end": "function ends", received: "at the endpoint",
};

function timeLine(steps) {
  const timed = steps.filter((s) => s.at);
  const whole = timed.length ? Math.max(timed.at(-1).at - timed[0].at, 0.000001) : 1;
  let before = timed.length ? timed[0].at : 0;
  return el("ol", { class: "line" }, steps.map((s) => {
    const name = el("span", { class: "step" }, STEPS[s.name] || s.name);
    if (!s.at) return el("li", { class: "not" }, name, el("span", { class: "took" }, "not yet"));
    const since = Math.max(0, s.at - before);
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span", {}));
    bar.firstChild.style.marginLeft = `${(before - timed[0].at) / whole * 100}%`;
    bar.firstChild.style.width = `${Math.max(since / whole * 100, 0.5)}%`;
    before = Math.max(before, s.at);
    return el("li", {}, name, el("span", { class: "took" }, s === timed[0] ? new Date(s.at * 1000).toLocaleTimeString()
      : `+ ${took(since)}`), bar);
  }));
}

async function taskPage(taskId) {
  const t = await ask(`tasks/${taskId}`);
  const page = [
    el("h1", {}, t.function_name, " ", state(t.status)),
    el("div", { class: "card" }, facts([
      ["Task", id(t.id)], ["Owner", t.owner],
      ["Endpoint", link(`#/endpoint/${t.endpoint_id}`, t.endpoint_name || id(t.endpoint_id))],
      ["User endpoint", t.uep_id === t.endpoint_id ? null : link(`#/endpoint/${t.uep_id}`, id(t.uep_id))],
      ["Task group", id(t.task_group_id)], ["Submitted", when(t.submitted)],
      ["Took", t.finished ? took(t.finished - t.submitted) : null],
      ["Result", t.result_bytes ? `${t.result_bytes.toLocaleString()} bytes` : null],
      ["Given out", t.tries > 1 ? `${t.tries} times` : null],
    ])),
    el("h2", {}, "From submit to result"), el("div", { class: "card" }, timeLine(t.steps)),
  ];
  if (t.error) page.push(el("h2", {}, "Error"), el("pre", { class: "bad" }, t.error));
  return page;
}

async function peoplePage() {
  const { people } = await ask("people");
  return [
    el("h1", {}, "Who runs what, as whom"),
    people.length ? table("People", ["User", "Local account", "On", "State", "#Waiting", "#Running", "Last used"],
      people.map((p) => row([p.owner, p.local_user, link(`#/endpoint/${p.id}`, p.name), state(p.status), p.waiting,
        p.running, when(p.since)]))) : el("p", { class: "empty" }, "Nobody has run anything yet."),
  ];
}

async function accountPage() {
  return [
    el("h1", {}, me.name || me.username),
    el("p", {}, "These identities are you. A site's mapping may use any of them, and what one of them owns, all may use."),
    table("Identities", ["User name", "Name", "From", "Id", "Last sign-in"], me.identities.map((i) =>
      row([i.username, i.name, i.identity_provider_display_name, id(i.sub), when(i.last_authentication)]))),
  ];
}

const PAGES = [
  [/^#\/endpoints$/, endpointsPage], [/^#\/endpoint\/([0-9a-f-]{36})$/, endpointPage],
  [/^#\/tasks(?:\?.*)?$/, tasksPage], [/^#\/task\/([0-9a-f-]{36})$/, taskPage], [/^#\/people$/, peoplePage],
  [/^#\/account$/, accountPage],
];

// Changes what differs and leaves the rest as it is: focus, selection, and a click that is under way.
function morph(from, to) {
  if (from.nodeName !== to.nodeName) return from.replaceWith(to);
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return undefined;
  }
  if (from !== main) {
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
  }
  const next = [...to.childNodes];
  const old = [...from.childNodes];
  next.forEach((node, i) => (i < old.length ? morph(old[i], node) : from.append(node)));
  old.slice(next.length).forEach((node) => node.remove());
  return undefined;
}

async function draw(moveFocus) {
  if (!me) return;
  const hash = location.hash || "#/endpoints";
  const number = ++drawn;
  let page;
  try {
    const [pattern, make] = PAGES.find(([p]) => p.test(hash)) || [null, null];
    page = make ? await make(...pattern.exec(hash).slice(1)) : [el("h1", {}, "There is no such page.")];
  } catch (problem) {
    if (!(problem instanceof Told)) throw problem;
    page = [el("p", { class: "error", role: "alert" }, problem.message)];
  }
  if (number !== drawn || !me) return;
  if (hash === shown) {
    const fresh = el("main", {}, page);
    morph(main, fresh);
  } else {
    main.replaceChildren(...page);
    shown = hash;
  }
  document.title = `${main.querySelector("h1")?.textContent || "Sallyport"} – Sallyport`;
  for (const a of document.querySelectorAll("nav a")) {
    if (hash.startsWith(a.getAttribute("href").replace(/s$/, ""))) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  if (moveFocus) { scrollTo(0, 0); main.focus({ preventScroll: true }); }
}

// ---- signing in and staying up to date ---------------------------------------------------------

function toSignIn() {
  me = null;
  if (events) { events.close(); events = null; }
  location.assign("/web/sign-in?next=%2Fweb%2F");
}

function listen() {
  const light = document.getElementById("live");
  let pending = false;
  const soon = () => {
    if (pending) return;
    pending = true;
    setTimeout(() => { pending = false; draw(false); }, 300);
  };
  const show = (text, name) => { if (light.textContent !== text) { light.textContent = text; light.className = `live ${name}`; } };
  events = new EventSource(`${API}events`);
  events.addEventListener("open", () => show("live", "on"));
  events.addEventListener("error", () => {
    show("reconnecting", "off");
    if (events && events.readyState === EventSource.CLOSED) {
      setTimeout(() => { if (me) { events.close(); listen(); soon(); } }, 5000); // the service said no, or was away
    }
  });
  events.addEventListener("hello", soon);
  events.addEventListener("change", soon);
}

async function begin() {
  try {
    me = await ask("me");
  } catch (problem) {
    if (!(problem instanceof Told)) throw problem;
    main.replaceChildren(el("p", { class: "error", role: "alert" }, problem.message));
    shown = "";
    setTimeout(begin, 5000);
    return;
  }
  document.getElementById("nav").hidden = document.getElementById("who").hidden = false;
  document.getElementById("nav-people").hidden = !me.admin;
  document.getElementById("user").textContent = me.username;
  await draw(false);
  listen();
}

document.getElementById("leave").addEventListener("click", async () => {
  await fetch("/web/sign-out", { method: "POST", credentials: "same-origin", redirect: "manual",
    headers: { "X-CSRF-Token": me.csrf } }).catch(() => null);
  toSignIn();
});
addEventListener("hashchange", () => draw(true));
begin();
