/* What htmx and HTML cannot do alone. Every page works without it; docs/interface.md lists the attributes it reads. */
(() => {
  "use strict";

  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const decoded = (text) => { try { return decodeURI(text); } catch { return text; } };

  // Back while a page still reloads can show another address's page (there is no history cache): load it anew, once.
  const address = location.pathname + location.search;
  if (root.dataset.path && decoded(root.dataset.path) !== decoded(address)) {
    let before = null;
    try { before = sessionStorage.getItem("reloaded"); sessionStorage.setItem("reloaded", address); } catch { before = address; }
    if (before !== address) { location.reload(); return; }
  } else {
    try { sessionStorage.removeItem("reloaded"); } catch { /* storage may be switched off */ }
  }

  const pane = find("#pane");
  const dialog = find("#dialog");
  const leaveDialog = find("#leave-dialog");
  const toasts = find("#toasts");
  const openers = new WeakMap();

  // ---- announcements and toasts -------------------------------------------------------------------------------

  /** Read `text` out; inside an open dialog, because everything behind it is inert. */
  function announce(text) {
    const open = all("dialog[open]").pop();
    const region = (open && find("[data-live]", open)) || find("body > [data-live]");
    if (!region) return;
    region.textContent = "";
    setTimeout(() => { region.textContent = text; }, 50);
  }

  let progress = { text: "", at: 0 };

  /** What a fragment says of itself; with `data-announce="10"` only what is new, and at most every ten seconds. */
  function announceNews(element) {
    const text = element.textContent.trim().replace(/\s+/g, " ");
    const seconds = Number(element.dataset.announce);
    if (seconds) {
      if (text === progress.text || Date.now() - progress.at < seconds * 1000) return;
      progress = { text, at: Date.now() };
    }
    announce(text);
  }

  const kinds = { success: "ok", warning: "warn", error: "bad", ok: "ok", warn: "warn", bad: "bad" };

  /** With `form` it has the button Undo and stays as long as that is offered. */
  function showToast(level, text, form) {
    if (!toasts || !text) return;
    const kind = kinds[level] || "info";
    const drawing = (name) => find(`[data-kind="${name}"]`, find("#toast-icons").content).firstElementChild.cloneNode(true);
    const toast = document.createElement("div");
    toast.className = `toast ${kind}`;
    const words = document.createElement("span");
    words.className = "grow";
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn subtle icon-only";
    close.setAttribute("aria-label", toasts.dataset.closeLabel);
    close.append(drawing("close"));
    const remove = () => {
      if (toast.contains(document.activeElement)) find("#main").focus({ preventScroll: true });
      toast.remove();
      if (!toasts.childElementCount && toasts.matches(":popover-open")) toasts.hidePopover();
    };
    close.addEventListener("click", remove);
    toast.append(drawing(kind), words, ...(form ? [form] : []), close);
    toasts.append(toast);
    if (toasts.matches(":popover-open")) toasts.hidePopover();
    toasts.showPopover({ source: document.activeElement }); // shown last, hence above an open dialog
    if (form) { htmx.process(form); form.addEventListener("htmx:afterRequest", () => setTimeout(remove)); }
    if (find("dialog[open]")) announce(text);
    if (kind === "warn" || kind === "bad") return; // stays until it is closed
    let timer = setTimeout(remove, form ? 10000 : 6000); // connections_portal/undo.py: SECONDS
    if (form) return;
    toast.addEventListener("pointerenter", () => clearTimeout(timer));
    toast.addEventListener("pointerleave", () => { timer = setTimeout(remove, 6000); });
  }

  function showToasts(box) {
    for (const message of all("[data-toast]", box)) {
      const next = message.nextElementSibling;
      showToast(message.dataset.toast, message.textContent.trim(), next?.matches("form") ? next : null);
    }
  }

  // The server puts messages here, at the end of the fragments that it sends.
  const inbox = find("#toast-inbox");
  if (inbox) new MutationObserver(() => { showToasts(inbox); inbox.replaceChildren(); }).observe(inbox, { childList: true });

  // ---- pane and dialogs ---------------------------------------------------------------------------------------

  const touched = new WeakSet(); // panes and dialogs in which somebody has typed
  const isDirty = (box) => touched.has(box) && Boolean(find("form:not([data-unguarded])", box));

  function closePopovers() {
    for (const open of all("[popover]:popover-open")) if (open !== toasts) open.hidePopover();
  }

  function focusFirst(box) {
    const usable = (element) => element.checkVisibility() && !element.disabled;
    const choices = ["[aria-invalid=true]", "[autofocus]",
      ":is(input:not([type=hidden]), select, textarea)", ".pane-foot .btn, .dialog-foot .btn"];
    for (const choice of choices) {
      const target = all(choice, box).find(usable);
      if (target) { (target.type === "radio" && all(`[name="${CSS.escape(target.name)}"]:checked`, target.form)[0] || target).focus(); return; }
    }
  }

  function open(box) {
    if (!box.open) {
      closePopovers();
      openers.set(box, document.activeElement);
      box.showModal();
    }
    focusFirst(box);
  }

  function shut(box) {
    touched.delete(box);
    box.close();
  }

  function closeAsking(box) {
    if (!isDirty(box)) { shut(box); return; }
    leaveDialog.returnValue = "stay";
    leaveDialog.addEventListener("close", () => { if (leaveDialog.returnValue === "leave") shut(box); }, { once: true });
    leaveDialog.showModal();
  }

  for (const box of [pane, dialog]) {
    if (!box) continue;
    box.addEventListener("cancel", (event) => { if (event.target === box) { event.preventDefault(); closeAsking(box); } });
    box.addEventListener("close", () => {
      touched.delete(box);
      find(`#${box.id}-body`).replaceChildren();
      const opener = openers.get(box);
      if (!opener || (opener.isConnected && opener.checkVisibility())) return; // the browser has given the focus back
      const again = opener.id && document.getElementById(opener.id);
      (again && again.checkVisibility() ? again : find("[data-select-all]") || find("#main")).focus();
    });
  }

  document.addEventListener("closeDialogs", () => { for (const box of [dialog, pane]) if (box && box.open) shut(box); });

  // ---- htmx ---------------------------------------------------------------------------------------------------

  document.addEventListener("htmx:afterSwap", (event) => {
    const target = event.detail.target;
    if (pane && target.id === "pane-body") open(pane);
    else if (dialog && target.id === "dialog-body") open(dialog);
    else if (event.detail.xhr.status === 422) focusFirst(target.isConnected ? target : document.getElementById(target.id) || document);
  });
  let held = null; // what had the focus before a swap, and what was around it

  document.addEventListener("htmx:beforeSwap", () => {
    const element = document.activeElement;
    if (element === document.body && held && !held.element.isConnected) return; // another swap has just taken it away
    held = { element, around: [] };
    for (let box = element.parentElement; box; box = box.parentElement) if (box.id) held.around.push(box.id);
  });

  /** When a swap has taken the focused element away: to the first control of what stands in its place. */
  function keepFocus() {
    if (!held || held.element.isConnected || document.activeElement !== document.body) return;
    for (const box of held.around.map((id) => document.getElementById(id))) {
      const target = box && all("a[href], button, input:not([type=hidden]), select, textarea", box).find((e) => e.checkVisibility() && !e.disabled);
      if (target) { target.focus(); return; }
    }
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    refresh();
    keepFocus();
    for (const element of all("[data-announce]", event.detail.elt)) announceNews(element);
  });
  document.addEventListener("htmx:responseError", (event) => {
    const words = { 403: "forbidden", 404: "gone", 410: "gone", 429: "busy", 503: "busy" }[event.detail.xhr.status];
    showToast("error", toasts && toasts.dataset[words || "failed"]);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => showToast("error", toasts && toasts.dataset.offline));
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    for (const button of all("[aria-busy=true]")) if (!event.detail.elt.isConnected || event.detail.elt.contains(button) || button.form === event.detail.elt) button.removeAttribute("aria-busy");
  });

  // ---- forms --------------------------------------------------------------------------------------------------

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.matches("[data-theme-form]")) { event.preventDefault(); setTheme(button); return; }
    if (!button || event.target.method === "dialog") return;
    if (button.getAttribute("aria-busy") === "true") { event.preventDefault(); event.stopImmediatePropagation(); return; }
    button.setAttribute("aria-busy", "true"); // at once: the second click of a double one comes in the same task
  }, true);
  addEventListener("pageshow", () => { for (const button of all("[aria-busy=true]")) button.removeAttribute("aria-busy"); refresh(); });

  function setTheme(pressed) {
    const theme = pressed.value;
    root.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax${secure}`;
    closePopovers();
    if (pressed.checkVisibility()) return;
    const other = all("button", pressed.form).find((button) => button.checkVisibility());
    if (other) other.focus(); // the pressed one has given way to its counterpart
  }

  function currentValues(form, name) {
    return all(`[name="${CSS.escape(name)}"]`, form)
      .filter((field) => !["radio", "checkbox"].includes(field.type) || field.checked)
      .map((field) => field.value);
  }

  function showFields(within = document) {
    for (const box of all("[data-shown-when]", within)) {
      const [name, wanted] = box.dataset.shownWhen.split(/=(.*)/s);
      const values = currentValues(box.closest("form") || document, name);
      box.hidden = !wanted.split("|").some((value) => values.includes(value) || (value === "" && !values.length));
    }
  }

  /** Take `scheme://user@host:port/folder` apart. A password in it is dropped; another scheme is left to the server. */
  function takeAddress(input) {
    const pattern = /^([a-z][a-z0-9+.-]*):\/\/(?:([^@/]*)@)?(\[[^\]]+\]|[^:/?#]+)(:\d+)?(?:\/([^?#]*))?/i;
    const parts = pattern.exec(input.value.trim());
    if (!parts || parts[1].toLowerCase() !== input.dataset.parseAddress.toLowerCase()) return;
    const found = { username: decoded((parts[2] || "").split(":")[0]), folder: decoded(parts[5] || "") };
    input.value = parts[3] + (parts[4] || "");
    const filled = [];
    for (const [part, id] of Object.entries(JSON.parse(input.dataset.fills || "{}"))) {
      const field = document.getElementById(id);
      if (!field || !found[part]) continue;
      field.value = found[part];
      field.dispatchEvent(new Event("change", { bubbles: true }));
      filled.push(find(`label[for="${CSS.escape(id)}"]`)?.firstChild.textContent.trim() || part);
    }
    if (filled.length) announce(`${toasts.dataset.filled}: ${filled.join(", ")}`);
  }

  /** What was wrong with a field is not said any more once something else is typed there. */
  function forgetError(field) {
    const box = field.closest(".field.has-error");
    const said = box && find(":scope > .field-error", box);
    if (!said) return;
    said.remove();
    box.classList.remove("has-error");
    for (const wrong of all("[aria-invalid]", box)) wrong.removeAttribute("aria-invalid");
    for (const described of [box, ...all("[aria-describedby]", box)]) {
      const ids = (described.getAttribute("aria-describedby") || "").split(" ").filter((id) => id !== said.id);
      if (ids.join("")) described.setAttribute("aria-describedby", ids.join(" "));
      else described.removeAttribute("aria-describedby");
    }
    const list = find("#form-errors");
    const entry = list && find(`.error-list a[href="#${CSS.escape(said.id.replace(/_error$/, ""))}"]`, list);
    if (entry) entry.closest("li").remove();
    if (list && list.matches("[data-fields-only]") && !find("li", list)) list.remove();
  }

  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // without https there is no clipboard object
      const area = document.createElement("textarea");
      area.value = text;
      (button.closest("dialog") || document.body).append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    showToast("success", toasts.dataset.copied);
  }

  document.addEventListener("input", (event) => {
    const box = event.target.closest("dialog[open]");
    if (box) touched.add(box);
    forgetError(event.target);
    // typed letter by letter an address is whole only at the end (change)
    if (event.target.matches("[data-parse-address]") && !/^(insertText|delete)/.test(event.inputType || "")) takeAddress(event.target);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-parse-address]")) takeAddress(event.target);
  }, true); // before the privacy text is asked for
  document.addEventListener("change", (event) => {
    const field = event.target;
    forgetError(field);
    if (field.matches("[data-tick-all]")) {
      for (const box of all(`[name="${CSS.escape(field.dataset.tickAll)}"]`, field.form)) if (!box.disabled) box.checked = field.checked;
    }
    if (field.matches("[data-select-all]")) {
      for (const box of all("[data-select]", field.closest("table"))) box.checked = field.checked;
    }
    refresh();
  });

  // ---- selection and command bar ------------------------------------------------------------------------------

  let lastTicked = null; // where a range begins

  function updateSelection() {
    const bar = find("[data-selection]");
    const boxes = all("[data-select]");
    const rows = boxes.filter((box) => box.checked).map((box) => box.closest("tr"));
    const everything = find("[data-select-all]");
    if (everything) {
      everything.checked = boxes.length > 0 && rows.length === boxes.length;
      everything.indeterminate = rows.length > 0 && rows.length < boxes.length;
    }
    if (!bar) return;
    const held = bar.contains(document.activeElement) && document.activeElement;
    const offers = (row, name) => find(`[data-command="${name}"]`, row);
    bar.hidden = rows.length === 0;
    for (const command of all("[data-command]", bar)) command.hidden = rows.length !== 1 || !offers(rows[0], command.dataset.command);
    for (const command of all("[data-bulk]", bar)) command.hidden = rows.length < 2 || !rows.some((row) => offers(row, command.dataset.bulk));
    if (held && !held.checkVisibility()) (everything || find("#main")).focus();
    const count = find("[data-selection-count]", bar);
    const text = rows.length ? count.dataset.selectionCount.replace("{}", rows.length) : "";
    if (count.textContent !== text) count.textContent = text;
  }

  function clearSelection() {
    for (const tick of all("[data-select]")) tick.checked = false;
    refresh();
  }

  /** With Shift, every row from the one ticked before to this one follows it. */
  function tickRange(box, shift) {
    const boxes = all("[data-select]");
    const [from, to] = [boxes.indexOf(lastTicked), boxes.indexOf(box)].sort((a, b) => a - b);
    if (shift && from >= 0) for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
    lastTicked = box; // the box's own change event counts anew
  }

  function updateTickAll() {
    for (const box of all("[data-tick-all]")) {
      const others = all(`[name="${CSS.escape(box.dataset.tickAll)}"]`, box.form);
      const ticked = others.filter((other) => other.checked).length;
      box.checked = others.length > 0 && ticked === others.length;
      box.indeterminate = ticked > 0 && ticked < others.length;
    }
  }

  function refresh() {
    updateSelection();
    updateTickAll();
    showFields();
  }

  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-close], [data-copy], [data-select], [data-clear-selection], [data-selection] [data-command], .error-list a");
    if (!element) return;
    const box = element.closest("dialog[open]");
    if (element.matches("[data-close]")) {
      if (box) { event.preventDefault(); closeAsking(box); }
    } else if (element.matches("[data-copy]")) {
      copy(element);
    } else if (element.matches("[data-select]")) {
      tickRange(element, event.shiftKey);
    } else if (element.matches("[data-clear-selection]")) {
      clearSelection();
    } else if (element.matches(".error-list a")) {
      const field = document.getElementById(element.hash.slice(1));
      if (field) { event.preventDefault(); (field.matches("fieldset") ? find("input", field) || field : field).focus(); }
    } else {
      const row = find("[data-select]:checked")?.closest("tr");
      row && find(`[data-command="${element.dataset.command}"]`, row)?.click();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.target.matches("input[type=search]") || find("dialog[open], [popover]:popover-open:not(#toasts)")) return;
    if (find("[data-select]:checked")) clearSelection();
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select");
    const undo = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !typing && all(".undo .btn", toasts).pop();
    if (undo) { event.preventDefault(); undo.click(); }
  });

  // ---- start --------------------------------------------------------------------------------------------------

  function start() {
    refresh();
    for (const messages of all("template[data-toasts]")) showToasts(messages.content);
    const wrong = find("#form-errors, .dialog-page") && find("[aria-invalid=true]");
    if (wrong) wrong.focus();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
