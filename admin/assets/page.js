"use strict";
// Times in the reader's zone, sorting, copying, and forms that speak to the API.
(() => {
  const parts = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const zone = new Intl.DateTimeFormat(undefined, parts), otherYear = new Intl.DateTimeFormat(undefined, { year: "numeric", ...parts });
  const thisYear = new Date().getFullYear();
  const localise = root => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(element.dateTime);
      if (isNaN(at)) continue;
      element.title = element.textContent;
      element.textContent = (at.getFullYear() === thisYear ? zone : otherYear).format(at);
      element.dataset.local = "";
    }
  };

  const sortable = root => {
    for (const head of root.querySelectorAll("table[data-sort] th[aria-sort]")) {
      if (head.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
    }
  };

  // A cell's data-value is compared as a number if it is one; unknown goes last.
  const sort = head => {
    const body = head.closest("table").tBodies[0], column = head.cellIndex;
    const down = head.ariaSort !== "descending";
    for (const other of head.parentElement.children) if (other.ariaSort) other.ariaSort = "none";
    head.ariaSort = down ? "descending" : "ascending";
    const keys = new Map([...body.rows].map(row => {
      const cell = row.cells[column], text = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
      return [row, text === "" || text === "–" ? null : isNaN(text) ? text : Number(text)];
    }));
    const rows = [...body.rows].sort((a, b) => {
      const x = keys.get(a), y = keys.get(b);
      if (x === null || y === null) return (x === null) - (y === null);
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return down ? -order : order;
    });
    body.append(...rows);
  };

  // A form's fields as the text of a JSON object. Amounts go as they were typed,
  // never through a floating-point number.
  const bodyOf = form => {
    const root = new Map();
    const put = (name, text) => {
      const parts = name.split(".");
      let at = root;
      for (const part of parts.slice(0, -1)) {
        if (!at.has(part)) at.set(part, new Map());
        at = at.get(part);
      }
      at.set(parts.at(-1), text);
    };
    for (const field of form.elements) {
      if (!field.name || field.disabled || field.dataset.path !== undefined || field.dataset.confirm !== undefined) continue;
      const kind = field.dataset.json ?? (field.type === "checkbox" ? "boolean" : "string");
      if (!field.checked && (field.type === "radio" || field.type === "checkbox" && kind !== "boolean")) continue;
      const text = field.value.trim();
      if (kind === "boolean") put(field.name, field.type === "checkbox" ? String(field.checked) : text);
      else if (text === "") { if (field.dataset.empty !== undefined) put(field.name, field.dataset.empty); }
      else if (kind === "number") put(field.name, /^-?\d+(\.\d+)?$/.test(text) ? text : JSON.stringify(text));
      else if (kind === "list") put(field.name, JSON.stringify(text.split(",").map(s => s.trim()).filter(Boolean)));
      else if (kind === "numbers") put(field.name, "[" + text.split(",").map(s => s.trim()).filter(s => /^-?\d+(\.\d+)?$/.test(s)).join(",") + "]");
      else if (kind === "raw") put(field.name, text);
      else put(field.name, JSON.stringify(field.value));
    }
    // "rates.0.day" is a field of the first entry of a list.
    const isList = map => map.size > 0 && [...map.keys()].every(k => /^\d+$/.test(k));
    const write = map => isList(map) ? "[" + [...map.values()].map(v => v instanceof Map ? write(v) : v).join(",") + "]" : "{" + [...map].map(([k, v]) => JSON.stringify(k) + ":" + (v instanceof Map ? write(v) : v)).join(",") + "}";
    return write(root);
  };

  const say = (form, text, bad) => {
    let output = form.querySelector("output");
    if (!output) form.append(output = document.createElement("output"));
    output.className = bad ? "error" : "good";
    output.setAttribute("role", bad ? "alert" : "status");
    output.textContent = text;
  };

  // data-show="deliveries: channel state error" lists these fields of the answer.
  const list = (form, data) => {
    const [name, fields] = form.dataset.show.split(":").map(s => s.trim());
    const items = document.createElement("ul");
    for (const entry of data?.[name] ?? []) {
      const item = document.createElement("li");
      item.textContent = fields.split(" ").map(f => entry[f]).filter(v => v !== null && v !== undefined && v !== "").join(": ");
      items.append(item);
    }
    form.querySelector("output").append(items);
  };

  const complain = (form, problem) => {
    for (const old of form.querySelectorAll(".field-error")) old.remove();
    for (const field of form.elements) field.removeAttribute?.("aria-invalid");
    const rest = [];
    for (const error of problem.errors ?? []) {
      const field = form.elements.namedItem(error.field.replace(/^(body|query|path)\./, "").replace(/\[(\d+)\]/g, ".$1"));
      const allowed = error.allowed?.replace(" without quotes", ""); // which is for programs
      const text = error.message + (allowed && !error.message.includes(error.allowed) ? "; " + allowed : "");
      if (!(field instanceof Element)) { rest.push(error.field + ": " + text); continue; }
      const note = document.createElement("span");
      note.className = "field-error";
      note.id = "error-" + Math.random().toString(36).slice(2);
      note.textContent = text;
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", note.id);
      field.after(note);
    }
    const marked = form.querySelector("[aria-invalid=true]");
    say(form, [marked ? "Nothing was changed: see what is marked." : problem.detail, ...rest].join(" "), true);
    marked?.focus();
  };

  // <form data-api="POST /api/budgets">: fields become a JSON body, {name} in the
  // path the field of that name with data-path. data-then is where to go
  // afterwards, "reload" by default, "stay" to show data-done, or data-otherwise
  // if the answer's field that data-ask names is false.
  const submit = async form => {
    const [method, pattern] = form.dataset.api.split(" ");
    const path = pattern.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(form.elements.namedItem(name).value.trim()));
    const buttons = [...form.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    try {
      const request = { method, headers: { Accept: "application/json" } };
      if (form.dataset.body !== "none") {
        request.headers["Content-Type"] = "application/json";
        request.body = bodyOf(form);
      }
      const answer = await fetch(path, request);
      const text = await answer.text();
      let content = {};
      try { content = JSON.parse(text); } catch { /* an answer without JSON says nothing more */ }
      if (answer.status === 401) return say(form, "You are signed out. Sign in in another tab, then try again: what was typed stays here.", true);
      if (!answer.ok) return complain(form, { detail: content.detail ?? "Bursar answered " + answer.status + ".", errors: content.errors });
      form.dispatchEvent(new CustomEvent("bursar:done", { bubbles: true, detail: content.data }));
      const then = form.dataset.then ?? "reload";
      if (then === "reload") location.reload();
      else if (then === "stay") {
        const { ask, done, otherwise } = form.dataset;
        say(form, (ask && !content.data?.[ask] ? otherwise : done) ?? "Done.", false);
        if (form.dataset.show) list(form, content.data);
      }
      else location.assign(then);
    } catch {
      say(form, "Bursar does not answer. Nothing was changed as far as this page knows; try again.", true);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  };

  document.addEventListener("submit", event => {
    if (!event.target.dataset.api) return;
    event.preventDefault();
    submit(event.target);
  });
  document.addEventListener("click", async event => {
    const target = event.target.closest("button, [data-dialog]");
    if (!target) return;
    if (target.dataset.copy) {
      await navigator.clipboard.writeText(document.getElementById(target.dataset.copy).textContent);
      target.textContent = "Copied";
      setTimeout(() => { target.textContent = "Copy"; }, 2000);
    } else if (target.dataset.dialog) document.getElementById(target.dataset.dialog).showModal();
    else if (target.dataset.close !== undefined) target.closest("dialog").close();
    else if (target.parentElement?.ariaSort) sort(target.parentElement);
  });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") for (const open of document.querySelectorAll("details.explain[open]")) open.open = false;
  });
  document.addEventListener("toggle", event => {
    if (!event.target.matches?.("details.explain") || !event.target.open) return;
    for (const open of document.querySelectorAll("details.explain[open]")) if (open !== event.target) open.open = false;
  }, true);

  // What stands behind # is known to the browser alone, which would go there
  // instead of to the field of the token.
  const login = document.querySelector('form[action="/login"]');
  if (login) {
    login.elements.back.value += location.hash;
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    login.elements.token.focus();
  }

  const dress = root => { localise(root); sortable(root); };
  dress(document);
  window.bursar = { dress };
})();
