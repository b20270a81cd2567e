// --- the verdict, and the steps that led to it ---------------------------------------------------------

function tellVerdict(app) {
  const { run } = app.recording;
  const { verdict } = run;
  $("verdict").textContent = verdict ? "FAIL" : "passed";
  $("verdict").classList.toggle("bad", !!verdict);
  $("what").textContent = verdict ? verdict.title : run.title;
  $("run").textContent = `${run.test}  seed ${run.seed}  ${run.servers} servers, ${number(run.calls.length)} calls, ${seconds(run.end, 1)}`;
  if (verdict) {
    const list = make("dl");
    const line = (name, text, className) => {
      const dd = make("dd", className);
      const [first, ...rest] = text.split("\n");
      linked(app, dd, first);
      if (rest.length) {
        const more = make("details", "", make("summary", "", `${rest.length} more line${rest.length > 1 ? "s" : ""}`));
        const lines = make("div");
        linked(app, lines, rest.join("\n"));
        more.append(lines);
        dd.append(more);
      }
      list.append(make("dt", "", name), dd);
    };
    line("happened", verdict.happened, "happened");
    const first = app.story.findings[0];
    if (first) {
      const dd = make("dd", "");
      const a = make("a", "", `${first.text}, at ${seconds(first.at)}`);
      a.addEventListener("click", () => app.goEvent(first.event, first.at, first.server));
      dd.append(a);
      list.append(make("dt", "", "first wrong step"), dd);
    }
    if (app.comparison) {
      const a = make("a", "", app.comparison.sentence);
      a.addEventListener("click", () => app.goDifference());
      list.append(make("dt", "", "compared"), make("dd", "", a));
    }
    line("expected", verdict.expected);
    line("look at", verdict.look_at);
    list.append(make("dt", "", "again"), make("dd", "", make("code", "", verdict.again)));
    $("report").append(list);
  } else if (app.comparison) $("report").append(make("p", "", app.comparison.sentence));
  for (const id of ["go", "why"]) $(id).disabled = !verdict && !app.story.findings.length;
  run.gaps.forEach((gap) => $("gaps").append(make("li", "", gap)));
}

/// Times and servers in a sentence lead there.
function linked(app, element, text) {
  let last = 0;
  for (const found of text.matchAll(/(\d+\.\d{3,6}) s\b|\bS(\d+)\b/g)) {
    element.append(text.slice(last, found.index));
    const a = make("a", "", found[0]);
    if (found[1] !== undefined) a.addEventListener("click", () => app.goTime(Number(found[1]) * 1e6 + 999));
    else if (Number(found[2]) < app.recording.servers) a.addEventListener("click", () => app.choose(Number(found[2])));
    element.append(a);
    last = found.index + found[0].length;
  }
  element.append(text.slice(last));
}

function drawSteps(app) {
  const { steps, situation } = app.story;
  const tab = $("steps");
  const list = make("ul", "list");
  steps.forEach((step, n) => {
    const row = make("li", step.wrong ? "wrong" : "", make("time", "", seconds(step.at)), make("span", "who", String(n + 1)), make("span", "", (step.wrong ? "✕ " : "") + step.text));
    if (n === app.step) {
      row.classList.add("here");
      row.setAttribute("aria-current", "true");
    }
    row.addEventListener("click", () => app.goStep(n));
    list.append(row);
  });
  tab.replaceChildren();
  if (situation.length) {
    tab.append(make("p", "hint", "When the test gave up:"));
    situation.forEach((text) => tab.append(make("p", "", text)));
  }
  if (steps.length) tab.append(make("p", "hint", "What led to it, oldest first. In red: what no right Raft does. j and k go along."), list);
  if (!steps.length && !situation.length) tab.append(make("p", "hint", app.recording.run.verdict ? "No step was found that breaks a rule, and the words of the verdict name none: look round the verdict (v), at the test row, and at the events before it; or compare with a run that passes." : "The run passed."));
  list.querySelector(".here")?.scrollIntoView({ block: "nearest" });
}
