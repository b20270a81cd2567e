// What the lab book adds to mdBook: the switch between languages, and a search that knows Chinese.
"use strict";

// The same page in the other language. Both books have the same pages under the same names.
(function switchLanguage() {
    const here = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
    const other = here === "zh" ? "en" : "zh";
    const root = new URL(path_to_root || "./", location.href);
    const page = location.pathname.slice(root.pathname.length);
    const link = document.createElement("a");
    link.id = "language-switch";
    link.href = new URL(`../${other}/${page || "index.html"}`, root).href;
    link.hreflang = link.lang = other === "zh" ? "zh-CN" : "en";
    link.textContent = other === "zh" ? "中文" : "English";
    link.title = other === "zh" ? "本页的中文版" : "This page in English";
    const bar = document.querySelector("#mdbook-menu-bar .right-buttons, #menu-bar .right-buttons");
    if (bar) {
        bar.prepend(link);
    }
})();

// mdBook's search finds words, and cuts text into words at spaces, which Chinese does not have.
// A query with Chinese characters is therefore looked for as it is: its parts, separated by spaces,
// must all occur in a section. Everything else is left to mdBook, page and index included.
(function searchChinese() {
    const HAN = /[\u3400-\u9fff\uf900-\ufaff]/;
    if (typeof elasticlunr === "undefined") {
        return;
    }
    const load = elasticlunr.Index.load;

    // A piece of the text with what was looked for between spaces: so mdBook marks it.
    function excerpt(body, part) {
        const at = body.toLowerCase().indexOf(part);
        if (at < 0) {
            return body.slice(0, 80);
        }
        const end = at + part.length;
        const before = body.slice(Math.max(0, at - 30), at);
        return `… ${before} ${body.slice(at, end)} ${body.slice(end, end + 60)} …`;
    }

    function find(index, query) {
        const parts = query.toLowerCase().split(/\s+/).filter(Boolean);
        const docs = index.documentStore.docs;
        const found = [];
        for (const ref of Object.keys(docs)) {
            const doc = docs[ref];
            const title = (doc.title || "").toLowerCase();
            const body = (doc.body || "").toLowerCase();
            if (parts.every((part) => title.includes(part) || body.includes(part))) {
                const times = (text, part) => text.split(part).length - 1;
                const score = parts.reduce(
                    (sum, part) => sum + 10 * times(title, part) + times(body, part), 0);
                found.push({ ref, score, doc: { ...doc, body: excerpt(doc.body || "", parts[0]) } });
            }
        }
        return found.sort((a, b) => b.score - a.score);
    }

    elasticlunr.Index.load = function (serialized) {
        const index = load.call(this, serialized);
        const search = index.search.bind(index);
        index.search = (query, options) => HAN.test(query) ? find(index, query) : search(query, options);
        return index;
    };
})();

// Below each figure of a run a way to the run's timeline, at the moment that the figure shows.
(function play() {
    const here = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
    const runs = new URL(`${path_to_root || "./"}../runs/`, location.href);
    for (const svg of document.querySelectorAll("[data-run] svg[data-moment]")) {
        const link = document.createElement("a");
        link.className = "play";
        link.href = `${runs}${svg.closest("[data-run]").dataset.run}.html#${svg.dataset.moment}`;
        link.textContent = "▶";
        link.title = here === "zh" ? "在时间线里播放这一刻" : "Play this moment in the timeline";
        svg.after(link);
    }
})();
