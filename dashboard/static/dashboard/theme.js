// Loaded in <head> without defer, so that a dark page never flashes white. No inline script: the CSP forbids it.
(function () {
  "use strict";
  const root = document.documentElement;
  const wantsDark = window.matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return localStorage.getItem("paid-theme");
    } catch {
      return null; // storage can be switched off
    }
  }

  function apply() {
    root.dataset.bsTheme = stored() || (wantsDark.matches ? "dark" : "light");
    document.dispatchEvent(new CustomEvent("paid:theme"));
  }

  root.classList.add("js");
  apply();
  wantsDark.addEventListener("change", apply);
  document.addEventListener("click", function (event) {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const theme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("paid-theme", theme);
    } catch {
      // the choice then lasts for this page only
    }
    apply();
    root.dataset.bsTheme = theme;
  });
})();
