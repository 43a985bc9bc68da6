"use strict";
// Sorting and filters of the tables, and the question explorer. All text is set as text: nothing of it becomes markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const make = (name, text, kind) => {
    const node = document.createElement(name);
    if (text !== undefined && text !== null) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };

  // a column of numbers is sorted by size, its nulls last either way; a column of names by name
  const isNumeric = (table, column) =>
    [...table.tBodies[0].rows].every((row) => Number.isFinite(Number(row.cells[column].dataset.value)));
  const sort = (table, column, ascending) => {
    const value = (row) => row.cells[column].dataset.value;
    const numeric = isNumeric(table, column);
    const rows = [...table.tBodies[0].rows];
    rows.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return (ascending ? 1 : -1) * (numeric ? Number(a) - Number(b) : a.localeCompare(b));
    });
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const ascending = now === "none" ? !isNumeric(table, column) : now === "descending";  // the highest number first
      heads.forEach((one) => one.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(table, column, ascending);
    }));
  }

  const filterTables = () => {
    const task = byId("filter-task").value;
    const part = byId("filter-memory").value.toLowerCase();
    for (const row of document.querySelectorAll("#tables tr[data-task]:not([data-task=''])")) {
      const told = (!task || row.dataset.task === task) && row.dataset.memory.toLowerCase().includes(part);
      row.hidden = !told;
    }
  };
  byId("filter").addEventListener("input", filterTables);
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());

  const data = JSON.parse(byId("data").textContent);
  const [ANSWER, WHY, SCORE, TOKENS, READ, GENERATE, PASSAGES] = [0, 1, 2, 3, 4, 5, 6];
  const text = (place) => (place === null ? null : data.texts[place]);
  const count = (number) => number.toLocaleString("en");
  byId("told").textContent =
    `${count(data.questions.length)} of ${count(data.asked)} questions, those on which memories disagree first; ` +
    `${count(data.left)} are left out.` +
    (data.tables.some((table) => table.passages) ? "" :
      " What stood in the prompts is not shown: published records hold no passages.");

  const options = (select, names) => {
    const kept = select.value;
    select.replaceChildren(...names.map(([value, name]) => {
      const option = make("option", name);
      option.value = value;
      return option;
    }));
    if (names.some(([value]) => value === kept)) select.value = kept;
  };
  const [taskOf, rightOf, wrongOf, textOf] = ["task", "right", "wrong", "text"].map((name) => byId(`ask-${name}`));
  const shownTables = () => data.tables.filter((table, number) => !taskOf.value || String(number) === taskOf.value);
  const offerMemories = () => {
    const names = [...new Set(shownTables().flatMap((table) => table.cells.map((cell) => cell.name)))];
    for (const select of [rightOf, wrongOf]) options(select, [["", "any"], ...names.map((name) => [name, name])]);
  };

  const scoreOf = (question, name) => {
    const place = data.tables[question.t].cells.findIndex((cell) => cell.name === name);
    return place < 0 ? null : question.a[place][SCORE];
  };
  const said = (question) => [
    text(question.q), text(question.c), question.i, ...question.g, ...Object.values(question.k),
    ...question.a.map((answer) => text(answer[ANSWER])),
  ].join("\n").toLowerCase();
  const wanted = (question) =>
    (!taskOf.value || String(question.t) === taskOf.value) &&
    (!rightOf.value || scoreOf(question, rightOf.value) === 1) &&
    (!wrongOf.value || (scoreOf(question, wrongOf.value) !== null && scoreOf(question, wrongOf.value) < 1)) &&
    (!textOf.value || said(question).includes(textOf.value.toLowerCase()));

  const number = (value, why, cell) => {
    const field = make("td", undefined, "figure");
    const link = make("a", value === null ? "null" : value.toLocaleString("en", { maximumFractionDigits: 3 }));
    link.href = `#cell-${cell.id}`;
    if (value === null) link.title = why;
    field.append(link);
    return field;
  };
  const answerRow = (table, answer, cell) => {
    const row = make("tr");
    const said = text(answer[ANSWER]);
    const score = answer[SCORE];
    const kind = score === null ? "" : score === 1 ? "right" : "wrong";
    row.append(make("th", cell.name, cell.control ? "control" : ""), make("td", said ?? `null: ${text(answer[WHY]) ?? "no answer"}`, kind));
    for (const column of [SCORE, TOKENS, READ, GENERATE]) row.append(number(answer[column], text(answer[WHY]) ?? data.reasons[column], cell));
    return row;
  };
  const prompts = (table, question) => table.cells.flatMap((cell, place) => {
    const passages = question.a[place][PASSAGES];
    if (!passages.length) return [];
    const details = make("details");
    details.append(make("summary", `${cell.name} put ${passages.length} passage${passages.length > 1 ? "s" : ""} into the prompt, the best last`));
    details.append(...passages.map((passage) => make("blockquote", text(passage))));
    return [details];
  });
  const opened = (question) => {
    const table = data.tables[question.t];
    const grid = make("table");
    const head = make("tr");
    const names = ["memory", "answer", table.judged, "context, tokens", "read, ms", "generate, ms"];
    head.append(...names.map((name) => make("th", name)));
    grid.createTHead().append(head);
    grid.createTBody().append(...table.cells.map((cell, place) => answerRow(table, question.a[place], cell)));
    const scroll = make("div", undefined, "scroll");
    scroll.append(grid);
    const tags = Object.entries(question.k).map(([name, value]) => `${name} ${value}`).join(", ");
    return [
      make("p", `To complete: ${text(question.c) ?? "nothing"}`), make("p", `Right: ${question.g.join(" or ")}`),
      make("p", `${table.title}, ${question.i}${tags ? `; ${tags}` : ""}`, "small"), scroll, ...prompts(table, question),
    ];
  };
  const entry = (question) => {
    const table = data.tables[question.t];
    const details = make("details");
    const right = question.a.filter((answer, place) => answer[SCORE] === 1 && !table.cells[place].control).length;
    const memories = table.cells.filter((cell) => !cell.control).length;
    const summary = make("summary", text(question.q) ?? text(question.c));
    summary.append(" ", make("small", `${table.title}, right in ${right} of ${memories}`));
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.childElementCount === 1) details.append(...opened(question));
    });
    return details;
  };

  const STEP = 50;
  let found = [];
  const showMore = () => {
    const list = byId("list");
    list.append(...found.slice(list.childElementCount, list.childElementCount + STEP).map(entry));
    byId("more").hidden = list.childElementCount >= found.length;
  };
  const ask = () => {
    found = data.questions.filter(wanted);
    byId("list").replaceChildren();
    byId("count").textContent = `${count(found.length)} question${found.length === 1 ? "" : "s"}`;
    showMore();
  };
  options(taskOf, [["", "all"], ...data.tables.map((table, number) => [String(number), table.title])]);
  offerMemories();
  taskOf.addEventListener("input", offerMemories);
  for (const field of [taskOf, rightOf, wrongOf, textOf]) field.addEventListener("input", ask);
  byId("more").addEventListener("click", showMore);
  ask();
  // what is folded would be lost on paper; the explorer, which nobody prints whole, stays as it is
  addEventListener("beforeprint", () => document.querySelectorAll("#slices details, #depths details, #beside details").forEach((one) => { one.open = true; }));
})();
