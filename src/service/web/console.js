// The console: draws what /console/api tells, and draws it again when /console/events says that
// something changed.  Every text from the service enters the page as a text node, never as markup.
"use strict";

const main = document.getElementById("main");
let me = null;      // who is signed in, or null
let events = null;  // the open event stream
let drawn = 0;      // number of the newest drawing: a slower, older answer is thrown away

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

async function ask(path, options) {
  const reply = await fetch(path, { credentials: "same-origin", ...options });
  const body = await reply.json().catch(() => ({}));
  if (reply.status === 401) { signedOut(); throw new Error("Please sign in."); }
  if (!reply.ok) throw new Error(body.reason || `The service answered ${reply.status}.`);
  return body;
}

const TONES = {
  online: "good", success: "good", running: "good", received: "warn", "waiting-for-ep": "warn",
  "waiting-for-nodes": "warn", "waiting-for-launch": "warn", starting: "warn", pending: "warn",
  failed: "bad", "start failed": "bad", offline: "idle", stopped: "idle",
};

function state(word) {
  return el("span", { class: `state ${TONES[word] || "idle"}` }, String(word || "unknown").replaceAll("-", " "));
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
  if (!seconds) return el("span", {}, "–");
  const date = new Date(seconds * 1000);
  return el("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(seconds));
}

function took(seconds) {
  if (seconds < 0.0005) return "< 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return `${Math.round(seconds / 60)} min`;
}

function table(caption, heads, rows) {
  const head = el("tr", {}, heads.map((h) => el("th", { scope: "col", class: h.startsWith("#") ? "n" : null },
    h.replace("#", ""))));
  return el("div", { class: "scroll" },
    el("table", { "aria-label": caption }, el("thead", {}, head), el("tbody", {}, rows)));
}

function row(cells, attributes) {
  return el("tr", attributes || {}, cells.map((c) => typeof c === "number"
    ? el("td", { class: "n" }, c.toLocaleString())
    : el("td", {}, c === null || c === undefined ? "–" : c)));
}

function facts(pairs) {
  return el("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function figures(pairs) {
  return el("ul", { class: "figures" }, pairs.map(([value, name]) =>
    el("li", {}, el("b", {}, typeof value === "number" ? value.toLocaleString() : value), name)));
}

const link = (href, text) => el("a", { href }, text);
const id = (text) => el("span", { class: "id" }, text);

// ---- pages -------------------------------------------------------------------------------------

function endpointRow(endpoint, child) {
  return row([
    link(`#/endpoint/${endpoint.id}`, endpoint.name || endpoint.id),
    state(endpoint.status), endpoint.local_user || endpoint.owner, endpoint.waiting, endpoint.running,
    endpoint.failed, when(endpoint.last_seen),
  ], child ? { class: "child" } : {});
}

async function endpointsPage() {
  const { endpoints, totals } = await ask("console/api/endpoints");
  const parents = endpoints.filter((e) => !e.parent);
  const rows = [];
  const known = new Set(parents.map((e) => e.id));
  for (const parent of parents) {
    rows.push(endpointRow(parent, false));
    for (const child of endpoints.filter((e) => e.parent === parent.id)) rows.push(endpointRow(child, true));
  }
  for (const orphan of endpoints.filter((e) => e.parent && !known.has(e.parent))) rows.push(endpointRow(orphan, false));
  return [
    el("h1", {}, me.admin ? "All endpoints" : "My endpoints"),
    figures([[totals.online, "endpoints online"], [totals.waiting, "tasks waiting"],
      [totals.running, "tasks running"], [totals.success, "tasks done"], [totals.failed, "tasks failed"]]),
    rows.length
      ? table("Endpoints", ["Endpoint", "State", "Account", "#Waiting", "#Running", "#Failed", "Last seen"], rows)
      : el("p", { class: "empty" }, "No endpoint yet. On the machine that should run tasks: ",
        el("code", {}, "globus-compute-endpoint configure --multi-user NAME")),
  ];
}

async function endpointPage(endpointId) {
  const e = await ask(`console/api/endpoints/${endpointId}`);
  const page = [
    el("h1", {}, e.name || e.id, " ", state(e.status)),
    el("div", { class: "card" }, facts([
      ["Id", id(e.id)], ["Kind", e.kind], ["Owner", e.owner], ["Local account", e.local_user],
      ["Started by", e.parent ? link(`#/endpoint/${e.parent}`, id(e.parent)) : null],
      ["Host", e.hostname], ["Version", e.version], ["Python", e.python_version],
      ["Last seen", when(e.last_seen)], ["Queue depth", e.queue_depth === null ? null : String(e.queue_depth)],
      ["Last error", e.last_error],
    ])),
  ];
  if (e.user_endpoint_config) {
    page.push(el("h2", {}, "Configuration asked for"),
      el("pre", {}, JSON.stringify(e.user_endpoint_config, null, 2)));
  }
  if (e.children && e.children.length) {
    page.push(el("h2", {}, "User endpoints"),
      table("User endpoints", ["Endpoint", "State", "Account", "#Waiting", "#Running", "#Failed", "Last seen"],
        e.children.map((c) => endpointRow(c, false))));
  }
  page.push(el("h2", {}, "Newest tasks"), tasksTable(e.tasks));
  return page;
}

function tasksTable(tasks) {
  if (!tasks || !tasks.length) return el("p", { class: "empty" }, "No tasks.");
  return table("Tasks", ["Task", "Function", "State", "Owner", "Submitted", "#Took"], tasks.map((t) => row([
    link(`#/task/${t.id}`, id(t.id.slice(0, 8))), t.function_name, state(t.status), t.owner, when(t.submitted),
    el("span", {}, t.finished ? took(t.finished - t.submitted) : "–"),
  ])));
}

const TASK_STATES = ["", "received", "waiting-for-ep", "waiting-for-nodes", "running", "success", "failed"];

async function tasksPage() {
  const query = new URLSearchParams(location.hash.split("?")[1] || "");
  const { tasks, next } = await ask(`console/api/tasks?${query}`);
  const select = el("select", { id: "state" }, TASK_STATES.map((s) =>
    el("option", { value: s, selected: s === (query.get("status") || "") }, s.replaceAll("-", " ") || "every state")));
  select.addEventListener("change", () => {
    location.hash = select.value ? `#/tasks?status=${select.value}` : "#/tasks";
  });
  const page = [
    el("h1", {}, me.admin ? "All tasks" : "My tasks"),
    el("div", { class: "filters" }, el("label", { for: "state" }, "State ", select)),
    tasksTable(tasks),
  ];
  if (next) {
    query.set("before", next);
    page.push(el("p", {}, link(`#/tasks?${query}`, "Older tasks")));
  }
  return page;
}

function timeLine(steps) {
  const first = steps.find((s) => s.at);
  const last = steps.filter((s) => s.at).at(-1);
  const whole = first && last ? Math.max(last.at - first.at, 0.000001) : 1;
  let before = first ? first.at : 0;
  return el("ol", { class: "line" }, steps.map((s) => {
    if (!s.at) return el("li", { class: "not" }, el("span", {}, s.name), el("span", { class: "took" }, "not yet"));
    const since = s.at - before;
    before = s.at;
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${Math.round(since / whole * 100)}%`;
    return el("li", {}, el("span", {}, s.name), el("span", { class: "took" }, `+ ${took(since)}`), bar);
  }));
}

async function taskPage(taskId) {
  const t = await ask(`console/api/tasks/${taskId}`);
  const page = [
    el("h1", {}, "Task ", id(t.id), " ", state(t.status)),
    el("div", { class: "card" }, facts([
      ["Function", t.function_name], ["Owner", t.owner],
      ["Endpoint", link(`#/endpoint/${t.endpoint_id}`, t.endpoint_name || id(t.endpoint_id))],
      ["Task group", t.task_group_id ? id(t.task_group_id) : null],
      ["Argument bytes", String(t.payload_bytes)], ["Result bytes", t.result_bytes ? String(t.result_bytes) : null],
      ["Submitted", when(t.submitted)],
    ])),
    el("h2", {}, "From submit to result"), el("div", { class: "card" }, timeLine(t.steps)),
  ];
  if (t.error) page.push(el("h2", {}, "Error"), el("pre", {}, t.error));
  return page;
}

async function peoplePage() {
  const { people } = await ask("console/api/people");
  return [
    el("h1", {}, "Who runs what, as whom"),
    table("People", ["User", "Local account", "User endpoint", "On", "State", "#Waiting", "#Running"],
      people.map((p) => row([p.owner, p.local_user, link(`#/endpoint/${p.id}`, id(p.id.slice(0, 8))),
        p.parent_name, state(p.status), p.waiting, p.running]))),
  ];
}

const PAGES = [
  [/^#\/endpoints$/, endpointsPage], [/^#\/endpoint\/([0-9a-f-]{36})$/, endpointPage],
  [/^#\/tasks(?:\?.*)?$/, tasksPage], [/^#\/task\/([0-9a-f-]{36})$/, taskPage], [/^#\/people$/, peoplePage],
];

async function draw(moveFocus) {
  if (!me) return;
  const hash = location.hash || "#/endpoints";
  const number = ++drawn;
  let page;
  try {
    const [pattern, make] = PAGES.find(([p]) => p.test(hash)) || [null, null];
    page = make ? await make(...pattern.exec(hash).slice(1)) : [el("h1", {}, "There is no such page.")];
  } catch (problem) {
    page = [el("p", { class: "error", role: "alert" }, problem.message)];
  }
  if (number !== drawn || !me) return;
  // Drawing again must not take the focus from a control that the reader is using.
  const focused = document.activeElement && main.contains(document.activeElement) && document.activeElement.id;
  main.replaceChildren(...page);
  if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
  for (const a of document.querySelectorAll("nav a")) {
    if (hash.startsWith(a.getAttribute("href").replace(/s$/, ""))) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  if (moveFocus) main.focus();
}

// ---- signing in and staying up to date ---------------------------------------------------------

function signedOut() {
  me = null;
  if (events) { events.close(); events = null; }
  document.getElementById("nav").hidden = document.getElementById("who").hidden = true;
  const form = document.getElementById("page-sign-in").content.cloneNode(true);
  main.replaceChildren(form);
  const sheet = document.getElementById("sign-in");
  sheet.querySelector("input").focus();
  sheet.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = sheet.querySelector(".error");
    error.hidden = true;
    const reply = await fetch("console/login", {
      method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(sheet))),
    }).catch(() => null);
    if (reply && reply.ok) return begin();
    const body = reply ? await reply.json().catch(() => ({})) : {};
    error.textContent = body.reason || "The service does not answer; try again in a moment.";
    error.hidden = false;
  });
}

function listen() {
  const light = document.getElementById("live");
  let pending = false;
  events = new EventSource("console/events");
  events.addEventListener("open", () => { light.textContent = "live"; light.className = "live on"; });
  events.addEventListener("error", () => { light.textContent = "reconnecting"; light.className = "live off"; });
  events.addEventListener("change", () => {
    if (pending) return;
    pending = true;
    setTimeout(() => { pending = false; draw(false); }, 250);
  });
}

async function begin() {
  let reply;
  try {
    reply = await ask("console/api/me");
  } catch (problem) {
    if (me === null && !document.getElementById("sign-in")) {
      main.replaceChildren(el("p", { class: "error", role: "alert" }, problem.message));
    }
    return;
  }
  me = reply;
  document.getElementById("nav").hidden = document.getElementById("who").hidden = false;
  document.getElementById("nav-people").hidden = !me.admin;
  document.getElementById("user").textContent = me.username;
  listen();
  draw(false);
}

document.getElementById("leave").addEventListener("click", async () => {
  await fetch("console/logout", { method: "POST", credentials: "same-origin" });
  signedOut();
});
addEventListener("hashchange", () => draw(true));
begin();
