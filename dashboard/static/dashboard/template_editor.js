// Colours and line numbers behind a textarea that stays the one control: typing, undo, input methods, Tab and screen
// readers meet nothing new, and without this script it is a plain field. dashboard/template_colours.py draws the same
// colours where a template is only read.
(function () {
  "use strict";
  // Beyond this the text is shown without colours: each keystroke looks at all of it.
  const MOST_CHARACTERS = 400000;
  const NEIGHBOURS = 64;
  const OPENING = /\{[{%#]/g;
  const RAW = /\{%[-+]?\s*raw\s*-?%\}/y;
  const END_OF_RAW = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;
  const CLOSING = { "{": "}}", "%": "%}", "#": "#}" };
  const KINDS = ["tag", "string", "keyword", "filter", "number", "name"];
  const TOKEN = new RegExp([
    "(\\{\\{-?|\\{%[-+]?|-?\\}\\}|[-+]?%\\})",
    "(\"[^\"]*\"|'[^']*')",
    "(\\b(?:if|elif|else|endif|for|endfor|in|not|and|or|is|true|false|none)\\b)",
    "(\\|\\s*[A-Za-z_]\\w*)",
    "(\\b\\d+\\b)",
    "([A-Za-z_]\\w*(?:\\.[A-Za-z_]\\w*)*)",
  ].join("|"), "g");

  function search(pattern, source, place) {
    pattern.lastIndex = place;
    return pattern.exec(source);
  }

  // Where what opens here has closed; 0 when it does not, or when something else opens first.
  function endOf(source, start) {
    if (search(RAW, source, start)) {
      const found = search(END_OF_RAW, source, start);
      return found ? found.index + found[0].length : 0;
    }
    const closing = CLOSING[source[start + 1]];
    const end = source.indexOf(closing, start + 2);
    const opening = closing === "#}" ? null : search(OPENING, source, start + 2);
    return end < 0 || (opening && opening.index < end) ? 0 : end + closing.length;
  }

  // The source in its order as [kind, text]; text of the prompt itself has no kind.
  function piecesOf(source) {
    const pieces = [];
    const add = (kind, text) => { if (text) pieces.push([kind, text]); };
    let written = 0, opening = search(OPENING, source, 0);
    while (opening) {
      const start = opening.index, end = endOf(source, start);
      if (end) {
        add("", source.slice(written, start));
        written = end;
        const code = source.slice(start, end);
        if (code.startsWith("{#")) add("comment", code);
        else if (search(RAW, source, start)) add("raw", code);
        else addTokens(code, add);
      }
      opening = search(OPENING, source, end || start + 2);
    }
    add("", source.slice(written));
    return pieces;
  }

  function addTokens(code, add) {
    let written = 0;
    for (const token of code.matchAll(TOKEN)) {
      add("code", code.slice(written, token.index));
      add(KINDS[token.slice(1).findIndex((group) => group !== undefined)], token[0]);
      written = token.index + token[0].length;
    }
    add("code", code.slice(written));
  }

  function linesOf(source) {
    const lines = [[]];
    for (const [kind, text] of piecesOf(source)) {
      text.split("\n").forEach(function (part, place) {
        if (place) lines.push([]);
        if (part) lines[lines.length - 1].push([kind, part]);
      });
    }
    return lines;
  }

  function fill(row, line) {
    row.className = "editor-line";
    row.replaceChildren(...line.map(function ([kind, text]) {
      if (!kind) return text;
      const span = document.createElement("span");
      span.className = "tpl-" + kind;
      span.textContent = text;
      return span;
    }));
    return row;
  }

  class Editor {
    constructor(field) {
      this.field = field;
      this.keys = [];
      this.rows = [];
      this.frame = document.createElement("div");
      this.frame.className = "editor";
      this.paper = document.createElement("pre");
      this.paper.className = "editor-paper";
      this.paper.setAttribute("aria-hidden", "true");
      field.before(this.frame);
      this.frame.append(this.paper, field);
      field.addEventListener("input", () => this.draw());
      field.addEventListener("scroll", () => this.follow());
      new ResizeObserver(() => this.fit()).observe(field);
      this.draw();
    }

    // Only lines that changed are drawn anew: those between the first and the last that differ.
    draw() {
      const source = this.field.value;
      const isShort = source.length <= MOST_CHARACTERS;
      this.frame.classList.toggle("is-drawn", isShort);
      if (!isShort) return;
      const lines = linesOf(source), keys = lines.map((line) => line.flat().join("\u0001"));
      const most = Math.min(keys.length, this.keys.length);
      let first = 0, last = 0;
      while (first < most && keys[first] === this.keys[first]) first++;
      while (last < most - first && keys[keys.length - 1 - last] === this.keys[this.keys.length - 1 - last]) last++;
      this.replace(first, this.keys.length - last, lines.slice(first, keys.length - last));
      this.keys = keys;
      // With the next frame, when the browser lays both out anyway.
      window.requestAnimationFrame(() => this.follow());
    }

    // Rows are filled anew where they stand: a row that comes or goes has the browser look at all its neighbours.
    replace(from, to, lines) {
      const kept = Math.min(to - from, lines.length);
      for (let place = 0; place < kept; place++) fill(this.rows[from + place], lines[place]);
      const fresh = lines.slice(kept).map((line) => fill(document.createElement("div"), line));
      const stale = this.rows.splice(from + kept, to - from - kept, ...fresh);
      stale.forEach((row) => row.remove());
      if (!fresh.length) return;
      const before = this.rows[from + kept - 1], after = this.rows[from + kept + fresh.length];
      if (fresh.length > NEIGHBOURS || !(before || after)) this.lay();
      else if (before) before.after(...fresh);
      else after.before(...fresh);
    }

    // Rows in bundles, so that each has few neighbours.
    lay() {
      const bundles = [];
      for (let place = 0; place < this.rows.length; place += NEIGHBOURS) {
        const bundle = document.createElement("div");
        bundle.append(...this.rows.slice(place, place + NEIGHBOURS));
        bundles.push(bundle);
      }
      this.paper.replaceChildren(...bundles);
    }

    follow() {
      this.paper.scrollTop = this.field.scrollTop;
    }

    // A scroll bar takes room from the text: both must break their lines at the same width.
    fit() {
      this.paper.style.width = this.field.clientWidth + "px";
      this.paper.style.height = this.field.clientHeight + "px";
      this.follow();
    }

    // What the server's check found: the line's number, and the name that does not exist.
    mark(problems) {
      this.paper.querySelectorAll(".is-wrong, .tpl-unknown").forEach((row) => row.classList.remove("is-wrong", "tpl-unknown"));
      if (problems.length) this.field.setAttribute("aria-invalid", "true");
      else this.field.removeAttribute("aria-invalid");
      for (const { problemLine, problemName } of problems) {
        const row = this.rows[Number(problemLine) - 1];
        if (!row) continue;
        row.classList.add("is-wrong");
        if (!problemName) continue;
        for (const span of row.querySelectorAll(".tpl-name, .tpl-filter")) {
          if (span.textContent.split(/[^A-Za-z0-9_]+/).includes(problemName)) span.classList.add("tpl-unknown");
        }
      }
    }
  }

  const editors = Array.from(document.querySelectorAll("textarea[data-editor]"), (field) => new Editor(field));

  function markAll() {
    const problems = Array.from(document.querySelectorAll("[data-problem-of]"), (entry) => entry.dataset);
    editors.forEach((editor) => editor.mark(problems.filter((problem) => problem.problemOf === editor.field.name)));
  }

  document.addEventListener("htmx:afterSettle", markAll);
  // The browser puts a former text back without telling anybody.
  window.addEventListener("pageshow", () => editors.forEach((editor) => editor.draw()));
  markAll();
})();
