// The live log: follows, pauses, searches. The rows come by the htmx SSE extension as HTML from the server.
(function () {
  "use strict";
  const card = document.querySelector("[data-live-log]");
  if (!card) return;
  const view = card.querySelector("[data-log-view]");
  const rows = card.querySelector("[data-log-rows]");
  const follow = card.querySelector("[data-log-follow]");
  const pause = card.querySelector("[data-log-pause]");
  const news = card.querySelector("[data-log-news]");
  const search = card.querySelector("[data-log-search]");
  const matches = card.querySelector("[data-log-matches]");
  const stream = document.querySelector("[sse-connect]");
  const held = [];
  let found = [];
  let here = -1;

  const isPressed = (button) => button !== null && button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button && button.setAttribute("aria-pressed", String(on));

  function toEnd() {
    view.scrollTop = view.scrollHeight;
    news.hidden = true;
  }

  function append(html) {
    htmx.swap(rows, html, { swapStyle: "beforeend" });
  }

  function lastSeq() {
    const last = rows.lastElementChild;
    return last ? Number(last.id.slice(1)) : 0;
  }

  function tellNews(count) {
    if (!count) return;
    news.hidden = false;
    news.textContent = isPressed(pause) ? "Paused: " + count + " new" : "New lines below";
  }

  function resume() {
    press(pause, false);
    held.splice(0).forEach(append);
    if (isPressed(follow)) toEnd();
    else news.hidden = true;
  }

  rows.addEventListener("htmx:sseBeforeMessage", function (event) {
    // A stream that was opened anew may repeat rows: those that are here already are left out.
    const first = /id="L(\d+)"/.exec(event.detail.data);
    if (first && Number(first[1]) <= lastSeq()) {
      event.preventDefault();
      const fresh = document.createElement("template");
      fresh.innerHTML = event.detail.data;
      const known = lastSeq();
      fresh.content.querySelectorAll(".log-line").forEach(function (line) {
        if (Number(line.id.slice(1)) > known) rows.append(line);
      });
      return;
    }
    if (!isPressed(pause)) return;
    event.preventDefault();
    held.push(event.detail.data);
    tellNews(held.length);
  });

  rows.addEventListener("htmx:sseMessage", function () {
    const empty = card.querySelector("[data-log-empty]");
    if (empty) empty.remove();
    // The extension opens a lost stream by this address: from here on, not from the beginning.
    const address = stream.getAttribute("sse-connect").split("?")[0];
    stream.setAttribute("sse-connect", address + "?after=" + lastSeq());
    if (search.value) markMatches();
    if (isPressed(follow)) toEnd();
    else tellNews(1);
  });

  view.addEventListener("scroll", function () {
    const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 40;
    if (isAtEnd) news.hidden = news.hidden || !isPressed(pause);
    else press(follow, false);
    if (isAtEnd && stream) press(follow, true);
  });

  follow.addEventListener("click", function () {
    press(follow, !isPressed(follow));
    if (isPressed(follow)) toEnd();
  });
  if (pause) pause.addEventListener("click", () => (isPressed(pause) ? resume() : press(pause, true)));
  news.addEventListener("click", function () {
    if (isPressed(pause)) resume();
    press(follow, true);
    toEnd();
  });

  function markMatches() {
    const wanted = search.value.trim().toLowerCase();
    found = [];
    rows.querySelectorAll(".log-line").forEach(function (line) {
      const isMatch = wanted !== "" && line.querySelector(".log-text").textContent.toLowerCase().includes(wanted);
      line.classList.toggle("is-match", isMatch);
      if (isMatch) found.push(line);
    });
    matches.textContent = wanted ? (found.length ? here + 1 + "/" + found.length : "none") : "";
  }

  function goTo(index) {
    if (!found.length) return;
    if (found[here]) found[here].classList.remove("is-here");
    here = (index + found.length) % found.length;
    press(follow, false);
    found[here].classList.add("is-here");
    found[here].scrollIntoView({ block: "center" });
    matches.textContent = here + 1 + "/" + found.length;
  }

  search.addEventListener("input", function () {
    here = -1;
    card.querySelectorAll(".is-here").forEach((line) => line.classList.remove("is-here"));
    markMatches();
    goTo(0);
  });
  search.addEventListener("keydown", function (event) {
    if (event.key === "Enter") goTo(here + (event.shiftKey ? -1 : 1));
    if (event.key === "Escape") search.blur();
  });

  document.addEventListener("htmx:sseClose", function () {
    resume();
    if (pause) pause.remove();
    press(follow, false);
  });
  if (isPressed(follow)) toEnd();
})();
