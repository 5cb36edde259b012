// What every page shares: relative times, dialogs that ask, copy buttons, keyboard, messages about lost requests.
(function () {
  "use strict";
  const units = [
    ["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60],
  ];
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

  function ago(seconds) {
    const size = Math.abs(seconds);
    const unit = units.find(([, length]) => size >= length);
    if (!unit) return size < 10 ? "just now" : Math.round(size) + " s ago";
    return relative.format(-Math.round(seconds / unit[1]), unit[0]);
  }

  function refreshTimes(scope) {
    scope.querySelectorAll("time[data-ago]").forEach(function (element) {
      const text = ago((Date.now() - Date.parse(element.dateTime)) / 1000);
      if (element.textContent !== text) element.textContent = text;
    });
    scope.querySelectorAll("time[data-running-since]").forEach(function (element) {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(element.dateTime)) / 1000));
      const minutes = Math.floor(seconds / 60);
      element.textContent = minutes ? minutes + " min " + (seconds % 60) + " s" : seconds + " s";
    });
  }

  function showToast(text) {
    const host = document.getElementById("toasts");
    const toast = document.createElement("div");
    toast.className = "notice notice-danger";
    toast.setAttribute("role", "alert");
    toast.textContent = text;
    host.append(toast);
    window.setTimeout(() => toast.remove(), 8000);
  }

  // A link to a page that asks becomes a dialog: the same view serves the fragment.
  async function openDialog(link) {
    const dialog = document.getElementById("dialog");
    const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
    if (!answer.ok || answer.redirected) {
      window.location.assign(link.href);
      return;
    }
    dialog.innerHTML = await answer.text();
    htmx.process(dialog);
    dialog.showModal();
  }

  document.addEventListener("click", function (event) {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.metaKey && !event.ctrlKey) {
      event.preventDefault();
      openDialog(link).catch(() => window.location.assign(link.href));
      return;
    }
    const dialog = document.getElementById("dialog");
    if (dialog && (event.target === dialog || event.target.closest("#dialog [data-dialog-close]"))) {
      event.preventDefault();
      dialog.close();
      return;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const source = document.getElementById(copy.dataset.copy);
      navigator.clipboard.writeText(source.innerText).then(function () {
        copy.classList.add("is-copied");
        window.setTimeout(() => copy.classList.remove("is-copied"), 1500);
      }, () => showToast("The browser did not allow copying. Select the text and copy it by hand."));
    }
    const dismiss = event.target.closest("[data-dismiss]");
    if (dismiss) dismiss.parentElement.remove();
  });

  document.addEventListener("keydown", function (event) {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.metaKey || event.ctrlKey) return;
    const field = document.querySelector("[data-search]");
    if (!field) return;
    event.preventDefault();
    field.focus();
  });

  // A second click must not start a second run while the first request is under way.
  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "true";
    form.querySelectorAll("button").forEach((button) => button.classList.add("btn-loading"));
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
      form.querySelectorAll(".btn-loading").forEach((button) => button.classList.remove("btn-loading"));
    });
  });

  document.addEventListener("change", function (event) {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form && event.target.type !== "search") form.requestSubmit();
  });

  document.addEventListener("htmx:sendError", () => showToast("No connection to Paid. What you see may be old."));
  document.addEventListener("htmx:responseError", (event) =>
    showToast("The server answered " + event.detail.xhr.status + ". Reload the page to see where things stand."));
  document.addEventListener("htmx:afterSettle", (event) => refreshTimes(event.target));

  // On a phone the entries and tabs do not all fit: those that are open are brought into view.
  document.querySelectorAll(".shell-nav [aria-current], .tabs [aria-current]").forEach(function (entry) {
    entry.scrollIntoView({ block: "nearest", inline: "center" });
  });

  refreshTimes(document);
  window.setInterval(() => refreshTimes(document), 1000);
})();
