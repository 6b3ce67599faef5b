/* A text field with a searchable list (combobox pattern of the ARIA Authoring Practices), and *Use Key Vault* around it.
   The list comes from the server by htmx; without this script the field has a button Search, and what is found is marked. */
(() => {
  "use strict";

  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const WAIT = 250; // milliseconds without another key before a search

  let timer = 0;
  let number = 0;

  const boxOf = (element) => element.closest?.("[data-combobox]");
  const inputOf = (box) => find("input[type=text]", box);
  const foundOf = (box) => find(".combobox-found", box);
  const options = (box) => all("[role=option]", box);
  const isOpen = (box) => inputOf(box).getAttribute("aria-expanded") === "true";

  /** Take over: the field becomes a combobox, and the button that the list needs without script goes. */
  function prepare(root) {
    for (const box of all("[data-combobox]:not([data-ready])", root)) {
      const input = inputOf(box);
      box.dataset.ready = "";
      input.setAttribute("role", "combobox");
      input.setAttribute("aria-autocomplete", "list");
      input.setAttribute("aria-expanded", "false");
      foundOf(box).hidden = true;
    }
  }

  function search(box) {
    clearTimeout(timer);
    box.dataset.asked = inputOf(box).value;
    inputOf(box).dispatchEvent(new Event("combobox:search"));
  }

  /** Show the list; what is in it is for what is typed, unless a search for that is on its way (`searching`). */
  function open(box, searching = false) {
    const input = inputOf(box);
    foundOf(box).hidden = false;
    input.setAttribute("aria-expanded", "true");
    input.setAttribute("aria-controls", box.dataset.combobox);
    if (searching) return;
    if (box.dataset.asked !== input.value || !options(box).length) search(box);
  }

  function close(box) {
    clearTimeout(timer);
    foundOf(box).hidden = true;
    inputOf(box).setAttribute("aria-expanded", "false");
    point(box, null);
  }

  /** The option that Enter takes; null for none. */
  function point(box, option) {
    const input = inputOf(box);
    for (const other of options(box)) other.setAttribute("aria-selected", String(other === option));
    if (!option) { input.removeAttribute("aria-activedescendant"); return; }
    option.id ||= `option-${number += 1}`;
    input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  function move(box, step) {
    const list = options(box);
    if (!list.length) return;
    const now = list.findIndex((option) => option.getAttribute("aria-selected") === "true");
    const next = now < 0 ? (step > 0 ? 0 : list.length - 1) : (now + step + list.length) % list.length;
    point(box, list[next]);
  }

  function choose(box, option) {
    if (option.matches("[aria-disabled=true]")) return;
    if (option.matches("[data-more]")) { box.dataset.from = String(options(box).indexOf(option)); htmx.trigger(option, "click"); return; }
    const input = inputOf(box);
    input.value = box.dataset.asked = option.dataset.value;
    close(box);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** Another secret has other versions. */
  function forgetVersions(secret) {
    const versions = find("[data-versions]", secret);
    const words = find("[data-version] [data-always]", secret);
    if (versions) versions.replaceChildren();
    if (words) words.textContent = words.dataset.always;
  }

  document.addEventListener("click", (event) => {
    const option = event.target.closest("[data-combobox] [role=option]");
    if (option) {
      if (!option.matches("[data-more]")) choose(boxOf(option), option);
      else if (event.isTrusted) boxOf(option).dataset.from = String(options(boxOf(option)).indexOf(option));
      return;
    }
    if (event.target.matches("[role=combobox]")) open(boxOf(event.target));
  });

  // pressing the mouse on an option leaves the focus in the field
  document.addEventListener("mousedown", (event) => { if (event.target.closest("[data-combobox] [role=option]")) event.preventDefault(); });

  document.addEventListener("keydown", (event) => {
    if (!event.target.matches("[role=combobox]") || event.ctrlKey || event.metaKey) return;
    const box = boxOf(event.target);
    const pointed = options(box).find((option) => option.getAttribute("aria-selected") === "true");
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp":
        event.preventDefault();
        if (!isOpen(box)) open(box);
        else move(box, event.key === "ArrowDown" ? 1 : -1);
        break;
      case "Enter":
        event.preventDefault(); // never the form's first button
        if (!isOpen(box)) open(box);
        else if (pointed) choose(box, pointed);
        else close(box);
        break;
      case "Escape":
        if (isOpen(box)) { event.preventDefault(); event.stopPropagation(); close(box); }
        break;
    }
  }, true);

  document.addEventListener("input", (event) => {
    const box = event.target.matches("[role=combobox]") && boxOf(event.target);
    if (!box) return;
    forgetVersions(box.closest("[data-secret]"));
    if (box.dataset.asked === event.target.value) return; // chosen from the list
    open(box, true);
    point(box, null);
    clearTimeout(timer);
    timer = setTimeout(() => search(box), WAIT);
  });

  document.addEventListener("focusout", (event) => {
    const box = boxOf(event.target);
    if (box && box.dataset.ready === "" && !box.contains(event.relatedTarget) && event.relatedTarget) close(box);
  });

  document.addEventListener("change", (event) => {
    const secret = event.target.closest("[data-secret]");
    if (!secret) return;
    if (event.target.matches("[role=switch]") && event.target.checked) {
      // nothing that was typed goes along
      for (const typed of all(":scope > .field input[type=password], :scope > .field textarea", secret)) typed.value = "";
    }
    if (event.target.matches("select")) { // another vault
      const box = find("[data-combobox]", secret);
      inputOf(box).value = "";
      delete box.dataset.asked;
      foundOf(box).replaceChildren();
      forgetVersions(secret);
    }
  });

  /** A worker has read the whole list: show it, unless somebody stands in the old one; then with the next search. */
  document.addEventListener("combobox:read", (event) => {
    const box = boxOf(event.target);
    if (!box) return;
    if (isOpen(box) && !inputOf(box).hasAttribute("aria-activedescendant")) search(box);
    else delete box.dataset.asked;
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const box = boxOf(document.activeElement);
    if (box && foundOf(box).contains(document.activeElement) && event.detail.target.contains(document.activeElement)) inputOf(box).focus();
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    prepare(document);
    if (event.detail.target?.matches("[data-versions]")) find(":checked", event.detail.target)?.focus(); // the button has gone
    const box = boxOf(event.detail.elt);
    if (box && isOpen(box)) foundOf(box).scrollIntoView({ block: "nearest" });
    if (!box || box.dataset.from === undefined) return;
    point(box, options(box)[Number(box.dataset.from)] || null); // the first one that More has brought
    delete box.dataset.from;
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => prepare(document));
  else prepare(document);
})();
