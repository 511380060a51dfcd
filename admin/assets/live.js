// What moves while somebody looks: the figures and the newest calls.
(() => {
  const state = document.getElementById("live");
  if (!state) return;
  const show = (name, ...content) => {
    if (state.dataset.state === name) return;
    state.dataset.state = name;
    state.querySelector("span").replaceChildren(...content);
  };
  const maxRows = 200;

  // A row belongs into a filtered table if it has what the filter asks for.
  const fits = row => {
    for (const field of document.querySelectorAll("form.filters [name]")) {
      if (!field.defaultValue && !(field.tagName === "SELECT")) continue;
      const want = field.tagName === "SELECT" ? new URLSearchParams(location.search).get(field.name) ?? "" : field.defaultValue;
      if (!want) continue;
      const name = field.name.replace(/_id$/, "");
      if (name === "since" || name === "until") return false;
      if (row.dataset[name] !== want) return false;
    }
    return true;
  };

  const put = (table, calls) => {
    for (const call of calls) {
      const template = document.createElement("template");
      template.innerHTML = "<table><tbody>" + call.html + "</tbody></table>";
      const row = template.content.querySelector("tr");
      window.bursar.dress(row);
      const known = table.querySelector(`tr[data-id="${CSS.escape(call.id)}"]`);
      if (known) { if (known.outerHTML !== row.outerHTML) known.replaceWith(row); continue; }
      if (!fits(row)) continue;
      // Calls start in the order of their ids, and are recorded in another.
      const body = table.tBodies[0];
      const after = [...body.rows].find(other => other.dataset.id < call.id) ?? null;
      if (after === null && body.rows.length >= 50) continue;
      row.classList.add("new");
      body.insertBefore(row, after);
      while (body.rows.length > maxRows) body.rows[body.rows.length - 1].remove();
    }
  };

  const told = message => {
    const event = JSON.parse(message.data);
    if (event.broken) show("broken", "database away: last known figures"); else show("live", "live");
    for (const element of document.querySelectorAll("[data-live]")) {
      const text = event.figures[element.dataset.live];
      if (text === undefined || element.textContent.trim() === text) continue;
      const first = element.textContent.trim() === "–";
      element.textContent = text;
      if (!first) { element.classList.remove("moved"); void element.offsetWidth; element.classList.add("moved"); }
    }
    const section = document.querySelector("[data-calls]");
    if (section && event.calls.length) {
      put(section.querySelector("table"), event.calls);
      if (section.hidden && section.querySelector("tr[data-id]")) {
        section.hidden = false;
        document.querySelector(".start")?.remove();
      }
    }
    document.dispatchEvent(new CustomEvent("bursar:live", { detail: event }));
  };
  const again = () => {
    const link = document.createElement("a");
    link.href = "/login?back=" + encodeURIComponent(location.pathname + location.search + location.hash);
    link.textContent = "sign in again";
    return link;
  };

  // A browser tries again by itself after a broken connection, but not after
  // an answer other than 200, of which it does not tell the status.
  let source;
  const refused = async () => {
    const asking = new AbortController();
    const status = await fetch("/live", { headers: { Accept: "text/event-stream" }, signal: asking.signal }).then(answer => answer.status, () => 0);
    asking.abort();
    if (status === 401) show("out", "signed out: ", again());
    else setTimeout(follow, 5000);
  };
  const follow = () => {
    source = new EventSource("/live");
    source.onmessage = told;
    source.onerror = () => {
      show("lost", "connection lost, trying again");
      if (source.readyState === EventSource.CLOSED) refused();
    };
  };
  follow();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", event => { if (event.persisted) follow(); });
})();
