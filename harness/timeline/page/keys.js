// --- keyboard ---------------------------------------------------------------------------------------------

const HELP = [
  ["v", "go to the verdict"], ["w", "why: the steps that led to it; the rest is dimmed"],
  ["j, k", "next, previous step of why"], ["n, p", "next, previous event"],
  ["], [", "next, previous event of the chosen server"], ["f, F", "next, previous fault or crash"],
  ["x, X", "next, previous finding of a rule"], ["1 … 9", "choose S0 … S8"],
  ["/", "search; Enter and n go on"], ["d", "first difference, when two runs are compared"],
  ["+, -, 0", "zoom in, out, all"], ["←, →", "move"],
  ["h", "show heartbeats as arrows"], ["z", "fold idle stretches, or not"],
  ["space", "play"], ["r", "the ring"], ["Esc", "nothing chosen"], ["?", "this list"],
];

function actions(app) {
  const { view } = app;
  const redraw = () => app.show();
  return {
    v: () => app.goVerdict(), w: () => app.toggleWhy(), j: () => app.goStep(app.step + 1), k: () => app.goStep(app.step - 1),
    n: () => app.walk(app.recording.moments, 1), p: () => app.walk(app.recording.moments, -1),
    "]": () => app.walk(app.recording.byServer[app.server], 1), "[": () => app.walk(app.recording.byServer[app.server], -1),
    f: () => app.walk(app.recording.faults, 1), F: () => app.walk(app.recording.faults, -1),
    x: () => app.walkFindings(1), X: () => app.walkFindings(-1), d: () => app.goDifference(),
    "+": () => (view.zoom(1.7, app.zoomAt()), redraw()), "=": () => (view.zoom(1.7, app.zoomAt()), redraw()),
    "-": () => (view.zoom(1 / 1.7, app.zoomAt()), redraw()), 0: () => (view.set(0, view.axis.length), redraw()),
    ArrowLeft: () => (view.pan(-0.15), redraw()), ArrowRight: () => (view.pan(0.15), redraw()),
    h: () => app.toggle("beats"), z: () => app.toggleFolds(), " ": () => app.togglePlay(), r: () => app.openTab("ring"),
    "/": () => $("search").focus(), "?": () => app.toggleHelp(),
    Escape: () => { app.call = null; app.why = false; app.query = ""; $("search").value = ""; redraw(); },
  };
}

function listen(app) {
  const act = actions(app);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ($("keys").open) {
      if (event.key === "?") $("keys").close();
      return; // Escape closes it by itself
    }
    const typing = /^(INPUT|SELECT)$/.test(event.target.tagName);
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    // A button that has the focus is pressed by space, as always.
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    if (/^[1-9]$/.test(event.key) && Number(event.key) <= app.recording.servers) app.choose(Number(event.key) - 1);
    else if (act[event.key]) act[event.key]();
    else return;
    event.preventDefault();
  });
  document.querySelectorAll("[data-key]").forEach((button) => button.addEventListener("click", () => act[button.dataset.key]()));
  document.querySelectorAll("[data-tab]").forEach((button) => button.addEventListener("click", () => app.openTab(button.dataset.tab)));
  $("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    readColours();
    app.show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (readColours(), app.show()));
  $("search").addEventListener("input", (event) => {
    app.query = event.target.value;
    app.openTab("events");
    app.show();
  });
  $("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") app.walk(app.recording.moments.filter((m) => matches(m, app.query.toLowerCase())), event.shiftKey ? -1 : 1);
  });
  $("key").addEventListener("change", (event) => {
    app.lanes.key = event.target.value === "" ? null : event.target.value.slice(1);
    app.lanes.arrange();
    app.show();
  });
  listenToMouse(app);
  addEventListener("resize", () => app.show());
  addEventListener("hashchange", () => app.readFragment());
}

function listenToMouse(app) {
  for (const lanes of app.all) listenOn(app, lanes);
  const map = $("map");
  const jump = (event) => {
    const u = (event.offsetX / map.clientWidth) * app.view.axis.length;
    const half = (app.view.to - app.view.from) / 2;
    app.view.set(u - half, u + half);
    app.show();
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    jump(event);
  });
  map.addEventListener("pointermove", (event) => event.buttons && jump(event));
}

function listenOn(app, lanes) {
  const { view } = app;
  const { canvas } = lanes;
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) view.zoom(Math.exp(-event.deltaY / 250), event.offsetX);
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) view.pan((event.deltaX || event.deltaY) / 1200);
    else return;
    event.preventDefault();
    app.show();
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, from: view.from, to: view.to, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return app.hover(lanes, event.offsetX, event.offsetY);
    const dx = event.clientX - drag.x;
    if (Math.abs(dx) > 4) drag.moved = true;
    if (drag.moved) {
      const by = (dx / (view.width - view.left)) * (drag.to - drag.from);
      view.set(drag.from - by, drag.to - by);
      app.show();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) app.click(lanes, event.offsetX, event.offsetY);
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => ($("tip").hidden = true));
}
